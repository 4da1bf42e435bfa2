"""From the scores of one face to its mask: neighbours, jaw line, decision, clean-up, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from landmarks.geometry import FaceLandmarks
from pipeline.confidence import LANDMARKS, RIGHT, read_clues, weighed
from pipeline.config import Config
from pipeline.jaw import beyond_jaw, held_to_jaw, overstepping
from pipeline.models.catalogue import Recommended
from pipeline.neighbours import without_neighbours
from pipeline.refine import refine_mask
from pipeline.results import FaceResult
from pipeline.scores import CropScores, probability


def decide_face(
    face: FaceLandmarks,
    scores: CropScores,
    points: NDArray[Any],
    heads: Sequence[FaceLandmarks],
    config: Config,
    settings: Recommended,
) -> tuple[FaceResult, Float32Array]:
    """Decide which pixels of a crop are the face.

    Parameters
    ----------
    face
        The face.
    scores
        What the network says of its crop.
    points
        (68, 2) its landmarks in pixels of the frame, whole or to a part of a pixel.
    heads
        All heads that are known in the frame, this one among them.
    config
        ``scores.neighbours``, ``refine`` and ``output.soft_masks`` are used.
    settings
        Those of the network in use; see `pipeline.models.settling.network_settings`.

    Returns
    -------
    result, winning
        The face, and its (crop height, crop width) float32 margin where the mask is set, zero elsewhere, for
        the instance map.
    """
    others = [head.points for head in heads if head is not face] if config.scores.neighbours else []
    own = without_neighbours(scores, points, others)
    beyond = beyond_jaw(own.to_grid(points), (own.margin.shape[0], own.margin.shape[1]))
    overstepped = overstepping(own.margin, beyond)
    held = held_to_jaw(
        own,
        points,
        penalty=settings.jaw_penalty,
        support=settings.jaw_support,
        beyond=beyond,
        overstepped=overstepped,
    )
    refine = partial(refine_mask, **config.refine.model_dump())
    mask, crop_margin = held.decide(interpolation=settings.interpolation, refine=refine)
    inside = mask > 0
    score = float(probability(crop_margin[inside]).mean()) if inside.any() else 0.0
    soft = config.output.soft_masks
    alpha = np.rint(probability(crop_margin) * 255).astype(np.uint8) if soft else None
    smallest = np.finfo(np.float32).tiny
    winning = np.asarray(cv2.copyTo(np.maximum(crop_margin, smallest), mask), np.float32)
    clues = read_clues(face, own, network=score, overstepped=overstepped)
    confidence, quality = weighed(clues, RIGHT), weighed(clues, LANDMARKS)
    apart = scores.mirror_disagreement
    return FaceResult(face, scores.crop, mask, alpha, score, apart, confidence, quality), winning
