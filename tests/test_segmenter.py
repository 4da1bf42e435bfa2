"""The segmenter as users hold it: files, several photographs, threads, stages, and saving what came of it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from landmarks.arrays import Float32Array, Pixels
from landmarks.geometry import FaceLandmarks
from pipeline.config import Config
from pipeline.errors import EngineError, ImageReadError, ImageTooLargeError, OutputError, SegmentationError
from pipeline.network import FaceNetwork
from pipeline.photo import PhotoSegmenter
from pipeline.results import PhotoResult
from pipeline.stages import Stages
from tests.test_photo import AS_DECIDED, BrightnessEngine, FailsOnDark, FixedFinder, face_at, photo, segmenter

ONE, TWO = (20, 40, 50), (120, 50, 60)


class Alone:
    """Counts how many threads are inside at once; it takes its time so that they would meet."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self._count = threading.Lock()

    def visit(self) -> None:
        with self._count:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.005)
        with self._count:
            self.inside -= 1


class WatchedEngine(BrightnessEngine):
    def __init__(self) -> None:
        self.visits = Alone()
        self.closed = 0

    def predict(self, batch: Float32Array) -> Float32Array:
        self.visits.visit()
        return super().predict(batch)

    def close(self) -> None:
        self.closed += 1


class WatchedFinder(FixedFinder):
    def __init__(self, faces: list[FaceLandmarks]) -> None:
        super().__init__(faces)
        self.visits = Alone()

    def find(self, image: Pixels) -> tuple[FaceLandmarks, ...]:
        self.visits.visit()
        return super().find(image)


def written(path: Path, image: Pixels) -> Path:
    assert cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    return path


def read(path: Path) -> NDArray[np.uint8]:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return np.asarray(picture, np.uint8)


def same(one: PhotoResult, other: PhotoResult) -> None:
    assert one.status == other.status
    np.testing.assert_array_equal(one.instances, other.instances)
    assert [face.score for face in one.faces] == [face.score for face in other.faces]


def test_a_with_statement_frees_the_engine_and_what_is_closed_says_so() -> None:
    engine = WatchedEngine()
    with segmenter([face_at(*ONE)], engine=engine) as segmenting:
        assert segmenting.segment(photo(ONE)).status == "ok"
        assert engine.closed == 0
    assert engine.closed == 1
    with pytest.raises(EngineError, match="the segmenter is closed"):
        segmenting.segment(photo(ONE))


def test_a_file_is_read_and_segmented(tmp_path: Path) -> None:
    image = photo(ONE, TWO)
    segmenting = segmenter([face_at(*ONE), face_at(*TWO)])
    result = segmenting.segment_file(written(tmp_path / "photo.png", image))
    same(result, segmenting.segment(image))
    assert list(result.timings) == ["read", "landmarks", "crop", "network", "uncrop"]


def test_a_file_that_cannot_be_read_or_is_too_large_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ImageReadError, match=r"nowhere\.jpg"):
        segmenter([]).segment_file(tmp_path / "nowhere.jpg")
    path = written(tmp_path / "photo.png", photo())
    with pytest.raises(ImageTooLargeError):
        segmenter([], Config.model_validate({"input": {"max_pixels": 100}})).segment_file(path)


def test_many_photographs_and_one_that_fails() -> None:
    drawn: list[int] = []

    def images() -> object:
        for index, image in enumerate((photo(ONE), photo(), photo(ONE))):
            drawn.append(index)
            yield image

    segmenting = segmenter([face_at(*ONE)], engine=FailsOnDark())
    results = segmenting.segment_many(images())  # type: ignore[arg-type]
    first = next(results)
    assert drawn == [0]
    same(first, segmenting.segment(photo(ONE)))
    failed, last = results
    assert failed.status == "failed"
    assert (failed.instances.shape, int(failed.instances.max())) == ((120, 200), 0)
    [error] = failed.errors
    assert (error.stage, error.type) == ("network", "EngineError")
    assert "the dark" in error.message
    same(last, first)


