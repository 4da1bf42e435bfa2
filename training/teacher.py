"""Labels mixed with a trained network's answers, so that their faults are not learnt by heart.

A network that is trained on and on begins to know the faults of single labels: a hand that is called skin,
a jaw line drawn a finger too low. One whose training ended earlier knows what all photographs have in common,
and contradicts most of those. With its answers mixed in, a pixel that both agree on stays as it was, and
where they contradict each other nobody insists (self-distillation: Furlanello et al., arXiv 1805.04770).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.distributed

from landmarks.arrays import Pixels
from training.augment import NETWORK_SIZE_PX, crop_box
from training.batches import to_network_input
from training.data import Sample
from training.datasets import PSEUDO_SOURCE, TrainingData
from training.losses import face_logit
from training.network import FaceNetwork

CONTRADICTION = 0.9
"""Pixels whose label differs from the teacher's probability by more than this are not taught at all."""

BATCH = 8


def _box(sample: Sample) -> tuple[int, int, int, int]:
    size_wh = (sample.face.shape[1], sample.face.shape[0])
    x, y, width, height = (int(value) for value in crop_box(sample.extent, size_wh, clamp=True))
    return x, y, width, height


def _crop(sample: Sample) -> Pixels:
    x, y, width, height = _box(sample)
    size_wh = (NETWORK_SIZE_PX, NETWORK_SIZE_PX)
    pixels = sample.image[y : y + height, x : x + width]
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_CUBIC), np.uint8)


def ask(network: FaceNetwork, samples: Sequence[Sample]) -> list[Pixels]:
    """Return the teacher's probability of face, 0..255, in every sample's crop of 256 x 256 pixels.

    The two scores of the crop and of its mirror image are averaged.
    """
    device = next(network.parameters()).device
    answers: list[Pixels] = []
    for start in range(0, len(samples), BATCH):
        crops = torch.from_numpy(np.stack([_crop(sample) for sample in samples[start : start + BATCH]]))
        with torch.inference_mode():
            inputs = to_network_input(crops.to(device))
            mirrored = face_logit(network(inputs.flip(-1))).flip(-1)
            probability = torch.sigmoid((face_logit(network(inputs)) + mirrored) / 2)
        answers.extend((probability * 255).round().to(torch.uint8).cpu().numpy())
    return answers


def ask_together(network: FaceNetwork, samples: Sequence[Sample]) -> list[Pixels]:
    """Do what `ask` does, shared out over the training processes if there are several."""
    if not torch.distributed.is_initialized():
        return ask(network, samples)
    rank, count = torch.distributed.get_rank(), torch.distributed.get_world_size()
    parts: list[list[Pixels]] = [[] for _ in range(count)]
    torch.distributed.all_gather_object(parts, ask(network, samples[rank::count]))
    return [parts[index % count][index // count] for index in range(len(samples))]


def mix(sample: Sample, answer: Pixels, share: float) -> Sample:
    """Return the sample with `share`, 0..1, of the teacher's answer (see `ask`) in its label."""
    x, y, width, height = _box(sample)
    inside = np.s_[y : y + height, x : x + width]
    said = cv2.resize(answer, (width, height)).astype(np.float32)
    label = sample.face[inside].astype(np.float32)
    face, weight = sample.face.copy(), sample.weight.copy()
    face[inside] = np.round((1 - share) * label + share * said).astype(np.uint8)
    weight[inside][np.abs(label - said) > 255 * CONTRADICTION] = 0
    return replace(sample, face=face, weight=weight)


def mix_in_teacher(data: TrainingData, network: FaceNetwork, share: float) -> None:
    """Mix a teacher's answers into the training labels of `data`, in place.

    Pseudo-labels are such answers already, and what is scored stays as it is.
    """
    for source, samples in data.training.items():
        if source != PSEUDO_SOURCE:
            answers = ask_together(network, samples)
            data.training[source] = [
                mix(sample, answer, share) for sample, answer in zip(samples, answers, strict=True)
            ]
