"""Which files a clip may have left in the output directory, and removing them."""

from __future__ import annotations

from pathlib import Path

from pipeline.config import Config
from pipeline.outputs import CLIP_FOLDERS, FACE_FOLDERS, PHOTO_FOLDERS, remove_outputs
from pipeline.video.store import remove_folder
from pipeline.video.task import Clip

STREAM_SUFFIXES = (".mkv", ".mp4", ".mov")
"""Of the files that streams are joined into."""


def possible_files(name: str) -> list[str]:
    """Every single file that a clip of this name may have got from any settings."""
    streams = [f"{kind}/{name}{suffix}" for kind in PHOTO_FOLDERS for suffix in STREAM_SUFFIXES]
    return [*streams, *(f"{kind}/{name}{suffix}" for kind in CLIP_FOLDERS for suffix in (".jsonl", ".lms"))]


def remove_clip_outputs(clip: Clip, config: Config) -> None:
    """Remove whatever results of a clip there are: it has failed.

    Raises
    ------
    OutputError
        One can't be removed.
    """
    root = Path(config.output.directory)
    remove_outputs(root, [*clip.task.old_files, *possible_files(clip.task.name)])
    remove_numbered_files(clip, config)


def remove_numbered_files(clip: Clip, config: Config) -> None:
    """Remove the single pictures of an earlier result: another may have fewer.

    Raises
    ------
    OutputError
        One can't be removed.
    """
    for kind in PHOTO_FOLDERS + FACE_FOLDERS:
        remove_folder(Path(config.output.directory, kind, clip.task.name))
