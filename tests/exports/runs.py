"""Output folders of runs that never were, written by the program's own outputs and manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from landmarks.arrays import Mask
from landmarks.geometry import Box, Detection, FaceLandmarks
from pipeline.config import OutputConfig
from pipeline.crop import crop_face
from pipeline.images import to_stored_orientation
from pipeline.manifest.journal import Manifest, write_run
from pipeline.manifest.records import blank_record, face_entry
from pipeline.manifest.schema import Record
from pipeline.outputs import write_outputs
from pipeline.results import FaceResult, PhotoResult
from pipeline.uncrop import uncrop_instances

TO_STORED: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    1: lambda array: array,
    2: np.fliplr,
    3: lambda array: np.rot90(array, 2),
    4: np.flipud,
    5: np.transpose,
    6: np.rot90,
    7: lambda array: np.rot90(array.T, 2),
    8: lambda array: np.rot90(array, -1),
}
"""EXIF orientation to what lays an upright array on the stored grid."""


@dataclass(frozen=True)
class Shot:
    """A photograph to be: its size upright, its faces (whole masks, upright), its EXIF orientation."""

    name: str
    size_wh: tuple[int, int]
    faces: tuple[Mask, ...] = ()
    orientation: int = 1

    def masks(self, grid: str) -> list[Mask]:
        """Its faces on the upright or the stored grid."""
        return [TO_STORED[self.orientation if grid == "stored" else 1](mask) for mask in self.faces]


def disc(size_wh: tuple[int, int], center: tuple[float, float], radius: float, hole: float = 0.0) -> Mask:
    """A round face, with a hole in its middle if wanted; the frame cuts it."""
    rows, columns = np.mgrid[: size_wh[1], : size_wh[0]]
    distance = np.hypot(columns - center[0], rows - center[1])
    return np.asarray((distance <= radius) & (distance >= hole))


def pieces(size_wh: tuple[int, int]) -> Mask:
    """A face that bars cut in four pieces, with a hole in one, and a speck of one pixel."""
    mask = disc(size_wh, (120, 90), 70)
    mask[80:84] = False
    mask[:, 140:143] = False
    mask[60:70, 100:112] = False
    mask[35, 60] = True
    return mask


SHOTS = (
    Shot("cut.jpg", (120, 90), (disc((120, 90), (5, 85), 30), disc((120, 90), (118, 2), 25))),
    Shot("empty.jpg", (64, 48)),
    Shot("hole.jpg", (150, 100), (disc((150, 100), (70, 50), 40, 12),)),
    Shot("people/anna/1.jpg", (240, 180), (pieces((240, 180)),)),
    Shot(
        "people/bob & co/2 é.png", (90, 120), (disc((90, 120), (30, 60), 25), disc((90, 120), (55, 62), 25))
    ),
    *(
        Shot(f"turned/{number}.jpg", (70, 100), (disc((70, 100), (20, 40), 18, 4),), number)
        for number in range(2, 9)
    ),
)
"""Holes, pieces, faces cut by the frame, overlapping ones, no face, and every way to be turned."""


def crowd() -> Shot:
    """300 faces."""
    size_wh = (640, 480)
    centers = [(16 + 32 * (number % 20), 16 + 32 * (number // 20)) for number in range(300)]
    return Shot("crowd.jpg", size_wh, tuple(disc(size_wh, center, 12, 3) for center in centers))


def write_run_of(
    folder: Path, shots: Sequence[Shot] = SHOTS, *, orientation: str = "upright", crop_masks: bool = True
) -> Path:
    """Write photographs below ``folder/photos`` and a finished run's results to ``folder/out``."""
    out = folder / "out"
    config = OutputConfig.model_validate(
        {"directory": str(out), "orientation": orientation, "crop_masks": crop_masks, "overlays": False}
    )
    out.mkdir(parents=True, exist_ok=True)
    with Manifest(out) as manifest:
        for shot in shots:
            manifest.append(_record(folder, shot, config))
        manifest.finish()
    write_run(out, {"state": "finished", "working_directory": str(folder)})
    return out


def _record(folder: Path, shot: Shot, config: OutputConfig) -> Record:
    width, height = shot.size_wh
    seed = int.from_bytes(hashlib.sha256(shot.name.encode()).digest()[:4], "big")
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    path = folder / "photos" / shot.name
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = shot.orientation
    stored = to_stored_orientation(pixels, shot.orientation)
    with path.open("wb") as file:
        Image.fromarray(stored).save(file, "PNG" if path.suffix == ".png" else "JPEG", exif=exif)
    faces: list[FaceResult] = []
    margins: list[NDArray[np.float32]] = []
    for mask in shot.faces:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = Box(
            int(columns[0]) - 3,
            int(rows[0]) - 2,
            int(columns[-1] - columns[0]) + 7,
            int(rows[-1] - rows[0]) + 7,
        )
        crop = crop_face(pixels, box)
        crop_mask = np.zeros((box.height, box.width), bool)
        crop_mask[crop.crop_slices] = mask[crop.frame_slices]
        points = np.stack([np.arange(68) + box.x, np.arange(68) + box.y], axis=1).astype(np.int32)
        landmarks = FaceLandmarks(points, Detection(box, 1.0, "hog"))
        score = round(0.5 + 0.4 / (1 + len(faces)), 6)
        faces.append(FaceResult(landmarks, crop, crop_mask.astype(np.uint8) * 255, None, score))
        margins.append(np.where(crop_mask, np.float32(score), np.float32(-1)))
    instances = uncrop_instances(margins, [face.crop for face in faces], shot.size_wh)
    result = PhotoResult("ok" if faces else "no_face", instances, None, tuple(faces))
    name = f"photos/{shot.name}"
    files, face_files = write_outputs(result, pixels, shot.orientation, name, config)
    record = blank_record(
        name=name, path=name, root="photos", digest="d" * 64, orientation=config.orientation
    )
    record |= {
        "status": result.status,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "size_wh": [width, height],
        "stored_size_wh": list(stored.shape[1::-1]),
        "stored_orientation": shot.orientation,
        "faces": [
            face_entry(number, face, result, written)
            for number, (face, written) in enumerate(zip(faces, face_files, strict=True), start=1)
        ],
        "files": files,
    }
    return record
