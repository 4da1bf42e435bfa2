"""What is written for the frames of one chunk: streams to be joined later, and numbered files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.output_pictures import encode_picture, face_pictures
from pipeline.outputs import write_atomically
from pipeline.results import PhotoResult
from pipeline.video.reader import Frame
from pipeline.video.store import Store, whole_output
from pipeline.video.timeline import Timeline
from pipeline.video.writer import (
    FFV1_GREY,
    FFV1_GREY_16,
    H264_PREVIEW,
    MASK_FORMS,
    Form,
    StreamWriter,
)

MAX_BYTE_TRACKS = 255
"""So many tracks fit the bytes of an instance map."""


def stream_forms(config: Config, tracks: int) -> dict[str, Form]:
    """Which streams a clip gets, and how each is coded.

    Parameters
    ----------
    config
        ``output`` and ``video.format`` are used.
    tracks
        Number of tracks of the clip.

    Returns
    -------
    dict
        Folder (``masks``, ``instances``, ...) -> form; those that are written as numbered files are left out.
    """
    output, chosen = config.output, config.video.format
    forms: dict[str, Form] = {}
    if chosen != "png":
        if output.masks:
            forms["masks"] = MASK_FORMS[chosen]
        if output.soft_masks:
            forms["soft_masks"] = MASK_FORMS[chosen]
        if output.instances:
            forms["instances"] = FFV1_GREY if tracks <= MAX_BYTE_TRACKS else FFV1_GREY_16
    if output.overlays:
        forms["overlays"] = H264_PREVIEW
    return forms


def sequence_kinds(config: Config) -> tuple[str, ...]:
    """Folders in which a clip gets a numbered file a frame."""
    if config.video.format != "png":
        return ()
    output = config.output
    return tuple(kind for kind in ("masks", "instances", "soft_masks") if getattr(output, kind))


class ChunkOutputs:
    """Writes the frames of one chunk.

    Parameters
    ----------
    store
        Where the chunk's streams go.
    chunk
        Number of the chunk.
    name
        Of the clip.
    timeline
        Of the clip.
    config
        ``output`` and ``video`` are used.
    tracks
        Number of tracks of the clip.

    Raises
    ------
    EncodingError
        An encoder refuses the size.
    OutputError
        Nothing can be written there.
    """

    def __init__(
        self, store: Store, chunk: int, name: str, timeline: Timeline, config: Config, tracks: int
    ) -> None:
        self._config = config
        self._name = name
        self._timeline = timeline
        self._is_stored = config.output.orientation == "stored"
        self._wide = tracks > MAX_BYTE_TRACKS
        self._stack = ExitStack()
        self._streams: dict[str, StreamWriter] = {}
        size_wh = timeline.stored_size_wh if self._is_stored else timeline.size_wh
        with ExitStack() as opened:
            for kind, form in stream_forms(config, tracks).items():
                path = opened.enter_context(whole_output(store.path(kind, chunk)))
                writer = StreamWriter(path, form, size_wh, timeline.time_base, timeline.rate)
                self._streams[kind] = opened.enter_context(writer)
            self._stack = opened.pop_all()

    def __enter__(self) -> ChunkOutputs:
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def write(self, frame: Frame, result: PhotoResult, tracks: Sequence[int]) -> None:
        """Write all that there is of a frame.

        Parameters
        ----------
        frame
            The frame.
        result
            Of the frame.
        tracks
            Track number of every face of the result.
        """
        pts = self._timeline.pts[frame.index]
        mask = result.mask
        for kind, stream in self._streams.items():
            painted = self._on_grid(mask) if kind == "overlays" else None
            stream.write(pts, self._picture(kind, frame, result, mask, tracks), painted)
        root = Path(self._config.output.directory)
        for kind in sequence_kinds(self._config):
            path = root / kind / self._name / f"{frame.index:06d}.png"
            write_atomically(path, [encode_picture(".png", self._picture(kind, frame, result, mask, tracks))])
        for face, track in zip(result.faces, tracks, strict=True):
            for kind, picture in face_pictures(face, self._config.output):
                path = root / kind / self._name / str(track) / f"{frame.index:06d}.png"
                write_atomically(path, [encode_picture(".png", picture)])

    def _picture(
        self, kind: str, frame: Frame, result: PhotoResult, mask: NDArray[np.uint8], tracks: Sequence[int]
    ) -> NDArray[Any]:
        """A frame of one stream, on the pixel grid that is asked for."""
        makers: dict[str, Callable[[], NDArray[Any]]] = {
            "masks": lambda: mask,
            "soft_masks": lambda: mask if result.alpha is None else result.alpha,
            "instances": lambda: track_numbers(result.instances, tracks, wide=self._wide),
            "overlays": lambda: frame.pixels,
        }
        picture = makers[kind]()
        if kind in ("masks", "soft_masks") and self._config.video.format == "prores4444":
            picture = np.dstack([frame.pixels, picture])
        return self._on_grid(picture)

    def _on_grid(self, upright: NDArray[Any]) -> NDArray[Any]:
        return self._timeline.as_stored(upright) if self._is_stored else np.ascontiguousarray(upright)


def track_numbers(
    instances: NDArray[Any], tracks: Sequence[int], *, wide: bool
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A map of face numbers made one of track numbers: 0 background, else track + 1.

    Parameters
    ----------
    instances
        (H, W) of `pipeline.results.PhotoResult`.
    tracks
        Track number of every face.
    wide
        Give uint16 rather than uint8.
    """
    if not wide and instances.dtype == np.uint8 and list(tracks) == list(range(len(tracks))):
        return np.asarray(instances, np.uint8)  # they are the numbers already
    table = np.zeros(len(tracks) + 1, np.uint16 if wide else np.uint8)
    table[1:] = np.asarray(tracks, np.int64) + 1
    if not wide and instances.dtype == np.uint8:
        padded = np.zeros(256, np.uint8)
        padded[: len(table)] = table
        return np.asarray(cv2.LUT(instances, padded), np.uint8)
    numbers: NDArray[Any] = table[instances]
    return numbers
