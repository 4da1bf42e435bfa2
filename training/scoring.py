"""Intersection over union of the averaged weights on held-out crops, while training runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from landmarks.arrays import Pixels
from training.augment import plain_crop
from training.data import Sample
from training.losses import face_logit
from training.network import CAFFE_MEAN_BGR, FaceNetwork, to_channels_last


def masked_iou(predicted: Pixels, truth: Pixels, weight: Pixels) -> float:
    """Return the intersection over union of two masks where `weight` is above 0; 1 if both are empty."""
    scored = weight > 0
    a, b = (predicted > 127) & scored, (truth > 127) & scored
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 1.0


def predict_logits(network: FaceNetwork, image: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return face minus background score (h, w) of one RGB crop (h, w, 3)."""
    blob = image[:, :, ::-1].astype(np.float32) - np.array(CAFFE_MEAN_BGR, np.float32)
    batch = torch.from_numpy(np.ascontiguousarray(blob)).permute(2, 0, 1)[None]
    with torch.inference_mode():
        logits = face_logit(network(batch.contiguous(memory_format=torch.channels_last)))
    return np.asarray(logits[0].numpy(), np.float32)


def crop_scores(
    weights: Mapping[str, Tensor], validation: Mapping[str, Sequence[Sample]], *, limit: int | None
) -> dict[str, float]:
    """Return mean IoU over the plain crops of each validation set (its first `limit` samples)."""
    network = to_channels_last(FaceNetwork())
    network.load_state_dict(dict(weights))
    network.eval()
    result = {}
    for name, samples in validation.items():
        values = []
        for sample in samples[:limit]:
            crop = plain_crop(sample)
            predicted = np.where(predict_logits(network, crop.image) > 0, 255, 0).astype(np.uint8)
            values.append(masked_iou(predicted, crop.face, crop.weight))
        result[name] = float(np.mean(values))
    return result
