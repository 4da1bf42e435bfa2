from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from tests.training.synthetic import write_prepared
from training.batches import batches_from, make_batch, to_network_input
from training.datasets import TrainingData, load_training_data
from training.network import CAFFE_MEAN_BGR
from training.options import TrainOptions


@pytest.fixture
def data(tmp_path: Path) -> TrainingData:
    write_prepared(tmp_path / "celebamask_mini", [f"p{number}" for number in range(6)], size=64)
    return load_training_data(tmp_path, validation=False)


def options_for(tmp_path: Path, workers: int) -> TrainOptions:
    return TrainOptions(
        tmp_path, tmp_path, batch=2, window_px=32, final_window_px=64, workers=workers, device="cpu"
    )


def test_input_is_bgr_minus_the_mean() -> None:
    images = torch.zeros(1, 2, 3, 3, dtype=torch.uint8)
    images[:] = torch.tensor([10, 20, 30], dtype=torch.uint8)
    batch = to_network_input(images)
    assert batch.shape == (1, 3, 2, 3) and batch.dtype == torch.float32
    assert batch.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(
        batch[0, :, 0, 0].numpy(), np.array([30, 20, 10]) - np.array(CAFFE_MEAN_BGR), rtol=1e-6
    )


@pytest.fixture
def opencv_has_threads() -> Iterator[None]:
    """Have OpenCV keep a pool of threads, as any earlier use of it in the process may."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    cv2.GaussianBlur(np.zeros((1000, 1000, 3), np.uint8), (0, 0), 5)
    yield
    cv2.setNumThreads(before)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # on one core
@pytest.mark.usefixtures("opencv_has_threads")
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_depend_on_the_step_only(tmp_path: Path, data: TrainingData, workers: int) -> None:
    options = options_for(tmp_path, workers)
    made = list(islice(batches_from(data, options, 1, 5, lambda step: step >= 7), 4))
    for step, batch in enumerate(made, start=5):
        expected = make_batch(data, options, 1, step, final=step >= 7)
        for part, expected_part in zip(batch, expected, strict=True):
            assert part.dtype == torch.uint8
            assert torch.equal(part, expected_part)
    assert [batch[0].shape[1] for batch in made] == [32, 32, 64, 64]


def test_processes_and_steps_get_other_crops(tmp_path: Path, data: TrainingData) -> None:
    options = options_for(tmp_path, 0)
    first = make_batch(data, options, 0, 0)[0]
    assert not torch.equal(first, make_batch(data, options, 1, 0)[0])
    assert not torch.equal(first, make_batch(data, options, 0, 1)[0])


def test_without_workers_nothing_is_made_ahead(tmp_path: Path, data: TrainingData) -> None:
    asked: list[int] = []

    def is_final(step: int) -> bool:
        asked.append(step)
        return False

    batches = batches_from(data, options_for(tmp_path, 0), 0, 3, is_final)
    next(batches)
    assert asked == [3], "a run on the clock decides at the step itself"
