"""What a training run depends on, and its command line."""

from __future__ import annotations

import argparse
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.files import path_argument

MAY_CHANGE = {
    "data", "out", "minutes", "steps", "evaluate_every_minutes", "encoder", "device", "precision", "workers"
}  # fmt: skip
"""Options that a run may be taken up with other values of."""

NO_ENCODER = Path("none")
"""Value of ``--encoder`` that leaves the encoder as it was drawn."""


@dataclass(frozen=True)
class TrainOptions:
    """Everything a run depends on; written into its checkpoints.

    Attributes
    ----------
    data, out
        Folder of the extracted data sets, folder the run is written to.
    minutes
        Wall-clock budget; the learning rate falls to zero at its end.
    steps
        Number of steps instead of a time budget when above 0 (then crops repeat exactly, and on a CPU in
        float32 so does the run).
    batch, processes
        Crops a process and step, and processes; gradients are averaged over the processes. 0: as many as
        the run began with; at first two on a CPU, one for every GPU.
    workers
        Processes that make crops ahead for every training process; 0: it makes its own. -1: none on a CPU,
        the cores there are on a GPU.
    device
        ``auto`` takes the GPU if there is one.
    precision
        Of the network's activations and products; ``auto`` is bfloat16 on a GPU and on a CPU with AMX.
    window_px, final_window_px
        Side of the training crops, and in the last `final_share` of the budget.
    final_share
        Share of the budget spent at `final_window_px`, 0..1.
    learning_rate, encoder_rate_share, weight_decay
        AdamW's; the encoder learns at a share of the rate.
    frozen_blocks
        Encoder blocks that stay as they are in ImageNet (with the stem).
    ema_decay
        Decay of the averaged weights a step; those are the ones evaluated and exported.
    seed
        Seed of everything; a step's crops depend on it, on the step and on the process only.
    occluder_share, damage_share, scene_share, wild_share
        See `AugmentOptions`.
    gentle
        Those shares are multiplied by this in the last `final_share` of the budget, 0..1.
    init, encoder
        Checkpoint or exported caffemodel (its prototxt beside it) to start from, or a file of
        EfficientNet-Lite0 weights (default: the installed package's; ``none``: random, give
        ``--frozen-blocks 0`` with it).
    pseudo
        Folder of pseudo-labelled photographs to add (see training.pseudo).
    reviewed
        Output directory of a run whose reviewed masks are added as labels (see training.reviewed).
    teacher
        Trained network (checkpoint or caffemodel) whose answers are mixed into the labels.
    teacher_share
        Share of its answers, 0..1.
    """

    data: Path
    out: Path
    minutes: float = 60.0
    steps: int = 0
    batch: int = 16
    processes: int = 0
    workers: int = -1
    device: str = "auto"
    precision: str = "auto"
    window_px: int = 192
    final_window_px: int = 256
    final_share: float = 0.2
    learning_rate: float = 1.5e-3
    encoder_rate_share: float = 0.4
    weight_decay: float = 0.01
    frozen_blocks: int = 3
    ema_decay: float = 0.998
    occluder_share: float = 0.55
    damage_share: float = 0.75
    scene_share: float = 0.2
    wild_share: float = 0.5
    gentle: float = 1.0
    seed: int = 20180515
    evaluate_every_minutes: float = 6.0
    init: Path | None = None
    encoder: Path | None = None
    pseudo: Path | None = None
    reviewed: Path | None = None
    teacher: Path | None = None
    teacher_share: float = 0.4


def refuse_changes(options: TrainOptions, earlier: dict[str, Any]) -> None:
    """Compare the options of a run with those in its checkpoint; options it does not know had their defaults.

    Raises
    ------
    ValueError
        If the run was begun with others, but for `MAY_CHANGE`.
    """
    mine = describe(options)
    defaults = {item.name: item.default for item in fields(TrainOptions)}
    changed = sorted(
        name
        for name, value in mine.items()
        if name not in MAY_CHANGE and value != earlier.get(name, defaults[name])
    )
    if changed:
        raise ValueError(
            f"{options.out} was trained with other options ({', '.join(changed)}): give the same, or "
            "another --out and this run's last.pt as --init"
        )


def describe(options: TrainOptions) -> dict[str, Any]:
    """Return the options as plain values for a checkpoint."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}


def parse_options(arguments: list[str] | None = None) -> TrainOptions:
    """Read the command line; every field of `TrainOptions` is an option of its name."""
    parser = argparse.ArgumentParser(description="Train the embedded face network.")
    parser.add_argument("--data", type=path_argument, required=True, help="folder of the extracted data sets")
    parser.add_argument("--out", type=path_argument, required=True, help="folder for checkpoints, log, model")
    for item in fields(TrainOptions):
        if item.name in ("data", "out"):
            continue
        kind = Path if item.default is None else type(item.default)
        parser.add_argument("--" + item.name.replace("_", "-"), type=kind, default=item.default)
    return TrainOptions(**vars(parser.parse_args(arguments)))
