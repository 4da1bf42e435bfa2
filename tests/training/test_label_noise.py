from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from landmarks.arrays import Float32Array, Pixels

pytest.importorskip("torch", reason="torch comes with the training extra")

from tests.training.synthetic import write_prepared
from training import label_noise
from training.label_noise import (
    clear_edges,
    edge_distances,
    main,
    measure_folder,
    outline_length,
    signed_distance,
    summarise,
)
from training.network import FaceNetwork

SIDE, CENTRE, RADIUS = 320, (160, 160), 100
FACE_WIDTH = 200.0


def disc(radius: float) -> Pixels:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.where(np.hypot(columns - CENTRE[0], rows - CENTRE[1]) <= radius, 255, 0).astype(np.uint8)


@pytest.fixture
def photograph() -> Pixels:
    """A light disc on a dark ground: its edge is as clear as edges get."""
    inside = disc(RADIUS)[..., None] > 0
    return np.where(inside, (210, 170, 150), (40, 35, 60)).astype(np.uint8)


def test_signed_distance_is_positive_inside() -> None:
    distance = signed_distance(disc(RADIUS))
    assert distance[160, 160] == pytest.approx(RADIUS, abs=1)
    assert distance[160, 10] == pytest.approx(-50, abs=1)
    assert abs(distance[160, 60]) <= 0.5


@pytest.mark.parametrize("radius", [RADIUS, RADIUS - 4, RADIUS + 4])
def test_clear_edges_lie_on_the_disc_whichever_outline_is_followed(photograph: Pixels, radius: float) -> None:
    edges = clear_edges(photograph, disc(radius), FACE_WIDTH)
    assert len(edges) > 300
    np.testing.assert_allclose(np.hypot(*(edges - CENTRE).T), RADIUS, atol=1.0)


def test_the_label_that_is_off_is_told_from_the_exact_one(photograph: Pixels) -> None:
    distances = edge_distances(photograph, disc(RADIUS - 3), disc(RADIUS), FACE_WIDTH)
    assert distances.label.mean() == pytest.approx(-1.5, abs=0.25), "3 of 200 pixels, outside of the label"
    assert np.abs(distances.predicted).mean() < 0.3
    exact = (RADIUS - 3) ** 2 / RADIUS**2
    assert distances.exact_iou == pytest.approx(exact, abs=0.006)
    line = summarise([distances])
    assert "1 photographs" in line and "network closer in 100%" in line


def test_a_shift_that_all_share_is_taken_off(photograph: Pixels) -> None:
    line = summarise([edge_distances(photograph, disc(RADIUS - 3), disc(RADIUS), FACE_WIDTH)] * 2)
    label = line.split("label ")[1]
    assert float(label.split()[0]) > 1.2
    assert float(label.split("taken off: ")[1].split(")")[0]) < 0.4


@pytest.mark.parametrize("what", ["flat", "striped"])
def test_no_edge_is_made_up(what: str) -> None:
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    if what == "striped":
        for column in range(0, SIDE, 4):
            cv2.line(image, (column, 0), (column, SIDE), (230, 230, 230), 2)
            cv2.line(image, (0, column), (SIDE, column), (10, 10, 10), 2)
    edges = clear_edges(image, disc(RADIUS), FACE_WIDTH)
    assert len(edges) < (1 if what == "flat" else 40)


@pytest.mark.parametrize("width", [280.0, 100.0, 60.0])
def test_exact_labels_are_found_exact_whatever_their_size(width: float) -> None:
    scale = width / FACE_WIDTH
    rows, columns = np.mgrid[:SIDE, :SIDE]
    face = np.hypot((columns - 160) / (100 * scale), (rows - 160) / (140 * scale)) <= 1
    image = np.where(face[..., None], (210, 170, 150), (40, 35, 60)).astype(np.uint8)
    mask = np.where(face, 255, 0).astype(np.uint8)
    distances = edge_distances(image, mask, mask, width)
    assert np.abs(distances.label).mean() < 0.25
    assert distances.exact_iou > 0.99


def test_outline_length_is_that_of_the_drawn_line() -> None:
    assert outline_length(disc(RADIUS)) == pytest.approx(2 * np.pi * RADIUS, rel=0.01)
    turned = np.zeros((SIDE, SIDE), np.uint8)
    corners = np.array([[160, 60], [260, 160], [160, 260], [60, 160]])
    cv2.fillConvexPoly(turned, corners, 255)
    assert outline_length(turned) == pytest.approx(4 * 100 * np.sqrt(2), rel=0.03)


def test_photographs_without_a_prediction_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_prepared(tmp_path, ["one", "two"], size=200)
    monkeypatch.setattr(label_noise, "FEWEST_EDGES", 5)

    def predict(network: FaceNetwork, image: Pixels, points: Float32Array) -> Pixels:
        calls.append(points)
        mask = np.zeros(image.shape[:2], np.uint8)
        if len(calls) > 1:
            cv2.circle(mask, (100, 100), 60, 255, -1)
        return mask

    calls: list[Float32Array] = []
    monkeypatch.setattr(label_noise, "predict_mask", predict)
    measured = measure_folder(FaceNetwork(), tmp_path, lambda stem: True)
    assert len(calls) == 2 and len(measured) <= 1
    assert all(np.abs(distances.predicted).max() < 100 for distances in measured)


def test_a_folder_without_data_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["label_noise", "--data", str(tmp_path)])
    with pytest.raises(SystemExit):
        main()
    assert "no celebamask_mini" in capsys.readouterr().err


def test_an_empty_mask_has_no_outline(photograph: Pixels) -> None:
    assert clear_edges(photograph, np.zeros((SIDE, SIDE), np.uint8), FACE_WIDTH).shape == (0, 2)
