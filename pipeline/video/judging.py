"""With ``faces.min_confidence``: how sure it is of every track of a clip, and which tracks are believed.

A track stays or goes as a whole, since a face that comes and goes with its confidence is of no use. The
network looks at some of its faces before the second pass; their mean confidence decides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import Any

from pipeline.config import Config
from pipeline.errors import EngineError, PhotoError
from pipeline.video.chunks import chunks_of
from pipeline.video.clip import frames_of, planned_faces
from pipeline.video.reader import Frame
from pipeline.video.segmenting import Segmenter, crops_of
from pipeline.video.steady import PlannedFace
from pipeline.video.store import Store
from pipeline.video.task import Clip


def judge_chunk(clip: Clip, config: Config, store: Store, chunk: int, segmenter: Segmenter) -> None:
    """Stage ``judge``: the confidence of some faces of every wanted track in a chunk."""
    timeline = store.timeline()
    frames = chunks_of(timeline, config.video.chunk_frames)[chunk]
    planned = planned_faces(store, config, frames, 0, next(store.read("linked"))["wanted"])
    looked = looked_at(planned, frames, every=config.video.search_every)
    pictures = frames_of(clip, config, timeline, frames.start, frames.stop)
    store.write("judged", judged(pictures, looked, segmenter), chunk)


def choose_tracks(config: Config, store: Store) -> None:
    """Stage ``choose``: keep the wanted tracks that are not below ``faces.min_confidence``."""
    confidences: defaultdict[int, list[float]] = defaultdict(list)
    for chunk in range(len(chunks_of(store.timeline(), config.video.chunk_frames))):
        for line in store.read("judged", chunk):
            confidences[line["track"]].append(line["confidence"])
    least = config.faces.min_confidence
    wanted = [
        track
        for track in next(store.read("linked"))["wanted"]
        if track not in confidences or fmean(confidences[track]) >= least
    ]
    store.write("chosen", [{"wanted": wanted}])


def looked_at(
    planned: Mapping[int, Sequence[PlannedFace]], frames: range, *, every: int
) -> dict[int, list[PlannedFace]]:
    """Of every track the first face that was seen in some frames, and every so many of those after it.

    Parameters
    ----------
    planned
        Place of a frame -> its faces.
    frames
        Places of the frames that count.
    every
        Take one of so many faces; filled ones are none.
    """
    seen: defaultdict[int, int] = defaultdict(int)
    looked: defaultdict[int, list[PlannedFace]] = defaultdict(list)
    for index in frames:
        for face in planned.get(index, ()):
            if not face.is_filled:
                if seen[face.track] % every == 0:
                    looked[index].append(face)
                seen[face.track] += 1
    return dict(looked)


def judged(
    frames: Iterable[Frame], looked: Mapping[int, Sequence[PlannedFace]], segmenter: Segmenter
) -> Iterator[dict[str, Any]]:
    """Yield ``track`` and ``confidence`` of every face that is looked at and can be scored."""
    for frame in frames:
        faces = looked.get(frame.index, ())
        if not faces:
            continue
        try:
            scored = segmenter.score(crops_of(frame, faces), [])
        except (PhotoError, EngineError):
            continue  # the second pass meets the same error, and says so
        by_face = {id(face.face): face for face in faces}
        size_wh = (frame.pixels.shape[1], frame.pixels.shape[0])
        points = [by_face[id(face)].points for face, _ in scored]
        result = segmenter.decide(scored, size_wh, exact_points=points)
        for (face, _), one in zip(scored, result.faces, strict=True):
            yield {"track": by_face[id(face)].track, "confidence": round(one.confidence, 4)}
