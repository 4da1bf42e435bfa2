"""What a training run leaves behind."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

from training.records import LogWriter


def test_curves_show_loss_and_scores(tmp_path: Path) -> None:
    log = LogWriter(tmp_path)
    for step in range(1, 4):
        log.step(step, 10.0 * step, 1.0 / step, 1e-3, 24 * step)
        log.scores(step, 10.0 * step, {"celebamask": 0.9 + 0.01 * step})
    log.draw()
    picture = np.asarray(cv2.imread(str(tmp_path / "curves.png")))
    assert picture.shape == (480, 640, 3)
    drawn = np.any(picture != 255, axis=2)
    assert drawn[:, 250:].any(0).mean() > 0.9


@pytest.mark.parametrize("seconds", [0.0, 1e-6])
def test_a_run_over_at_once_is_drawn(tmp_path: Path, seconds: float) -> None:
    log = LogWriter(tmp_path)
    log.step(1, seconds, 0.0, 1e-3, 24)
    log.scores(1, seconds, {"celebamask": 0.39})
    log.draw()
    assert np.ptp(np.asarray(cv2.imread(str(tmp_path / "curves.png")))) > 0
