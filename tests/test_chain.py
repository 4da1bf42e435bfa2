"""The whole chain with the embedded network on the sample photographs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image

from pipeline.config import Config, load_config
from pipeline.images import read_photo
from pipeline.manifest.records import face_entry
from pipeline.metrics import compare
from pipeline.photo import PhotoSegmenter
from pipeline.runner import run

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
GOLDEN = yaml.safe_load((Path(__file__).parent / "data" / "golden.yaml").read_text(encoding="utf-8"))

LEAST_IOU = 0.93
"""With the golden outlines, drawn by hand: two people's outlines of one face agree by about 0.95."""


def golden_mask(name: str, shape_hw: tuple[int, ...]) -> NDArray[np.bool_]:
    mask = np.zeros(shape_hw, np.uint8)
    for part, value in (("faces", 1), ("occluders", 0)):
        for outline in GOLDEN[name].get(part, ()):
            cv2.fillPoly(mask, [np.array(outline, np.int32)], [value])
    return mask > 0


@pytest.fixture(scope="module")
def segmenter() -> Any:
    """The default configuration's models, loaded once."""
    loaded = PhotoSegmenter.from_config(load_config(ROOT / "configs" / "default.yaml"))
    yield loaded
    loaded.close()


def test_every_sample_has_a_golden_outline() -> None:
    assert sorted(GOLDEN) == sorted(path.name for path in SAMPLES.glob("*.jpg"))


@pytest.mark.parametrize("name", GOLDEN)
def test_samples_have_their_faces_and_the_golden_mask(name: str, segmenter: PhotoSegmenter) -> None:
    photo = read_photo(SAMPLES / name, max_pixels=10**7)
    result = segmenter.segment(photo.pixels)
    faces = len(GOLDEN[name]["faces"])
    assert result.status == ("ok" if faces else "no_face")
    assert len(result.faces) == faces
    assert result.mask.shape == photo.pixels.shape[:2]
    assert compare(result.mask > 0, golden_mask(name, result.mask.shape)).iou >= LEAST_IOU


def test_the_mask_follows_the_photo_when_it_moves(segmenter: PhotoSegmenter) -> None:
    """Alignment without any truth: the mask of a larger frame is the mask of the photo, moved."""
    photo = read_photo(SAMPLES / "obama.jpg", max_pixels=10**7).pixels
    moved = np.full((1100, 1000, 3), 120, np.uint8)
    moved[130:1030, 210:930] = photo
    mask, moved_mask = segmenter.segment(photo).mask, segmenter.segment(moved).mask
    assert compare(moved_mask[130:1030, 210:930] > 0, mask > 0).iou > 0.97
    assert moved_mask.sum() == moved_mask[130:1030, 210:930].sum()


def test_a_mirrored_photo_gives_the_mirrored_mask(segmenter: PhotoSegmenter) -> None:
    photo = read_photo(SAMPLES / "obama.jpg", max_pixels=10**7).pixels
    mask = segmenter.segment(photo).mask
    mirrored = segmenter.segment(np.ascontiguousarray(photo[:, ::-1])).mask
    assert compare(mirrored[:, ::-1] > 0, mask > 0).iou > 0.95


def test_with_mirroring_the_manifest_says_how_far_the_two_were_apart() -> None:
    photo = read_photo(SAMPLES / "obama.jpg", max_pixels=10**7).pixels
    config = load_config(overrides=["network.mirror=true"])
    with PhotoSegmenter.from_config(config) as segmenter:
        result = segmenter.segment(photo)
    share = face_entry(1, result.faces[0], result, {})["mirror_disagreement"]
    assert 0 < share < 0.1


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo in all eight EXIF orientations, stored without loss: the same upright pixels."""
    folder = tmp_path_factory.mktemp("turned")
    upright = Image.fromarray(read_photo(SAMPLES / "astronaut.jpg", max_pixels=10**7).pixels[:300, 100:340])
    to_stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    for orientation, step in to_stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if step is None else upright.transpose(step)
        stored.save(folder / f"{orientation}.png", exif=exif)
    return folder


def masks_of(
    photos: Path, output: Path, orientation: str
) -> tuple[dict[str, NDArray[np.uint8]], list[dict[str, Any]]]:
    config = Config.model_validate(
        {
            "input": {"paths": [str(photos)]},
            "output": {"directory": str(output), "orientation": orientation},
            "execution": {"executor": "serial"},
        }
    )
    assert run(config).exit_code == 0
    masks = {}
    for path in (output / "masks").rglob("*.png"):
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert mask is not None
        masks[path.name[0]] = np.asarray(mask, np.uint8)
    lines = [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]
    return masks, lines


def test_all_eight_exif_orientations_give_the_same_upright_mask(turned: Path, tmp_path: Path) -> None:
    masks, lines = masks_of(turned, tmp_path, "upright")
    assert len(masks) == 8
    assert masks["1"].any()
    for mask in masks.values():
        np.testing.assert_array_equal(mask, masks["1"])
    assert [line["stored_orientation"] for line in lines] == list(range(1, 9))
    assert {line["orientation"] for line in lines} == {"upright"}


def test_stored_masks_lie_on_the_stored_pixels(turned: Path, tmp_path: Path) -> None:
    masks, lines = masks_of(turned, tmp_path, "stored")
    upright = masks["1"]
    expected = {
        "1": upright,
        "2": upright[:, ::-1],
        "3": upright[::-1, ::-1],
        "4": upright[::-1],
        "5": upright.T,
        "6": np.rot90(upright),
        "7": upright[::-1, ::-1].T,
        "8": np.rot90(upright, -1),
    }
    for name, mask in expected.items():
        np.testing.assert_array_equal(masks[name], mask)
        with Image.open(turned / f"{name}.png") as stored:
            assert masks[name].shape == (stored.height, stored.width)
    assert {line["orientation"] for line in lines} == {"stored"}
