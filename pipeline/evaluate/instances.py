"""Figures of merit face by face: which true face is found by which predicted one, and how well.

- Precision, recall: pairs that share at least half (IoU), over predicted and over true faces.
- AP: COCO's average precision (cocoapi, ``PythonAPI/pycocotools/cocoeval.py``): faces by falling score, each
  paired with the true face it shares most with, the precision made falling and read at 101 recalls; the mean
  over the IoU thresholds 0.50, 0.55, ... 0.95. No limit to the faces of a photograph, all sizes.
- Panoptic quality (Kirillov et al., CVPR 2019): the sum of IoU of pairs above one half over pairs plus half
  of what is unpaired on either side; the product of segmentation quality (mean IoU of pairs) and recognition
  quality (F1).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.exports.values import MaskWindow

THRESHOLDS = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0, 1, 101)


class InstanceTotals:
    """Adds up photographs, and tells the figures."""

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._hits: list[NDArray[np.bool_]] = []
        self._truths = 0
        self._pairs: list[float] = []

    def add(
        self, predicted: Sequence[MaskWindow], scores: Sequence[float], truth: Sequence[MaskWindow]
    ) -> None:
        """Add a photograph.

        Parameters
        ----------
        predicted
            Masks of the predicted faces.
        scores
            Theirs, higher is surer; 1 for all where there are none.
        truth
            Masks of the true faces, on the same grid.
        """
        order = sorted(range(len(predicted)), key=lambda index: -scores[index])
        iou = np.array([[predicted[index].iou(mask) for mask in truth] for index in order])
        iou = iou.reshape(len(order), len(truth))
        self._truths += len(truth)
        self._scores += [scores[index] for index in order]
        hits = np.stack([_greedy(iou, threshold) for threshold in THRESHOLDS], axis=1)
        self._hits.extend(hits)
        self._pairs += iou[iou > 0.5].tolist() if _exclusive(iou) else _best_pairs(iou)

    def figures(self) -> dict[str, float]:
        """All figures, 0-1, and the counts; a figure without anything to count is 1."""
        hits = np.array(self._hits, bool).reshape(-1, len(THRESHOLDS))
        order = np.argsort(-np.array(self._scores), kind="stable")
        precision_at = [
            _average_precision(hits[order, column], self._truths) for column in range(len(THRESHOLDS))
        ]
        found, predicted, pairs = int(hits[:, 0].sum()), len(hits), len(self._pairs)
        unpaired = (predicted - pairs) + (self._truths - pairs)
        quality = pairs + unpaired / 2
        return {
            "true_faces": self._truths,
            "predicted_faces": predicted,
            "precision_50": found / predicted if predicted else 1.0,
            "recall_50": found / self._truths if self._truths else 1.0,
            "ap": float(np.mean(precision_at)),
            "ap_50": precision_at[0],
            "ap_75": precision_at[5],
            "panoptic_quality": float(sum(self._pairs)) / quality if quality else 1.0,
            "segmentation_quality": float(np.mean(self._pairs)) if pairs else 1.0,
            "recognition_quality": pairs / quality if quality else 1.0,
        }


def _greedy(iou: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
    """Whether each predicted face, the surest first, finds a true one that is still free."""
    free = np.ones(iou.shape[1], bool)
    hits = np.zeros(iou.shape[0], bool)
    for row, shares in enumerate(iou):
        open_shares = np.where(free, shares, -1.0)
        best = int(open_shares.argmax()) if free.any() else -1
        if best >= 0 and open_shares[best] >= min(threshold, 1 - 1e-10):
            hits[row] = True
            free[best] = False
    return hits


def _exclusive(iou: NDArray[np.float64]) -> bool:
    """Whether pairs above one half are unique, as they are where no two masks of a side overlap."""
    above = iou > 0.5
    return bool((above.sum(axis=0) <= 1).all() and (above.sum(axis=1) <= 1).all())


def _best_pairs(iou: NDArray[np.float64]) -> list[float]:
    """IoU of pairs above one half, most first, each face once: for faces that overlap."""
    pairs = []
    left = iou.copy()
    while left.size and left.max() > 0.5:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        pairs.append(float(left[row, column]))
        left[row, :], left[:, column] = 0, 0
    return pairs


def _average_precision(hits: NDArray[np.bool_], truths: int) -> float:
    """Of faces by falling score. Where there is nothing to find: 1 if nothing was found, else 0."""
    if truths == 0:
        return float(len(hits) == 0)
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(true / truths, _RECALLS, side="left")
    return float(np.where(places < len(hits), np.append(precision, 0)[places], 0).mean())
