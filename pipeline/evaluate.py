"""Compare masks with the truth: ``python -m pipeline.evaluate --predictions DIR --truth DIR``.

With ``--config C --photos DIR`` the photographs are segmented first, into ``--predictions``.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import load_config
from pipeline.errors import EXIT_OK, EXIT_SOME_FAILED, UncropError, UsageError
from pipeline.metrics import Scores, compare

_IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"}
_TILE_PX = 240


@dataclass(frozen=True, slots=True)
class PhotoScores:
    """One photograph's comparison. ``prediction`` is None where there is no mask for the truth."""

    name: str
    truth: Path
    prediction: Path | None
    scores: Scores


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _evaluate(options)
    except UncropError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


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
    predicted, wanted = _masks_of(predictions, "--predictions"), _masks_of(truth, "--truth")
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline.evaluate", description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, metavar="DIR", help="folder of masks")
    parser.add_argument("--truth", type=Path, required=True, metavar="DIR", help="folder of true masks")
    parser.add_argument(
        "--photos", type=Path, metavar="DIR", help="segment these first, and show them in the sheet"
    )
    parser.add_argument("--config", type=Path, metavar="YAML", help="how to segment them")
    parser.add_argument(
        "--ignore-value", type=int, metavar="GREY", help="grey value of truth masks that is not scored"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line a photograph")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a picture of the worst")
    parser.add_argument(
        "--worst", type=_at_least_one, default=12, metavar="N", help="how many of the worst (default 12)"
    )
    return parser


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is expected, got {number}")
    return number


def _evaluate(options: argparse.Namespace) -> int:
    if options.config and not options.photos:
        raise UsageError("--config segments photographs: say which with --photos DIR")
    if options.config:
        exit_code = _segment(options.config, options.photos, options.predictions)
        if exit_code not in {EXIT_OK, EXIT_SOME_FAILED}:
            return exit_code
    masks = options.predictions / "masks"
    results = evaluate_folders(
        masks if masks.is_dir() else options.predictions, options.truth, options.ignore_value
    )
    missing = [result for result in results if result.prediction is None]
    if missing:
        print(
            f"warning: {len(missing)} of {len(results)} truths have no prediction and are compared with an "
            f"empty mask, {missing[0].truth} among them",
            file=sys.stderr,
        )
    for name, value in summarise(results).items():
        print(f"{name:<22}{value:>10.4f}" if isinstance(value, float) else f"{name:<22}{value:>10}")
    if options.csv:
        _write_csv(options.csv, results)
    if options.sheet:
        photos = _masks_of(options.photos, "--photos") if options.photos else {}
        _write_sheet(options.sheet, sorted(results, key=lambda r: r.scores.iou)[: options.worst], photos)
    return EXIT_OK


def _segment(config_path: Path, photos: Path, predictions: Path) -> int:
    from pipeline.runner import run  # noqa: PLC0415 - comparing alone needs no models

    config = load_config(config_path)
    config = config.model_copy(
        update={
            "input": config.input.model_copy(update={"paths": (str(photos),)}),
            "output": config.output.model_copy(update={"directory": str(predictions), "masks": True}),
        }
    )
    return run(config).exit_code


def _masks_of(folder: Path, option: str) -> dict[str, Path]:
    """Name without image suffixes -> file, for all pictures of a folder and the folders below."""
    if not folder.is_dir():
        raise UsageError(f"{option} {folder}: no such folder")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _IMAGE_SUFFIXES)
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
    while bare.suffix.lower() in _IMAGE_SUFFIXES:
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


def _size(mask: NDArray[np.uint8]) -> str:
    return f"{mask.shape[1]} x {mask.shape[0]}"


def _write_csv(path: Path, results: Iterable[PhotoScores]) -> None:
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


def _write_sheet(path: Path, results: Sequence[PhotoScores], photos: Mapping[str, Path]) -> None:
    """Tiles of the worst: truth only in blue, prediction only in red, both in white."""
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
    photo = cv2.imread(str(photo_path)) if photo_path else None
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


if __name__ == "__main__":
    sys.exit(main())
