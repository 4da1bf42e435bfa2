"""Which results are up to date: a digest of all that shapes them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from pipeline.config import Config, shaping
from pipeline.models.settling import settled

RESULTS_VERSION = 3
"""Raised by every change of the program that changes results (a constant, a formula, a format): what was
made before is then made again instead of being taken for done."""


def result_digest(config: Config, model_sha256: Mapping[str, str]) -> str:
    """Digest of all that shapes a photograph's result: program, configuration and models.

    What the configuration leaves to the recommendations for the network counts as these say. Keys that are
    marked `pipeline.config.NO_RESULT` do not shape a result.

    Parameters
    ----------
    config
        The whole configuration.
    model_sha256
        SHA-256 of every model file.

    Returns
    -------
    str
        64 hex digits.
    """
    text = json.dumps(
        [RESULTS_VERSION, shaping(settled(config)), sorted(model_sha256.values())], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()
