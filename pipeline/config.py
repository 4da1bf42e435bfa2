"""The configuration: YAML files that extend one another, checked into frozen models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from landmarks.registry import DETECTORS
from pipeline import shipped
from pipeline.config_checks import check_keys, merge, validation_problems, with_sections
from pipeline.config_files import first_file, read_layers, read_override
from pipeline.engines.registry import ENGINES
from pipeline.errors import ConfigError, Problem
from pipeline.executors.registry import EXECUTORS
from pipeline.files import expanded
from pipeline.former_keys import renamed

Positive = Annotated[int, Field(gt=0, le=2**31 - 1, strict=True)]
AtOnce = Annotated[int, Field(gt=0, le=1024, strict=True)]
"""Processes or threads: more than any machine has cores is a slip of the finger."""
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Auto = Literal["auto"]
NO_RESULT = "NO_RESULT"
"""Marks a key or section whose value shapes no result: a change of it leaves what was done done."""

_COLOURS = {"white": "#ffffff", "grey": "#808080", "black": "#000000"}


def _one_of(registry: Mapping[str, object]) -> AfterValidator:
    """Take the names of a registry, as it is when a configuration is read."""

    def known(name: str) -> str:
        if name not in registry:
            *names, last = map(repr, registry)
            raise ValueError(f"{', '.join(names)} or {last}")
        return name

    return AfterValidator(known)


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


PathText = Annotated[str, Field(min_length=1), AfterValidator(expanded)]
"""A path of the user's; see `pipeline.files.expanded`."""


def _known_colour(text: str) -> str:
    if text not in _COLOURS and not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise ValueError(f"{', '.join(_COLOURS)} or '#rrggbb' in quotes")
    return text


class InputConfig(_Section):
    """Which photographs. Files, folders, globs, ``@list.txt`` (one path a line) or ``-`` (paths on stdin).

    ``background`` is what is seen through transparent pixels.
    """

    paths: Annotated[tuple[PathText, ...], NO_RESULT] = ("data/samples",)
    recursive: Annotated[bool, NO_RESULT] = True
    max_pixels: Annotated[Positive, NO_RESULT] = 200_000_000
    background: Annotated[str, AfterValidator(_known_colour)] = "white"

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """``background`` as red, green and blue, sRGB 0-255."""
        red, green, blue = bytes.fromhex(_COLOURS.get(self.background, self.background)[1:])
        return red, green, blue


class OutputConfig(_Section):
    """What is written, where, and on which pixel grid."""

    directory: Annotated[PathText, NO_RESULT] = "output"
    orientation: Literal["upright", "stored"] = "upright"
    masks: bool = True
    instances: bool = True
    overlays: bool = True
    soft_masks: bool = False
    crops: bool = False
    crop_masks: bool = False
    cutouts: bool = False
    report: Annotated[bool, NO_RESULT] = False


class DetectorConfig(_Section):
    """How faces are found. Sizes in pixels."""

    order: Annotated[tuple[Annotated[str, _one_of(DETECTORS)], ...], Field(min_length=1)] = ("joint",)
    max_side_px: Positive | None = 1600
    upsample: Annotated[int, Field(ge=0, le=3, strict=True)] = 0
    rescue: Literal["when_empty", "always", "never"] = "when_empty"
    cnn_max_side_px: Positive = 400


class LandmarksConfig(_Section):
    """The 68-point predictor; null takes the one from the installed data package. ``read`` is for clips."""

    model: PathText | None = None
    read: Annotated[PathText | None, NO_RESULT] = None


class FacesConfig(_Section):
    """Which of the faces found are segmented, how large each must be, and how sure it must be of it."""

    select: Literal["main", "largest", "all"] = "all"
    min_side_px: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.0


class CropConfig(_Section):
    """The find_face_landmarks crop."""

    convention: Literal["cpp", "matlab"] = "cpp"
    square: bool = True
    upright: Literal["auto", "never"] = "auto"


class NetworkConfig(_Section):
    """The Caffe network and how crops are fed to it. ``max_side_px`` shrinks larger crops (upstream: 350).

    What is ``auto`` is as models.yaml recommends for the network; see `pipeline.models.settling`.
    """

    model: PathText = "uncrop_256"
    weights: PathText | None = None
    max_side_px: Positive | Auto | None = "auto"
    scale: bool = True
    interpolation: Literal["cubic", "nearest"] | Auto = "auto"
    mirror: bool = False
    batch_size: Annotated[Positive | Auto, NO_RESULT] = "auto"


def _program_expanded(words: tuple[str, ...]) -> tuple[str, ...]:
    """A command; its program is a path, its other words are the program's own."""
    if not words[0]:
        raise ValueError("the name of a program first")
    return expanded(words[0]), *words[1:]


class CaffeEngineConfig(_Section):
    """How the reference engine's interpreter is started."""

    command: Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_program_expanded)] = ("python3",)
    start_timeout_seconds: Annotated[float, Field(gt=0)] = 120.0


class EngineConfig(_Section):
    """What runs the network."""

    name: Annotated[str, _one_of(ENGINES)] = "onnxruntime"
    device: Annotated[str, Field(min_length=1)] = "cpu"
    precision: Literal["f32", "bf16", "f16"] = "f32"
    threads: Annotated[AtOnce | Auto, NO_RESULT] = "auto"
    fast_convolutions: bool = True
    cache_directory: Annotated[PathText | None, NO_RESULT] = None
    caffe: Annotated[CaffeEngineConfig, NO_RESULT] = CaffeEngineConfig()


