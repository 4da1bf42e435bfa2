"""What is known of a photograph, and how it is saved by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.crop import crop_face
from pipeline.results import FaceResult, PhotoResult
from pipeline.uncrop import uncrop_mask

PHOTO = np.random.default_rng(3).integers(0, 256, (30, 40, 3), np.uint8)


@pytest.fixture
def result() -> PhotoResult:
    crop = crop_face(PHOTO, Box(5, 6, 10, 12))
    mask = np.zeros((12, 10), np.uint8)
    mask[2:9, 3:8] = 255
    points = np.zeros((68, 2), np.int32)
    face = FaceResult(FaceLandmarks(points, Detection(Box(5, 6, 10, 12), 1.0, "hog")), crop, mask, None, 0.9)
    instances = (uncrop_mask(mask, crop) > 0).astype(np.uint8)
    return PhotoResult("ok", instances, None, (face,))


def test_the_mask_is_the_union_of_all_faces() -> None:
    instances = np.array([[0, 1, 2], [0, 300, 0]], np.uint16)
    mask = PhotoResult("ok", instances).mask
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, [[0, 255, 255], [0, 255, 0]])


def test_what_is_saved_lies_where_a_run_would_put_it(result: PhotoResult, tmp_path: Path) -> None:
    files = result.save(tmp_path / "new", "anna/1.jpg")
    assert files == {
        "masks": tmp_path / "new/masks/anna/1.jpg.png",
        "instances": tmp_path / "new/instances/anna/1.jpg.png",
    }
    saved = cv2.imread(str(files["masks"]), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(saved, result.mask)


def test_an_overlay_is_made_of_the_photograph(result: PhotoResult, tmp_path: Path) -> None:
    files = result.save(tmp_path, "1.jpg", image=PHOTO, crops=True, instances=False)
    assert set(files) == {"masks", "overlays"}
    cut = np.asarray(cv2.imread(str(tmp_path / "crops/1.jpg_1.png")))
    np.testing.assert_array_equal(cut[:, :, ::-1], PHOTO[6:18, 5:15])
    with pytest.raises(ValueError, match="overlays: give the photograph too"):
        result.save(tmp_path, "1.jpg", overlays=True)


@pytest.mark.parametrize("name", ["", "/etc/1.jpg", "../1.jpg", "a/../../1.jpg"])
def test_names_that_lead_out_of_the_folder_are_refused(
    name: str, result: PhotoResult, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="name: expected a path below the folder"):
        result.save(tmp_path / "out", name)
    assert not (tmp_path / "out").exists()


def test_kinds_that_nobody_knows_are_refused(result: PhotoResult, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="contours"):
        result.save(tmp_path, "1.jpg", contours=True)