def test_threads_may_share_a_segmenter() -> None:
    engine, finder = WatchedEngine(), WatchedFinder([face_at(*ONE), face_at(*TWO)])
    segmenting = PhotoSegmenter(AS_DECIDED, finder, FaceNetwork(engine, (32, 32)))
    images = [photo((20 + shift, 40, 50), (120, 50 - shift, 60)) for shift in range(12)]
    expected = [segmenting.segment(image) for image in images]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(segmenting.segment, images))
    for one, other in zip(results, expected, strict=True):
        same(one, other)
    assert (engine.visits.most, finder.visits.most) == (1, 1)


def test_a_failure_belongs_to_the_stage_that_runs() -> None:
    stages = Stages()
    assert stages.current == "photo"

    def fails() -> None:
        with stages.stage("uncrop"):
            raise MemoryError

    with pytest.raises(MemoryError):
        fails()
    assert stages.current == "uncrop"
    assert list(stages.seconds) == ["uncrop"]
    stages = Stages()
    with stages.stage("uncrop"):
        pass
    with stages.stage("output"), stages.stage("uncrop"):
        time.sleep(0.001)
    assert stages.current == "photo"
    assert list(stages.rounded(6)) == ["uncrop", "output"]
    assert stages.seconds["uncrop"] >= 0.001


def test_when_no_crop_can_be_made_the_stage_is_crop() -> None:
    with pytest.raises(SegmentationError) as caught:
        segmenter([face_at(0, 0, 1)]).segment(photo(size_wh=(1, 1)))
    assert caught.value.stage == "crop"


def test_the_stages_handed_down_are_those_of_the_result() -> None:
    stages = Stages()
    with stages.stage("read"):
        image = photo(ONE)
    result = segmenter([face_at(*ONE)]).segment(image, stages)
    assert list(stages.seconds) == ["read", "landmarks", "crop", "network", "uncrop"]
    assert result.timings == stages.rounded(6)


def test_what_is_saved_lies_where_a_run_would_put_it(tmp_path: Path) -> None:
    image = photo(ONE, TWO)
    result = segmenter([face_at(*ONE), face_at(*TWO)]).segment(image)
    files = result.save(tmp_path / "out", "anna/1.jpg", image=image, cutouts=True)
    assert files == {
        "masks": tmp_path / "out/masks/anna/1.jpg.png",
        "instances": tmp_path / "out/instances/anna/1.jpg.png",
        "overlays": tmp_path / "out/overlays/anna/1.jpg.jpg",
    }
    np.testing.assert_array_equal(read(files["masks"]), result.mask)
    np.testing.assert_array_equal(read(files["instances"]), result.instances)
    assert read(files["overlays"]).shape == image.shape
    assert read(tmp_path / "out/cutouts/anna/1.jpg_2.png").shape[2] == 4


def test_without_the_photograph_there_is_no_overlay(tmp_path: Path) -> None:
    result = segmenter([face_at(*ONE)]).segment(photo(ONE))
    assert set(result.save(tmp_path, "a", instances=False)) == {"masks"}
    assert {path.name for path in tmp_path.iterdir()} == {"masks"}
    with pytest.raises(ValueError, match="give the photograph too"):
        result.save(tmp_path, "a", overlays=True)
    with pytest.raises(ValueError, match="mask_of_the_moon"):
        result.save(tmp_path, "a", mask_of_the_moon=True)


@pytest.mark.parametrize("name", ["", ".", "/etc/photo", "../photo", "a/../../b"])
def test_a_name_cannot_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    result = segmenter([]).segment(photo())
    with pytest.raises(ValueError, match="expected a path below the folder"):
        result.save(tmp_path, name)


def test_a_folder_that_cannot_be_written_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="A file stands where a folder is needed"):
        segmenter([]).segment(photo()).save(tmp_path / "file", "photo.jpg")
