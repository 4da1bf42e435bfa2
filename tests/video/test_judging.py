"""Which faces are looked at before the second pass, and which tracks are believed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.config import Config, CropConfig
from pipeline.errors import EngineError
from pipeline.framing import face_box
from pipeline.video.judging import choose_tracks, judged, looked_at
from pipeline.video.reader import Frame
from pipeline.video.steady import PlannedFace
from pipeline.video.store import Store
from pipeline.video.timeline import Timeline
from tests.test_photo import BrightnessEngine, face_at, photo, segmenter


def planned(track: int, *, is_filled: bool = False, x: int = 20) -> PlannedFace:
    face = face_at(x, 40, 50)
    box = face_box(face.points, (200, 120), CropConfig())
    return PlannedFace(track, face.points.astype(np.float64), face, box, 0, is_filled)


def test_every_so_many_seen_faces_of_a_track_are_looked_at_from_its_first_on() -> None:
    frames = {index: [planned(0)] for index in range(3, 12)}
    frames[5] = [planned(0), planned(1, is_filled=True)]
    frames[6] = [planned(0, is_filled=True), planned(1)]
    looked = looked_at(frames, range(4, 12), every=3)
    places = {(index, face.track) for index, faces in looked.items() for face in faces}
    assert places == {(4, 0), (8, 0), (11, 0), (6, 1)}


class Blind(BrightnessEngine):
    """Fails on every batch."""

    def predict(self, batch: Float32Array) -> Float32Array:
        raise EngineError("it sees nothing")


def test_what_is_looked_at_is_judged_as_a_photograph_is() -> None:
    image = photo((20, 40, 50))
    frames = [Frame(index, image) for index in range(3)]
    (there, nothing) = planned(4), planned(7, x=120)
    looked = {0: [there], 2: [nothing, there]}
    one = segmenter([])
    lines = list(judged(frames, looked, one))
    assert [line["track"] for line in lines] == [4, 7, 4]
    (face,) = one.segment_faces(image, [there.face]).faces
    assert lines[0]["confidence"] == round(face.confidence, 4) > lines[1]["confidence"]
    assert list(judged(frames, looked, segmenter([], engine=Blind()))) == []


def test_tracks_stay_by_their_mean_and_where_nobody_could_judge(tmp_path: Path) -> None:
    store = Store(tmp_path, "a", "key")
    timeline = Timeline("video", "matroska h264", tuple(range(20)), Fraction(1, 25), (0,), (64, 48))
    store.write("timeline", [timeline.to_json()])
    store.write("linked", [{"tracks": 5, "wanted": [0, 1, 3, 4], "cuts": []}])
    said = {0: [(0, 0.9), (1, 0.2), (3, 0.5)], 1: [(0, 0.3), (3, 0.7)]}
    for chunk, lines in said.items():
        store.write("judged", [{"track": track, "confidence": one} for track, one in lines], chunk)
    settings = {"faces": {"min_confidence": 0.6}, "video": {"chunk_frames": 10}}
    choose_tracks(Config.model_validate(settings), store)
    assert next(store.read("chosen")) == {"wanted": [0, 3, 4]}