class ScoresConfig(_Section):
    """What is said to the network's scores before the decision; with 0 the network alone decides.

    ``auto`` is as of `NetworkConfig`.
    """

    jaw_penalty: NotNegative | Auto = "auto"
    jaw_support: NotNegative | Auto = "auto"
    neighbours: bool = True


class RefineConfig(_Section):
    """Clean-up of the mask of a crop; with 0 and all off it is the decision itself."""

    smallest_piece: Annotated[float, Field(ge=0, le=1)] = 0.1
    largest_component: bool = False
    fill_holes: bool = False
    smooth: bool = False


class VideoConfig(_Section):
    """How clips are done. Times in seconds; what is written for them is in ``output``."""

    clips: bool = True
    animations: bool = False
    picture_rate: Annotated[float, Field(gt=0, le=1000)] = 25.0
    chunk_frames: Annotated[int, Field(ge=1, strict=True)] = 120
    search_every: Positive = 10
    fill_seconds: Annotated[float, Field(ge=0, le=10)] = 0.5
    steady: Annotated[float, Field(ge=0, le=10)] = 1.0
    average_frames: Annotated[int, Field(ge=0, le=4, strict=True)] = 3
    format: Literal["ffv1", "png", "h264", "prores4444"] = "ffv1"
    lms: bool = True
    camera_seconds: Annotated[float, Field(gt=0, le=86400)] = 10.0


class ExecutionConfig(_Section):
    """How many photographs at once, and within what limits."""

    executor: Annotated[str, _one_of(EXECUTORS)] = "process"
    workers: AtOnce | Auto = "auto"
    skip_done: bool = True
    time_limit_seconds: Annotated[float, Field(gt=0)] | None = 300.0
    memory_limit_mb: Positive | None = None
    address: Annotated[str, Field(min_length=1)] = "local"


class ServerConfig(_Section):
    """What ``uncrop serve`` listens on and how much it takes; runs do not use it."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, strict=True)] = 8000
    queue_size: Positive = 16
    max_body_mb: Positive = 50
    body_limit_seconds: Annotated[float, Field(gt=0)] = 30.0
    time_limit_seconds: Annotated[float, Field(gt=0)] = 60.0
    allowed_hosts: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    allowed_origins: tuple[Annotated[str, Field(min_length=1)], ...] = ()


class Config(_Section):
    """A whole configuration; every value checked."""

    input: InputConfig = InputConfig()
    output: OutputConfig = OutputConfig()
    detector: DetectorConfig = DetectorConfig()
    landmarks: LandmarksConfig = LandmarksConfig()
    faces: FacesConfig = FacesConfig()
    crop: CropConfig = CropConfig()
    network: NetworkConfig = NetworkConfig()
    engine: EngineConfig = EngineConfig()
    scores: ScoresConfig = ScoresConfig()
    refine: RefineConfig = RefineConfig()
    video: Annotated[VideoConfig, NO_RESULT] = VideoConfig()
    execution: Annotated[ExecutionConfig, NO_RESULT] = ExecutionConfig()
    server: Annotated[ServerConfig, NO_RESULT] = ServerConfig()


def shaping(section: BaseModel) -> dict[str, Any]:
    """The values of a configuration that shape results, for JSON: all but those marked `NO_RESULT`."""
    values: dict[str, Any] = {}
    dumped = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        if NO_RESULT not in field.metadata:
            value = getattr(section, name)
            values[name] = shaping(value) if isinstance(value, BaseModel) else dumped[name]
    return values


def recorded_config(values: object) -> Config:
    """The configuration in a ``run.json``, of earlier versions too; the default one where it is none."""
    try:
        return Config.model_validate(renamed(values, None, []) if isinstance(values, dict) else {})
    except (ValidationError, AttributeError, TypeError):
        return Config()


def load_config(
    path: str | Path | None = None,
    overrides: Iterable[str] = (),
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Config:
    """Read a configuration file, the files it extends, and overrides on top.

    Parameters
    ----------
    path
        YAML file. ``extends: other.yaml`` names a file relative to this one; its values come first. None:
        the program's own default.yaml.
    overrides
        Texts ``section.key=value``; the value is read as YAML.
    options
        Section -> key -> value, given by other means; they come last.

    Returns
    -------
    Config

    Raises
    ------
    ConfigError
        With every problem of every file: file, key path, what to write instead.
    """
    path = shipped.CONFIGS / "default.yaml" if path is None else path
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = read_layers(first_file(path), problems)
    layers += [(f"--set {text}", read_override(text, problems)) for text in overrides]
    for source, layer in layers:
        named = renamed(layer, source, problems)
        merge(values, with_sections(Config, named, (), source, problems), source, origins)
    merge(values, options or {}, "command line", origins)
    check_keys(Config, values, (), origins, str(path), problems)
    known = {problem.key for problem in problems}
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems += [p for p in validation_problems(Config, error, origins, str(path)) if p.key not in known]
        raise ConfigError(problems) from error
    if problems:
        raise ConfigError(problems)
    return config
