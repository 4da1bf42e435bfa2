"""Face masks for whole photographs: crop, segment with a Caffe network, uncrop.

::

    from pipeline import PhotoSegmenter, load_config

    with PhotoSegmenter.from_config() as segmenter:
        result = segmenter.segment_file("photo.jpg")
        result.save("masks", "photo.jpg")

Everything in ``__all__`` is public: it stays, or is deprecated for a release before it goes. A name is loaded
when it is first asked for, so that importing this package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import landmarks as _landmarks  # noqa: F401 - first: it keeps libraries from reporting to their makers
from pipeline.version import __version__

if TYPE_CHECKING:
    from landmarks.bbox import bbox_from_landmarks
    from landmarks.geometry import Box, Detection, FaceLandmarks
    from pipeline.caffe_format import load_caffe
    from pipeline.config import Config, load_config
    from pipeline.crop import FaceCrop, crop_face
    from pipeline.errors import (
        ConfigError,
        DetectionError,
        EncodingError,
        EngineError,
        EngineUnavailableError,
        ImageReadError,
        ImageTooLargeError,
        ModelError,
        ModelFormatError,
        ModelMissingError,
        OutputError,
        PhotoError,
        Problem,
        SegmentationError,
        TimeLimitError,
        UncropError,
        UsageError,
        WorkerLostError,
    )
    from pipeline.images import Photo, read_photo
    from pipeline.photo import PhotoSegmenter
    from pipeline.results import FaceResult, PhotoResult, StageError
    from pipeline.run_events import RunEvents
    from pipeline.runner import run
    from pipeline.summary import RunSummary
    from pipeline.uncrop import uncrop_mask

_HOMES = {
    "landmarks.bbox": ("bbox_from_landmarks",),
    "landmarks.geometry": ("Box", "Detection", "FaceLandmarks"),
    "pipeline.caffe_format": ("load_caffe",),
    "pipeline.config": ("Config", "load_config"),
    "pipeline.crop": ("FaceCrop", "crop_face"),
    "pipeline.errors": (
        "ConfigError",
        "DetectionError",
        "EncodingError",
        "EngineError",
        "EngineUnavailableError",
        "ImageReadError",
        "ImageTooLargeError",
        "ModelError",
        "ModelFormatError",
        "ModelMissingError",
        "OutputError",
        "PhotoError",
        "Problem",
        "SegmentationError",
        "TimeLimitError",
        "UncropError",
        "UsageError",
        "WorkerLostError",
    ),
    "pipeline.images": ("Photo", "read_photo"),
    "pipeline.photo": ("PhotoSegmenter",),
    "pipeline.results": ("FaceResult", "PhotoResult", "StageError"),
    "pipeline.run_events": ("RunEvents",),
    "pipeline.runner": ("run",),
    "pipeline.summary": ("RunSummary",),
    "pipeline.uncrop": ("uncrop_mask",),
}
"""Module -> public names that it has."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Box",
    "Config",
    "ConfigError",
    "Detection",
    "DetectionError",
    "EncodingError",
    "EngineError",
    "EngineUnavailableError",
    "FaceCrop",
    "FaceLandmarks",
    "FaceResult",
    "ImageReadError",
    "ImageTooLargeError",
    "ModelError",
    "ModelFormatError",
    "ModelMissingError",
    "OutputError",
    "Photo",
    "PhotoError",
    "PhotoResult",
    "PhotoSegmenter",
    "Problem",
    "RunEvents",
    "RunSummary",
    "SegmentationError",
    "StageError",
    "TimeLimitError",
    "UncropError",
    "UsageError",
    "WorkerLostError",
    "__version__",
    "bbox_from_landmarks",
    "crop_face",
    "load_caffe",
    "load_config",
    "read_photo",
    "run",
    "uncrop_mask",
]


def __getattr__(name: str) -> Any:
    """Load a public name (PEP 562)."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
