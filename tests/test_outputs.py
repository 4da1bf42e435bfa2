"""Files of a photograph: right size, right pixels, right way up, and whole or not there."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import OutputConfig
from pipeline.crop import crop_face
from pipeline.errors import EncodingError, OutputError
from pipeline.files import LEFTOVER_PREFIX
from pipeline.icc import SRGB_PROFILE
from pipeline.manifest.records import face_entry
from pipeline.output_pictures import encode_picture, overlay
from pipeline.outputs import remove_leftovers, remove_outputs, write_atomically, write_outputs
from pipeline.results import FaceResult, PhotoResult

HEIGHT, WIDTH = 6, 8
ALL = dict.fromkeys(("masks", "instances", "overlays", "soft_masks", "crops", "crop_masks", "cutouts"), True)


def photo() -> NDArray[np.uint8]:
    return np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)


def face(box: Box, *, soft: bool) -> FaceResult:
    points = np.tile(np.array([[2, 3]], np.int32), (68, 1))
    mask = np.zeros((box.height, box.width), np.uint8)
    mask[0] = 255
    alpha = np.where(mask > 0, 200, 10).astype(np.uint8) if soft else None
    landmarks = FaceLandmarks(points, Detection(box, 1.0, "hog"))
    return FaceResult(landmarks, crop_face(photo(), box), mask, alpha, 0.5)


def result(*, soft: bool = False) -> PhotoResult:
    """Two faces: a row of three pixels at (1, 1), a row of two at (4, 5)."""
    instances = np.zeros((HEIGHT, WIDTH), np.uint8)
    instances[1, 1:4] = 1
    instances[4, 5:7] = 2
    alpha = (instances > 0).astype(np.uint8) * 200 if soft else None
    faces = (face(Box(1, 1, 3, 2), soft=soft), face(Box(5, 4, 2, 2), soft=soft))
    return PhotoResult("ok", instances, alpha, faces)


def config(directory: Path, **keys: Any) -> OutputConfig:
    return OutputConfig.model_validate({"directory": str(directory), **keys})


def read(path: Path) -> NDArray[Any]:
    """As RGB or RGBA."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}
    return picture[:, :, order[picture.shape[2]]] if picture.ndim == 3 else picture


def test_every_kind(tmp_path: Path) -> None:
    files, face_files = write_outputs(result(soft=True), photo(), 1, "a/b.jpg", config(tmp_path, **ALL))
    assert files == {
        "masks": "masks/a/b.jpg.png",
        "instances": "instances/a/b.jpg.png",
        "overlays": "overlays/a/b.jpg.jpg",
        "soft_masks": "soft_masks/a/b.jpg.png",
    }
    assert face_files[1] == {
        "crops": "crops/a/b.jpg_2.png",
        "crop_masks": "crop_masks/a/b.jpg_2.png",
        "cutouts": "cutouts/a/b.jpg_2.png",
    }
    expected = result(soft=True)
    assert expected.alpha is not None
    assert np.array_equal(read(tmp_path / files["masks"]), expected.mask)
    assert np.array_equal(read(tmp_path / files["instances"]), expected.instances)
    assert np.array_equal(read(tmp_path / files["soft_masks"]), expected.alpha)
    assert read(tmp_path / files["overlays"]).shape == (HEIGHT, WIDTH, 3)
    crop = photo()[1:3, 1:4]
    assert np.array_equal(read(tmp_path / face_files[0]["crops"]), crop)
    assert read(tmp_path / face_files[0]["crop_masks"]).tolist() == [[255] * 3, [0] * 3]
    cutout = read(tmp_path / face_files[0]["cutouts"])
    assert np.array_equal(cutout[:, :, :3], crop)
    assert cutout[:, :, 3].tolist() == [[200] * 3, [10] * 3]
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {*files.values(), *face_files[0].values(), *face_files[1].values()}


def test_without_faces_the_mask_is_empty(tmp_path: Path) -> None:
    empty = PhotoResult("no_face", np.zeros((HEIGHT, WIDTH), np.uint8))
    files, face_files = write_outputs(empty, photo(), 1, "x.png", config(tmp_path, soft_masks=True))
    assert face_files == []
    for kind in ("masks", "instances", "soft_masks"):
        picture = read(tmp_path / files[kind])
        assert picture.shape == (HEIGHT, WIDTH)
        assert not picture.any()


def test_more_than_255_faces_need_16_bits(tmp_path: Path) -> None:
    instances = np.full((HEIGHT, WIDTH), 300, np.uint16)
    files, _ = write_outputs(PhotoResult("ok", instances), photo(), 1, "x", config(tmp_path))
    picture = read(tmp_path / files["instances"])
    assert picture.dtype == np.uint16
    assert (picture == 300).all()


