"""The loss: weighted cross-entropy plus soft Dice, on the difference of the two scores."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

DICE_SMOOTHING_PX = 50.0
"""Added above and below in Dice, so that crops with hardly any face do not dominate."""


def face_logit(scores: Tensor) -> Tensor:
    """Return the logit of face (n, h, w), the difference of the two scores (n, 2, h, w)."""
    return scores[:, 1] - scores[:, 0]


def segmentation_loss(scores: Tensor, face: Tensor, weight: Tensor, *, dice_share: float = 0.5) -> Tensor:
    """Binary cross-entropy plus `dice_share` times soft Dice (Milletari et al., arXiv 1606.04797).

    Parameters
    ----------
    scores
        (n, 2, h, w) float; output of the network.
    face, weight
        (n, h, w) float; target and weight of every pixel, 0..1; a pixel of weight 0 has no say in either
        term.
    dice_share
        How much Dice counts beside cross-entropy.

    Returns
    -------
    Tensor
        Scalar.
    """
    logit = face_logit(scores)
    entropy = functional.binary_cross_entropy_with_logits(
        logit, face, weight, reduction="sum"
    ) / weight.sum().clamp(1)
    probability = torch.sigmoid(logit) * weight
    target = face * weight
    overlap = (probability * target).sum((1, 2))
    total = (probability * probability).sum((1, 2)) + (target * target).sum((1, 2))
    dice = 1 - (2 * overlap + DICE_SMOOTHING_PX) / (total + DICE_SMOOTHING_PX)
    return entropy + dice_share * dice.mean()
