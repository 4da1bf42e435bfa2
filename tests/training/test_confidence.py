"""The fit of a figure that means what it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

from pipeline.confidence import Clues
from tests.training.synthetic import draw_face
from training.conditions import Photograph
from training.confidence import Row, cross_checked, fitted, reliability, shrunk


def test_the_fit_finds_the_weights_that_made_the_truth() -> None:
    rng = np.random.default_rng(3)
    clues = rng.normal(0, 1, (20_000, 2))
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 + 2 * clues[:, 0] - clues[:, 1])))
    assert fitted(clues, truth, np.ones(20_000)) == pytest.approx([0.5, 2, -1], abs=0.1)
    rare = np.where(truth, 0.1, 1.0)
    assert fitted(clues, truth, rare)[0] == pytest.approx(0.5 + np.log(0.1), abs=0.15)


def test_figures_are_of_people_that_were_not_fitted_on_and_come_true() -> None:
    rng = np.random.default_rng(4)
    blank = Clues(0, 0, 0, 0, 0, 0, 0, 0, 0)
    rows = [
        Row(f"Person_{number}", "plain", replace(blank, held=float(held)), bool(right), None)
        for number, (held, right) in enumerate(
            (value, rng.random() < 1 / (1 + np.exp(-3 * value))) for value in rng.normal(0, 1, 4000)
        )
    ]
    truth, weight = np.array([row.right for row in rows]), np.ones(len(rows))
    weights, figures = cross_checked(rows, ("held",), truth, weight)
    assert weights["held"] == pytest.approx(3, abs=0.4)
    sure = figures > 0.9
    assert truth[sure].mean() == pytest.approx(figures[sure].mean(), abs=0.03)
    assert len(reliability(figures, truth, weight).splitlines()) > 5


def test_shrunk_photographs_have_faces_of_the_width_asked_for() -> None:
    image, labels = draw_face()
    face = np.where(labels == 1, 255, 0).astype(np.uint8)
    small = shrunk(Photograph("drawn", image, face, face, face), 20)
    assert abs(int((small.face > 127).any(axis=0).sum()) - 20) <= 2
    assert small.image.shape[:2] == small.face.shape
