"""``uncrop evaluate``: compare masks with the truth.

With ``--config C --photos DIR`` the photographs are segmented first, into ``--predictions``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pipeline.config import load_config
from pipeline.errors import EXIT_OK, EXIT_SOME_FAILED, UsageError
from pipeline.evaluate.comparison import evaluate_folders, masks_of, summarise, write_csv, write_sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
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


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
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
        write_csv(options.csv, results)
    if options.sheet:
        photos = masks_of(options.photos, "--photos") if options.photos else {}
        write_sheet(options.sheet, sorted(results, key=lambda r: r.scores.iou)[: options.worst], photos)
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


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is expected, got {number}")
    return number
