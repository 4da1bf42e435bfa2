"""``uncrop evaluate``: compare masks with the truth.

With ``--config C --photos DIR`` the photographs are segmented first, into ``--predictions``. ``--clips``
needs no truth: it says how still the masks of clips stand.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from pipeline.config import load_config
from pipeline.counted import counted
from pipeline.errors import EXIT_OK, EXIT_SOME_FAILED, UsageError
from pipeline.evaluate.comparison import (
    PhotoScores,
    evaluate_folders,
    masks_of,
    summarise,
    write_csv,
    write_sheet,
)
from pipeline.evaluate.sources import evaluate_faces, holds_faces
from pipeline.files import path_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--predictions",
        type=path_argument,
        metavar="PATH",
        help="output directory of a run, COCO file, or folder of masks",
    )
    parser.add_argument(
        "--truth",
        type=path_argument,
        metavar="PATH",
        help="folder of true masks; or a COCO file, or the output directory of a run whose masks people have "
        "accepted and corrected: then faces are compared one by one, too",
    )
    parser.add_argument(
        "--clips",
        type=path_argument,
        metavar="OUTPUT",
        help="say how still the masks of this run's clips stand",
    )
    parser.add_argument(
        "--photos", type=path_argument, metavar="DIR", help="segment these first, and show them in the sheet"
    )
    parser.add_argument("--config", type=path_argument, metavar="YAML", help="how to segment them")
    parser.add_argument(
        "--ignore-value", type=int, metavar="GREY", help="grey value of truth masks that is not scored"
    )
    parser.add_argument("--csv", type=path_argument, metavar="FILE", help="write a line a photograph")
    parser.add_argument("--sheet", type=path_argument, metavar="FILE", help="write a picture of the worst")
    parser.add_argument(
        "--worst", type=_at_least_one, default=12, metavar="N", help="how many of the worst (default 12)"
    )


def execute(options: argparse.Namespace) -> int:
    """Run the command; returns the exit code."""
    if options.clips:
        if options.predictions or options.truth:
            raise UsageError("--clips needs no --predictions and no --truth: give one or the other")
        return _clips(options.clips, options.csv)
    if not (options.predictions and options.truth):
        raise UsageError("name --predictions DIR and --truth DIR, or --clips OUTPUT")
    if options.config and not options.photos:
        raise UsageError("--config segments photographs: say which with --photos DIR")
    if options.config:
        exit_code = _segment(options.config, options.photos, options.predictions)
        if exit_code not in {EXIT_OK, EXIT_SOME_FAILED}:
            return exit_code
    results, by_face = _results(options)
    missing = [result for result in results if result.prediction is None]
    if missing:
        print(
            f"warning: no prediction for {len(missing)} of {counted(len(results), 'truth')}, which count as "
            f"compared with an empty mask, {missing[0].truth} among them",
            file=sys.stderr,
        )
    for name, value in {**summarise(results), **by_face}.items():
        print(f"{name:<22}{value:>10.4f}" if isinstance(value, float) else f"{name:<22}{value:>10}")
    if options.csv:
        write_csv(options.csv, results)
    if options.sheet:
        photos = masks_of(options.photos, "--photos") if options.photos else {}
        write_sheet(options.sheet, sorted(results, key=lambda r: r.scores.iou)[: options.worst], photos)
    return EXIT_OK


def _results(options: argparse.Namespace) -> tuple[list[PhotoScores], dict[str, float]]:
    """Figures a photograph and, where the truth tells faces apart, by face."""
    if not holds_faces(options.truth):
        masks = options.predictions / "masks"
        folder = masks if masks.is_dir() else options.predictions
        return evaluate_folders(folder, options.truth, options.ignore_value), {}
    for option in ("sheet", "ignore_value"):
        if getattr(options, option) is not None:
            shown = option.replace("_", "-")
            raise UsageError(f"--{shown} is for --truth that is a folder of masks; leave it out")
    return evaluate_faces(options.predictions, options.truth)


def _clips(directory: Path, csv_path: Path | None) -> int:
    from pipeline.evaluate.temporal import temporal_figures, write_clips_csv  # noqa: PLC0415 - clips alone

    figures = temporal_figures(directory)
    for one in figures:
        print(one.name)
        for name, value in list(asdict(one).items())[1:]:
            print(f"  {name:<22}{value:>10.4f}" if isinstance(value, float) else f"  {name:<22}{value:>10}")
    if csv_path:
        write_clips_csv(csv_path, figures)
    return EXIT_OK


def _segment(config_path: Path, photos: Path, predictions: Path) -> int:
    from pipeline.commands.progress import Progress  # noqa: PLC0415 - comparing alone needs no models
    from pipeline.runner import run  # noqa: PLC0415

    config = load_config(config_path)
    config = config.model_copy(
        update={
            "input": config.input.model_copy(update={"paths": (str(photos),)}),
            "output": config.output.model_copy(update={"directory": str(predictions), "masks": True}),
        }
    )
    with Progress() as progress:
        summary = run(config, events=progress)
    print(summary, file=sys.stderr)
    return summary.exit_code


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1 is expected, got {number}")
    return number
