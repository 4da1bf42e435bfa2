"""Compare masks with the truth: folders of both, a table of figures, a sheet of the worst."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ImageReadError, UsageError
from pipeline.formats import IMAGE_SUFFIXES
from pipeline.images import read_photo
from pipeline.metrics import Scores, compare

_TILE_PX = 240
_MOST_PIXELS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """One photograph's comparison. ``prediction`` is None where there is no mask for the truth."""

    name: str
    truth: Path
    prediction: Path | None
    scores: Scores


def evaluate_folders(predictions: Path, truth: Path, ignore_value: int | None = None) -> list[PhotoScores]:
    """Compare every mask of a truth folder with the prediction of the same name.

    Names are compared without image suffixes (``a/b.jpg.png`` is ``a/b``). A prediction belongs to the truth
    whose folders and name are the end of its own (``photos/a/b`` to ``a/b``), or else, where a name is there
    only once on both sides, to the truth of that name. A truth without a prediction is compared with an empty
    mask.

    Parameters
    ----------
    predictions, truth
        Folders of masks; above 127 is face.
    ignore_value
        Grey value of the truth that means "not said"; None for no such value.

    Returns
    -------
    list of PhotoScores
        In the order of the names.

    Raises
    ------
    UsageError
        A folder is missing, has no masks, a mask cannot be read or has another size than its truth, or two
        predictions fit a truth.
    """
    predicted, wanted = masks_of(predictions, "--predictions"), masks_of(truth, "--truth")
    matches = _matches(predicted, wanted)
    results = []
    for key, truth_path in wanted.items():
        path = matches.get(key)
        expected = _read_grey(truth_path)
        ignore = expected == ignore_value if ignore_value is not None else None
        mask = _read_grey(path) if path else np.zeros_like(expected)
        if mask.shape != expected.shape:
            raise UsageError(f"{path}: {_size(mask)} pixels, but {truth_path} has {_size(expected)}")
        results.append(PhotoScores(key, truth_path, path, compare(mask > 127, expected > 127, ignore)))
    return results


def summarise(results: Sequence[PhotoScores]) -> dict[str, float]:
    """Mean, median and 10th percentile of IoU, mean pixel accuracy and boundary F, face recall (all 0-1)."""
    iou = np.array([result.scores.iou for result in results])
    faces = sum(result.scores.faces for result in results)
    found = sum(result.scores.faces_found for result in results)
    return {
        "photographs": len(results),
        "iou_mean": float(iou.mean()),
        "iou_median": float(np.median(iou)),
        "iou_10th_percentile": float(np.percentile(iou, 10)),
        "pixel_accuracy": float(np.mean([result.scores.pixel_accuracy for result in results])),
        "boundary_f": float(np.mean([result.scores.boundary_f for result in results])),
        "face_recall": found / faces if faces else 1.0,
        "without_prediction": sum(result.prediction is None for result in results),
    }