@pytest.mark.parametrize("orientation", [1, 2, 3, 6])
def test_stored_orientation_turns_everything(tmp_path: Path, orientation: int) -> None:
    settings = config(tmp_path, orientation="stored", **ALL)
    files, face_files = write_outputs(result(), photo(), orientation, "x", settings)
    turns: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
        1: lambda array: array,
        2: np.fliplr,
        3: lambda array: np.rot90(array, 2),
        6: np.rot90,
    }
    back = turns[orientation]
    assert np.array_equal(read(tmp_path / files["masks"]), back(result().mask))
    assert np.array_equal(read(tmp_path / face_files[0]["crops"]), back(photo()[1:3, 1:4]))
    upright, _ = write_outputs(result(), photo(), orientation, "x", config(tmp_path))
    assert np.array_equal(read(tmp_path / upright["masks"]), result().mask)


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
def test_turned_faces_are_written_upright_with_the_way_back(tmp_path: Path, turn: int) -> None:
    crop = crop_face(photo(), Box(1, 1, 3, 2), turn)
    lying = np.array([[255, 255, 0], [0, 0, 0]], np.uint8)
    mask = np.ascontiguousarray(np.rot90(lying, turn))
    turned = FaceResult(face(crop.box, soft=False).landmarks, crop, mask, None, 0.5)
    whole = PhotoResult("ok", np.zeros((HEIGHT, WIDTH), np.uint8), None, (turned,))
    _, (files,) = write_outputs(whole, photo(), 6, "x", config(tmp_path, **ALL))
    entry = face_entry(1, turned, whole, files)
    assert entry["turn_degrees"] == 90 * turn
    assert "mirror_disagreement" not in entry
    x, y, width, height = entry["box_xywh"]
    for kind, expected in (("crop_masks", lying), ("crops", photo()[y : y + height, x : x + width])):
        written = read(tmp_path / files[kind])
        assert np.array_equal(written, mask if kind == "crop_masks" else crop.pixels)
        assert np.array_equal(np.rot90(written, -entry["turn_degrees"] // 90), expected)
    _, (files,) = write_outputs(whole, photo(), 6, "x", config(tmp_path, orientation="stored", **ALL))
    assert np.array_equal(read(tmp_path / files["crop_masks"]), np.rot90(lying))
    assert np.array_equal(read(tmp_path / files["crops"]), np.rot90(photo()[1:3, 1:4]))


def test_overlay_is_red_where_the_mask_is() -> None:
    pixels = np.full((20, 30, 3), 100, np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:15, 10:25] = 255
    painted = overlay(pixels, mask)
    assert painted[10, 17].tolist() == [178, 50, 50]
    assert painted[5, 10].tolist() == [255, 0, 0]
    assert painted[2, 2].tolist() == [100, 100, 100]
    assert (pixels == 100).all()
    assert np.array_equal(overlay(pixels, np.zeros_like(mask)), pixels)


def test_very_long_photographs_have_png_overlays(tmp_path: Path) -> None:
    pixels = np.zeros((1, 70_000, 3), np.uint8)
    empty = PhotoResult("no_face", np.zeros((1, 70_000), np.uint8))
    files, _ = write_outputs(empty, pixels, 1, "x", config(tmp_path))
    assert read(tmp_path / files["overlays"]).shape == (1, 70_000, 3)


def test_fewer_faces_than_before_leave_no_old_ones(tmp_path: Path) -> None:
    settings = config(tmp_path, crops=True)
    write_outputs(result(), photo(), 1, "x", settings)
    write_outputs(result(), photo(), 1, "x_1", settings)
    empty = PhotoResult("no_face", np.zeros((HEIGHT, WIDTH), np.uint8))
    write_outputs(empty, photo(), 1, "x", settings)
    assert sorted(path.name for path in (tmp_path / "crops").iterdir()) == ["x_1_1.png", "x_1_2.png"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, [b"old"])

    def pieces() -> Any:
        yield b"new"
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OutputError, match=r"No space left on device\. Free some space"):
        write_atomically(path, pieces())
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "masks").touch()
    with pytest.raises(OutputError, match="A file stands where a folder is needed"):
        write_outputs(result(), photo(), 1, "a/b", config(tmp_path))


def test_leftovers_are_removed_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "masks/a").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    for place in ("masks/a", "other", "."):
        (tmp_path / place / f"{LEFTOVER_PREFIX}123-4").touch()
    (tmp_path / "masks/a/1.png").touch()
    assert remove_leftovers(tmp_path) == 2
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == [f"{LEFTOVER_PREFIX}123-4", "1.png"]


