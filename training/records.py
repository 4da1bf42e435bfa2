"""What a run leaves behind: checkpoints that appear whole or not at all, a log, and its curves."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pipeline.files import whole_file

SHORTEST_AXIS = 1e-3
"""Least length of an axis of the curves (s, loss, IoU), so that a run over at once can be drawn."""


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all."""
    with whole_file(path) as file:
        torch.save(state, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint; train one with python -m training.train")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class LogWriter:
    """Appends to a run's ``log.csv`` (losses) and ``scores.csv`` (evaluations), and prints the same."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _append(self, name: str, row: dict[str, object]) -> None:
        path = self.folder / name
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        print(" ".join(f"{key}={value}" for key, value in row.items()), flush=True)

    def step(self, step: int, seconds: float, loss: float, rate: float, crops: int) -> None:
        """Log the running loss."""
        row = {
            "step": step,
            "seconds": round(seconds, 1),
            "loss": round(loss, 5),
            "rate": f"{rate:.2e}",
            "crops": crops,
        }
        self._append("log.csv", row)

    def scores(self, step: int, seconds: float, scores: dict[str, float]) -> None:
        """Log mean IoU by validation set."""
        rounded = {name: round(value, 5) for name, value in scores.items()}
        self._append("scores.csv", {"step": step, "seconds": round(seconds, 1), **rounded})

    def draw(self) -> None:
        """Draw loss (grey) and IoU over time into ``curves.png``, 640 x 480."""
        canvas = np.full((480, 640, 3), 255, np.uint8)
        colours = ((180, 80, 0), (0, 120, 0), (0, 0, 200), (150, 0, 150))
        for name, columns in (("log.csv", ["loss"]), ("scores.csv", None)):
            path = self.folder / name
            if not path.exists():
                continue
            with path.open(encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
            for index, column in enumerate(
                columns or [key for key in rows[0] if key not in ("step", "seconds")]
            ):
                xs = np.array([float(row["seconds"]) for row in rows])
                ys = np.array([float(row[column]) for row in rows])
                low, high = (0.0, float(ys.max())) if column == "loss" else (0.8, 1.0)
                right = 40 + xs / max(float(xs.max()), SHORTEST_AXIS) * 580
                up = 450 - (ys - low) / max(high - low, SHORTEST_AXIS) * 420
                curve = np.stack([right, up], 1)
                colour = (60, 60, 60) if column == "loss" else colours[index % len(colours)]
                cv2.polylines(canvas, [curve.round().astype(np.int32)], False, colour, 2, cv2.LINE_AA)
                spot = (60, 30 + 18 * (index + (column != "loss")))
                cv2.putText(canvas, f"{column} {low:g}..{high:.3g}", spot, 0, 0.45, colour, 1, cv2.LINE_AA)
        cv2.imwrite(str(self.folder / "curves.png"), canvas)
