"""A clip that is to be done, and the digests that tell whether it has been."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.executors.tasks import Task
from pipeline.manifest.digest import RESULTS_VERSION, result_digest
from pipeline.video.store import Store

CLIPS_VERSION = 3
"""Raised by every change of the program that changes what clips give but not what photographs give."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip that is to be done.

    Attributes
    ----------
    task
        Its path, names, and what an earlier run left.
    digest
        Of all settings and models that shape its results.
    search_digest
        Of those that shape the first pass.
    """

    task: Task
    digest: str
    search_digest: str

    def store(self, config: Config, sha256: str) -> Store:
        """Where its passes write."""
        key = hashlib.sha256(f"{self.digest} {sha256}".encode()).hexdigest()
        return Store(Path(config.output.directory), self.task.name, key)

    def found_path(self, config: Config) -> Path:
        """What the first pass of an earlier run found; the second can be made anew from it."""
        return Path(config.output.directory, "found", f"{self.task.name}.jsonl")


def clip_digests(config: Config, model_sha256: Mapping[str, str]) -> tuple[str, str]:
    """Digests of all that shapes a clip's results, and of what shapes its first pass alone.

    Parameters
    ----------
    config
        The whole configuration.
    model_sha256
        SHA-256 of every model file, as `pipeline.loading.model_hashes` names them.

    Returns
    -------
    digest, search_digest
        64 hexadecimal digits each.
    """
    video = config.video.model_dump(mode="json", exclude={"clips", "animations", "camera_seconds"})
    whole = [CLIPS_VERSION, result_digest(config, model_sha256), video, config.landmarks.read]
    search = [
        RESULTS_VERSION,
        CLIPS_VERSION,
        config.input.background,
        config.detector.model_dump(mode="json"),
        config.landmarks.model_dump(mode="json"),
        {key: video[key] for key in ("chunk_frames", "search_every")},
        sorted(digest for name, digest in model_sha256.items() if not name.startswith("network.")),
    ]
    return _digest(whole), _digest(search)


def _digest(values: object) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
