"""What a worker of the server does: the bytes of a photograph in, the bytes of an answer out."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.executors.worker import Segmenter
from pipeline.exports.rle import encode_coco
from pipeline.files import FileHashes
from pipeline.images import Photo, read_photo_bytes, to_stored_orientation
from pipeline.manifest.records import error_entry, face_entry
from pipeline.output_pictures import cutout, encode_picture, overlay, times_alpha
from pipeline.photo import PhotoSegmenter
from pipeline.results import FaceResult, PhotoResult

Output = Literal["mask", "instances", "overlay", "cutout"]
OUTPUTS: tuple[Output, ...] = get_args(Output)
MEDIA_TYPES = ("image/png", "application/json", "application/zip")
"""What can be answered, the favourite first."""


@dataclass(frozen=True, slots=True)
class PhotoRequest:
    """A photograph to segment.

    Attributes
    ----------
    content
        The bytes of the file.
    media_type
        One of `MEDIA_TYPES`.
    output
        Which picture, for ``image/png``.
    """

    content: bytes
    media_type: str
    output: Output


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """An answer, ready to be sent.

    Attributes
    ----------
    content, media_type
        The body.
    status
        ``ok``, ``no_face`` or ``partial``.
    faces
        How many there are.
    """

    content: bytes
    media_type: str
    status: str
    faces: int


class PhotoAnswerer:
    """Segments photographs for requests; stays in one process.

    Parameters
    ----------
    config
        The whole configuration: the same keys as for a run.
    segmenter
        Does the work.
    """

    def __init__(self, config: Config, segmenter: Segmenter) -> None:
        self._config = config
        self._segmenter = segmenter

    def answer(self, request: PhotoRequest) -> PhotoAnswer:
        """Segment one photograph.

        Raises
        ------
        PhotoError
            It cannot be read or segmented.
        """
        photo = read_photo_bytes(
            request.content,
            max_pixels=self._config.input.max_pixels,
            background_rgb=self._config.input.background_rgb,
        )
        result = self._segmenter.segment(photo.pixels)
        turn = photo.orientation if self._config.output.orientation == "stored" else 1
        if request.media_type == "application/json":
            body = json.dumps(description(result), separators=(",", ":")).encode("ascii")
        elif request.media_type == "application/zip":
            body = _zip(result, photo, turn)
        else:
            body = encode_picture(
                ".png", to_stored_orientation(_picture(request.output, result, photo), turn)
            )
        return PhotoAnswer(body, request.media_type, result.status, len(result.faces))

    def close(self) -> None:
        """Free the models."""
        self._segmenter.close()


def photo_answerer(config: Config, known: FileHashes | None = None) -> PhotoAnswerer:
    """Load the models: the factory that crosses to the workers, with what is known of their files."""
    return PhotoAnswerer(config, PhotoSegmenter.from_config(config, known))


def description(result: PhotoResult) -> dict[str, Any]:
    """Describe a result for JSON; all coordinates and masks lie on the upright photograph.

    Returns
    -------
    dict
        ``status``, ``size_wh``, ``faces`` (as in the manifest, each with ``segmentation``: COCO's compressed
        run-length code of the face's whole mask, also where another face covers it), ``faces_at_limit`` (as
        in the manifest), ``errors``, ``seconds``.
    """
    height, width = result.instances.shape
    return {
        "status": result.status,
        "size_wh": [width, height],
        "faces": [
            {
                **face_entry(number, face, result, {}),
                "segmentation": segmentation(face),
            }
            for number, face in enumerate(result.faces, start=1)
        ],
        "faces_at_limit": result.at_limit,
        "errors": [error_entry(error) for error in result.errors],
        "seconds": {stage: round(seconds, 4) for stage, seconds in result.timings.items()},
    }


def segmentation(face: FaceResult) -> dict[str, Any]:
    """COCO's compressed run-length code of a face's whole mask on the upright photograph."""
    width, height = face.crop.frame_size_wh
    rows, columns = face.crop.frame_slices
    window = face.crop.in_frame(face.mask) > 0
    counts = encode_coco(window, (width, height), (columns.start, rows.start))
    return {"size": [height, width], "counts": counts}


def _picture(output: Output, result: PhotoResult, photo: Photo) -> NDArray[Any]:
    """The picture asked for, upright, as large as the photograph."""
    if output == "instances":
        return result.instances
    if output == "overlay":
        return overlay(photo.pixels, result.mask)
    if output == "cutout":
        return np.dstack([photo.pixels, times_alpha(result.mask, photo.alpha)])
    return result.mask


def _zip(result: PhotoResult, photo: Photo, turn: int) -> bytes:
    """All there is: ``faces.json``, the pictures, and every face cut out."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in _files(result, photo, turn):
            # A fixed date, so that the same photograph gives the same bytes; pictures are compressed already.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            packed = zipfile.ZIP_DEFLATED if name.endswith(".json") else zipfile.ZIP_STORED
            archive.writestr(entry, content, compress_type=packed)
    return buffer.getvalue()


def _files(result: PhotoResult, photo: Photo, turn: int) -> Iterator[tuple[str, bytes]]:
    yield "faces.json", json.dumps(description(result), separators=(",", ":")).encode("ascii")
    for output in OUTPUTS:
        if output != "cutout":
            suffix = ".jpg" if output == "overlay" else ".png"
            picture = to_stored_orientation(_picture(output, result, photo), turn)
            yield f"{output}{suffix}", encode_picture(suffix, picture)
    for number, face in enumerate(result.faces, start=1):
        picture = to_stored_orientation(cutout(face, photo.alpha), turn)
        yield f"cutouts/{number}.png", encode_picture(".png", picture)