def test_old_outputs_are_removed_below_the_directory_only(tmp_path: Path) -> None:
    (tmp_path / "out/masks").mkdir(parents=True)
    for name in ("outside", "out/masks/old.png", "out/masks/kept.png", "out/manifest.jsonl"):
        (tmp_path / name).touch()
    paths = [
        "masks/old.png",
        "masks/kept.png",
        "masks/../../outside",
        "../outside",
        "manifest.jsonl",
        "masks/x/y",
    ]
    remove_outputs(tmp_path / "out", paths, keep=["masks/kept.png"])
    left = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["kept.png", "manifest.jsonl", "outside"]


def test_a_picture_too_large_for_its_format_is_the_photographs_failure(tmp_path: Path) -> None:
    wide = np.zeros((1, 1_000_001), np.uint8)
    pixels = np.zeros((*wide.shape, 3), np.uint8)
    for kinds in ({"overlays": False}, {"masks": False, "instances": False}):
        with pytest.raises(EncodingError, match=r"PNG of 1000001 x 1 pixels cannot be made"):
            write_outputs(PhotoResult("no_face", wide), pixels, 1, "a", config(tmp_path, **kinds))
    assert not list(tmp_path.rglob("*.png"))


def test_pictures_to_look_at_are_tagged_srgb_and_masks_are_not(tmp_path: Path) -> None:
    files, face_files = write_outputs(result(soft=True), photo(), 1, "x", config(tmp_path, **ALL))
    for kind, path in {**files, **face_files[0]}.items():
        with Image.open(tmp_path / path) as image:
            image.load()
            tagged = image.info.get("icc_profile")
        assert tagged == (SRGB_PROFILE if kind in ("overlays", "crops", "cutouts") else None), kind


def test_cut_outs_keep_the_photographs_own_transparency(tmp_path: Path) -> None:
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[1, 1], alpha[1, 2] = 0, 51
    settings = config(tmp_path, cutouts=True)
    _, opaque_files = write_outputs(result(soft=True), photo(), 1, "opaque", settings)
    _, files = write_outputs(result(soft=True), photo(), 1, "x", settings, alpha)
    opaque = read(tmp_path / opaque_files[0]["cutouts"])
    assert opaque[:, :, 3].tolist() == [[200] * 3, [10] * 3]
    found = read(tmp_path / files[0]["cutouts"])
    assert found[:, :, 3].tolist() == [[0, 40, 200], [10] * 3]
    assert np.array_equal(found[:, :, :3], opaque[:, :, :3])
    assert np.array_equal(read(tmp_path / files[1]["cutouts"]), read(tmp_path / opaque_files[1]["cutouts"]))


def test_transparency_of_turned_crops(tmp_path: Path) -> None:
    points = np.tile(np.array([[2, 3]], np.int32), (68, 1))
    crop = crop_face(photo(), Box(-1, 1, 4, 3), turn=1)
    mask = np.full(crop.size_wh[::-1], 255, np.uint8)
    turned = FaceResult(FaceLandmarks(points, Detection(crop.box, 1.0, "hog")), crop, mask, None, 0.5)
    instances = np.ones((HEIGHT, WIDTH), np.uint8)
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[1, 0] = 7
    settings = config(tmp_path, cutouts=True, orientation="upright")
    _, files = write_outputs(PhotoResult("ok", instances, None, (turned,)), photo(), 1, "x", settings, alpha)
    found = read(tmp_path / files[0]["cutouts"])[:, :, 3]
    assert np.argwhere(found == 7).tolist() == [[2, 0]]  # (1, 0) of the box, a quarter turn on
    assert (found == 255).sum() == found.size - 1
    assert (mask == 255).all()


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_masks_as_png_hold_every_number(kind: type[np.uint8] | type[np.uint16]) -> None:
    rng = np.random.default_rng(3)
    numbers = rng.integers(0, np.iinfo(kind).max, (37, 53), dtype=kind, endpoint=True)
    numbers[5:30, 8:40] = np.iinfo(kind).max
    encoded = np.frombuffer(encode_picture(".png", numbers), np.uint8)
    decoded = cv2.imdecode(encoded, cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert np.array_equal(decoded, numbers)


def test_the_overlay_rounds_half_of_red_to_even_numbers() -> None:
    values = np.arange(256, dtype=np.uint8)
    pixels = np.repeat(np.tile(values, (9, 1))[:, :, None], 3, axis=2)
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[2:7, 2:254] = 255
    inside = overlay(pixels, mask)[4, 4:252].astype(np.float64)
    exact = values.astype(np.float64)
    expected = np.stack([(exact + 255) / 2, exact / 2, exact / 2], axis=1)[4:252]
    assert np.array_equal(inside, np.rint(expected))
