"""What a run would do: its photographs, and which of them are done already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.clip_files import is_camera
from pipeline.collecting import PhotoPath
from pipeline.config import Config
from pipeline.inputs import list_photos
from pipeline.manifest.digest import result_digest
from pipeline.manifest.journal import DONE, read_manifest
from pipeline.output_directory import tells_case
from pipeline.video.task import clip_digests

ModelHashes = Callable[[Config], Mapping[str, str]]
"""SHA-256 of the model files of a configuration, by which results are known to be up to date."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run would do with one photograph.

    Attributes
    ----------
    path
        Its path.
    name
        Name of its outputs.
    done
        Whether it was done before, and is left alone unless it has changed since.
    """

    path: str
    name: str
    done: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do: its photographs, and sentences on what it leaves out."""

    photos: tuple[Planned, ...]
    left_out: tuple[str, ...] = ()


def plan(config: Config, *, force: bool = False, model_hashes: ModelHashes | None = None) -> Plan:
    """Say what `pipeline.runner.run` would do, and do nothing; what it raises is raised."""
    if model_hashes is None:
        from pipeline import loading  # noqa: PLC0415 - loads dlib and OpenCV

        model_hashes = loading.model_hashes
    models = model_hashes(config)
    digests = {False: result_digest(config, models), True: clip_digests(config, models)[0]}
    cameras = [path for path in config.input.paths if is_camera(path)]
    if cameras:
        others = tuple(path for path in config.input.paths if path not in cameras)
        config = config.model_copy(update={"input": config.input.model_copy(update={"paths": others})})
    photos, left_out = listed(config, whole_disks=force) if config.input.paths else ([], [])
    left_out += [f"{path} would be recorded for {config.video.camera_seconds:g} s" for path in cameras]
    is_clip = {photo.name: photo.is_clip for photo in photos}
    records = read_manifest(Path(config.output.directory)) if config.execution.skip_done and not force else ()
    done = {
        record["name"] for record in records if is_done(record, digests[is_clip.get(record["name"], False)])
    }
    planned = tuple(Planned(photo.path, photo.name, photo.name in done) for photo in photos)
    return Plan(planned, tuple(left_out))


def listed(config: Config, *, whole_disks: bool) -> tuple[list[PhotoPath], list[str]]:
    """The photographs, and what is to be told of what was left out."""
    directory, left_out = Path(config.output.directory), list[str]()
    photos = list_photos(
        config.input,
        output_directory=directory,
        case_sensitive=tells_case(directory),
        on_left_out=left_out.append,
        clips=config.video,
        whole_disks=whole_disks,
    )
    return photos, left_out


def is_done(record: Mapping[str, Any], digest: str) -> bool:
    """Whether a line of the manifest says that its photograph was done, with settings of this digest."""
    return record.get("status") in DONE and record.get("digest") == digest and bool(record.get("sha256"))
