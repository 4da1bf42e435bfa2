"""The crops of every step: drawn, augmented and stacked, in the training process or in workers beside it.

A step's crops depend on the seed, the step, the process and on whether it is a final one, whoever makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from training.augment import AugmentOptions, augment
from training.data import Sample
from training.datasets import TrainingData
from training.network import CAFFE_MEAN_BGR
from training.options import TrainOptions

Batch = tuple[Tensor, Tensor, Tensor]
"""Crops (n, s, s, 3) RGB, face and weight (n, s, s); uint8, 0..255."""


def to_network_input(images: Tensor) -> Tensor:
    """Turn (n, h, w, 3) uint8 RGB crops into the network's input (n, 3, h, w) float32.

    That is BGR minus the Caffe mean, on the same device, laid out channels last.
    """
    mean = torch.tensor(CAFFE_MEAN_BGR, dtype=torch.float32, device=images.device)
    return (images.flip(-1).float() - mean).permute(0, 3, 1, 2)


def make_batch(
    data: TrainingData, options: TrainOptions, rank: int, step: int, *, final: bool = False
) -> Batch:
    """Draw and augment the crops of one step of one process; `final` ones are larger and gentler."""
    rng = np.random.default_rng([options.seed, rank, step])
    window = options.final_window_px if final else options.window_px
    gentle = options.gentle if final else 1.0
    settings = AugmentOptions(
        window_px=window,
        occluder_share=options.occluder_share * gentle,
        damage_share=options.damage_share * gentle,
        scene_share=options.scene_share * gentle,
        wild_share=options.wild_share * gentle,
    )
    drawn: list[Sample] = data.draw(rng, options.batch)
    crops = [augment(sample, data.occluders, rng, settings) for sample in drawn]
    return (
        torch.from_numpy(np.stack([crop.image for crop in crops])),
        torch.from_numpy(np.stack([crop.face for crop in crops])),
        torch.from_numpy(np.stack([crop.weight for crop in crops])),
    )


class _Steps(Sampler[tuple[int, bool]]):
    """Asks for one step after another without end, each with whether it is a final one."""

    def __init__(self, first: int, is_final: Callable[[int], bool]) -> None:
        self._first, self._is_final = first, is_final

    def __iter__(self) -> Iterator[tuple[int, bool]]:
        step = self._first
        while True:
            yield step, self._is_final(step)
            step += 1


class _StepBatches(Dataset[Batch]):
    def __init__(self, data: TrainingData, options: TrainOptions, rank: int) -> None:
        self._data, self._options, self._rank = data, options, rank

    def __getitem__(self, item: tuple[int, bool]) -> Batch:
        step, final = item
        return make_batch(self._data, self._options, self._rank, step, final=final)


def _begin_worker(_number: int) -> None:
    cv2.setNumThreads(1)  # where workers are not forked; in a forked one it is so already


def batches_from(
    data: TrainingData, options: TrainOptions, rank: int, first: int, is_final: Callable[[int], bool]
) -> Iterator[Batch]:
    """Yield the batches of step `first` and of those after it, without end.

    Parameters
    ----------
    data, options, rank
        What to draw from, how, and the number of the process. ``options.workers`` above 0 has as many
        processes make batches ahead; OpenCV then uses one thread here, too.
    first
        First step.
    is_final
        Says of a step whether it is in the last, larger and gentler part of the run. With workers it is
        asked up to two steps a worker ahead.
    """
    if options.workers > 0:
        # A forked worker inherits OpenCV's thread pool without its threads, and would wait for them for ever.
        cv2.setNumThreads(1)
    loader: DataLoader[Batch] = DataLoader(
        _StepBatches(data, options, rank),
        batch_size=None,
        sampler=_Steps(first, is_final),
        num_workers=max(0, options.workers),
        pin_memory=options.device == "cuda",
        worker_init_fn=_begin_worker,
    )
    return iter(loader)