def masks_of(folder: Path, option: str) -> dict[str, Path]:
    """Name without image suffixes -> file, for all pictures of a folder and the folders below."""
    if not folder.is_dir():
        raise UsageError(f"{option} {folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise UsageError(f"{option} {folder}: holds no pictures")
    keys = [_key(path.relative_to(folder)) for path in found]
    counts = Counter(keys)
    return {  # a.jpg and a.png beside each other keep what tells them apart
        key if counts[key] == 1 else _key(path.relative_to(folder), once=True): path
        for key, path in zip(keys, found, strict=True)
    }


def _key(path: Path, *, once: bool = False) -> str:
    """The path without its image suffixes; ``once``: without one of two, or with its only one."""
    bare = path
    while bare.suffix.lower() in IMAGE_SUFFIXES:
        bare = bare.with_suffix("")
    if not once:
        return bare.as_posix()
    return (path.with_suffix("") if path.with_suffix("") != bare else path).as_posix()


def _matches(files: Mapping[str, Path], wanted: Iterable[str]) -> dict[str, Path]:
    """Wanted name -> file: by the end of its path, or else by a name that is there once on both sides.

    Raises
    ------
    UsageError
        Two files fit.
    """
    by_name: dict[str, list[str]] = {}
    for key in files:
        by_name.setdefault(Path(key).name, []).append(key)
    wanted = list(wanted)
    names = Counter(Path(key).name for key in wanted)
    found: dict[str, Path] = {}
    for key in wanted:
        alike = by_name.get(Path(key).name, [])
        fitting = [other for other in alike if other == key] or [
            other for other in alike if other.endswith(f"/{key}")
        ]
        if not fitting and len(alike) == 1 and names[Path(key).name] == 1:
            fitting = alike
        if len(fitting) > 1:
            shown = " and ".join(str(files[other]) for other in fitting[:2])
            raise UsageError(f"{shown} both fit {key}; compare folder by folder")
        if fitting:
            found[key] = files[fitting[0]]
    return found


def _read_grey(path: Path) -> NDArray[np.uint8]:
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise UsageError(f"{path}: cannot be read as a picture")
    return np.asarray(mask, np.uint8)


def _read_bgr(path: Path) -> NDArray[np.uint8] | None:
    """A photograph as viewers show it, as it was segmented; None where it cannot be read."""
    try:
        photo = read_photo(path, max_pixels=_MOST_PIXELS)
    except ImageReadError:
        return None
    return np.ascontiguousarray(photo.pixels[..., ::-1])


def _size(mask: NDArray[np.uint8]) -> str:
    return f"{mask.shape[1]} x {mask.shape[0]}"


def write_csv(path: Path, results: Iterable[PhotoScores]) -> None:
    """Write a table with a line a photograph; `UsageError` if that cannot be done."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["name", *Scores.__dataclass_fields__, "truth", "prediction"])
            for result in results:
                writer.writerow(
                    [result.name, *asdict(result.scores).values(), result.truth, result.prediction or ""]
                )
    except OSError as error:
        raise UsageError(f"--csv {path}: cannot be written ({error.strerror})") from error


def write_sheet(path: Path, results: Sequence[PhotoScores], photos: Mapping[str, Path]) -> None:
    """Write tiles of photographs: truth only in blue, prediction only in red, both in white."""
    matches = _matches(photos, [result.name for result in results])
    tiles = [_tile(result, matches.get(result.name)) for result in results]
    columns = min(len(tiles), 4)
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    if not cv2.imwrite(str(path), np.vstack(rows)):
        raise UsageError(f"--sheet {path}: cannot be written; use a name that ends in .png or .jpg")


def _tile(result: PhotoScores, photo_path: Path | None) -> NDArray[np.uint8]:
    truth = _read_grey(result.truth) > 127
    mask = _read_grey(result.prediction) > 127 if result.prediction else np.zeros_like(truth)
    colours = np.zeros((*truth.shape, 3), np.uint8)
    colours[truth & ~mask], colours[mask & ~truth], colours[truth & mask] = (
        (255, 80, 0),
        (0, 0, 255),
        (255,) * 3,
    )
    photo = _read_bgr(photo_path) if photo_path else None
    if photo is not None and photo.shape[:2] == truth.shape:
        differs = truth != mask
        blend = photo.copy()
        blend[differs] = (photo[differs] * 0.4 + colours[differs] * 0.6).astype(np.uint8)
        colours = blend
    ratio = _TILE_PX / max(colours.shape[:2])
    small = cv2.resize(colours, None, fx=ratio, fy=ratio, interpolation=cv2.INTER_AREA)
    tile = np.full((_TILE_PX + 24, _TILE_PX, 3), 32, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[:_TILE_PX, :_TILE_PX]
    label = f"{result.scores.iou:.3f} {Path(result.name).name}"[:32]
    cv2.putText(
        tile, label, (4, _TILE_PX + 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA
    )
    return tile
