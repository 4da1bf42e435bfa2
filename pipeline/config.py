"""The configuration: YAML files that extend one another, checked into frozen models."""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from landmarks.registry import DETECTORS
from pipeline import shipped
from pipeline.engines.registry import ENGINES
from pipeline.errors import ConfigError, Problem
from pipeline.executors.registry import EXECUTORS
from pipeline.files import expanded, text_of
from pipeline.yaml_text import read_yaml

Positive = Annotated[int, Field(gt=0, le=2**31 - 1, strict=True)]
AtOnce = Annotated[int, Field(gt=0, le=1024, strict=True)]
"""Processes or threads: more than any machine has cores is a slip of the finger."""
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Auto = Literal["auto"]
NO_RESULT = "NO_RESULT"
"""Marks a key or section whose value shapes no result: a change of it leaves what was done done."""

_MAX_DEPTH = 8
_COLOURS = {"white": "#ffffff", "grey": "#808080", "black": "#000000"}
_log = logging.getLogger(__name__)

RENAMED = {
    "crop.max_side_px": "network.max_side_px",
    "refine.jaw_penalty": "scores.jaw_penalty",
    "refine.jaw_support": "scores.jaw_support",
    "network.upsample": "network.interpolation",
}
"""Keys of earlier versions and their names of today; the old ones are still taken, with a warning."""

RENAMED_VALUES = {"network.upsample": {"scores": "cubic"}}
"""Old key -> its values that are called otherwise under the new one."""


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
    search_every: Positive = 5
    fill_seconds: Annotated[float, Field(ge=0, le=10)] = 0.5
    steady: Annotated[float, Field(ge=0, le=10)] = 1.0
    average_frames: Annotated[int, Field(ge=0, le=4, strict=True)] = 2
    format: Literal["ffv1", "png", "h264", "prores4444"] = "ffv1"
    lms: bool = True


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
        return Config.model_validate(_renamed(values, None, []) if isinstance(values, dict) else {})
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
    layers = _layers(_start(path), problems)
    layers += [(f"--set {override}", _override(override, problems)) for override in overrides]
    for source, layer in layers:
        named = _renamed(layer, source, problems)
        _merge(values, _with_sections(Config, named, (), source, problems), source, origins)
    _merge(values, options or {}, "command line", origins)
    _check_keys(Config, values, (), origins, str(path), problems)
    known = {problem.key for problem in problems}
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems += [p for p in _validation_problems(error, origins, str(path)) if p.key not in known]
        raise ConfigError(problems) from error
    if problems:
        raise ConfigError(problems)
    return config


def _start(path: str | Path) -> Path:
    """The file to begin with; `ConfigError` if it cannot be one."""
    try:
        text = expanded(str(path))
    except ValueError as error:
        raise ConfigError([Problem("--config", "", str(error))]) from error
    if not text:
        message = "a path is empty; name a YAML file, or leave the option out"
        raise ConfigError([Problem("--config", "", message)])
    return Path(text)


def _layers(path: Path, problems: list[Problem]) -> list[tuple[str, dict[str, Any]]]:
    """The file and all it extends, the furthest ancestor first."""
    layers: list[tuple[str, dict[str, Any]]] = []
    seen: list[Path] = []
    current: Path | None = path
    while current is not None:
        if current.resolve() in seen:
            problems.append(Problem(str(current), "extends", "extends itself, directly or through others"))
            break
        seen.append(current.resolve())
        values = _read_yaml(current, problems)
        parent = values.pop("extends", None)
        layers.insert(0, (str(current), values))
        if parent is not None and not (parent and isinstance(parent, str)):
            problems.append(
                Problem(str(current), "extends", f"expected the name of a YAML file, got {parent!r}")
            )
            parent = None
        try:
            current = current.parent / expanded(parent) if parent else None
        except ValueError as error:
            problems.append(Problem(str(current), "extends", str(error)))
            break
    return layers


def _read_yaml(path: Path, problems: list[Problem]) -> dict[str, Any]:
    try:
        loaded = read_yaml(text_of(path.read_bytes()))
    except FileNotFoundError:
        problems.append(Problem(str(path), "", "no such file; the shipped ones are in configs/"))
    except OSError as error:
        problems.append(Problem(str(path), "", f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError as error:
        what = f"is not {error.encoding.upper()} text (byte {error.start}); save it as UTF-8"
        problems.append(Problem(str(path), "", what))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems.append(
            Problem(str(path), "", f"{where}{getattr(error, 'problem', None) or 'not valid YAML'}")
        )
    except (RecursionError, ValueError, TypeError) as error:
        problems.append(Problem(str(path), "", f"not valid YAML: {error}"))
    else:
        if isinstance(loaded, dict):
            return {key: value for key, value in loaded.items() if not str(key).startswith("x-")}
        if loaded is not None:
            kind = type(loaded).__name__
            problems.append(Problem(str(path), "", f"expected sections such as 'input:', got a {kind}"))
    return {}


def _renamed(layer: Mapping[str, Any], source: str | None, problems: list[Problem]) -> dict[str, Any]:
    """The values of one source with the keys of earlier versions under their names of today.

    What a user may write anew is warned of; a source of None is a record, which nobody is to change.
    """
    renamed = dict(layer)
    for old, new in RENAMED.items():
        (old_section, old_key), (section, key) = old.split("."), new.split(".")
        given = renamed.get(old_section)
        if not isinstance(given, dict) or old_key not in given:
            continue
        kept = {name: given[name] for name in given if name != old_key}
        target = kept if section == old_section else renamed.get(section) or {}
        if not isinstance(target, dict):
            continue
        if source is not None and key in target:
            problems.append(Problem(source, old, f"is called {new} now, which is given too; keep that one"))
        elif source is not None:
            _log.warning("%s: %s is called %s now; the old name will go", source, old, new)
        value, values = given[old_key], RENAMED_VALUES.get(old, {})
        renamed[old_section] = kept
        renamed[section] = {key: values.get(value, value) if isinstance(value, str) else value, **target}
    return renamed


def _override(text: str, problems: list[Problem]) -> dict[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not all(key.split(".")):
        message = "expected section.key=value, such as engine.threads=2"
        problems.append(Problem(f"--set {text}", "", message))
        return {}
    try:
        loaded = read_yaml(value)
    except yaml.YAMLError as error:
        why = getattr(error, "problem", None)
        told = f" ({why})" if isinstance(error, yaml.constructor.ConstructorError) and why else ""
        problems.append(Problem(f"--set {text}", key, f"{value!r} is not a YAML value{told}; quote it"))
        return {}
    except (RecursionError, ValueError, TypeError) as error:
        problems.append(Problem(f"--set {text}", key, f"{value!r} is not a YAML value ({error}); quote it"))
        return {}
    for part in reversed(key.split(".")):
        loaded = {part: loaded}
    return dict(loaded)


def _merge(
    base: dict[str, Any], layer: Mapping[Any, Any], source: str, origins: dict[str, str], prefix: str = ""
) -> None:
    if (
        prefix.count(".") > _MAX_DEPTH
    ):  # a YAML anchor inside itself; its outermost key is reported as unknown
        return
    for key, value in layer.items():
        dotted = f"{prefix}{key}"
        origins[dotted] = source
        if isinstance(value, Mapping):
            if not isinstance(base.get(key), dict):
                base[key] = {}
            _merge(base[key], value, source, origins, f"{dotted}.")
        else:
            base[key] = value


def _with_sections(
    model: type[BaseModel],
    layer: Mapping[Any, Any],
    prefix: tuple[str, ...],
    source: str,
    problems: list[Problem],
) -> dict[Any, Any]:
    """The values of one source, of which a section that holds a value instead of keys is told and left out.

    Before sources are merged: afterwards the keys of another source would have taken its place.
    """
    kept: dict[Any, Any] = {}
    for key, value in layer.items():
        field = model.model_fields.get(key) if isinstance(key, str) else None
        section = None if field is None else _section_of(field.annotation)
        if section is None:
            kept[key] = value
        elif isinstance(value, Mapping):
            kept[key] = _with_sections(section, value, (*prefix, key), source, problems)
        elif value is not None:
            message = f"expected keys below it ({', '.join(section.model_fields)}), got {value!r}"
            problems.append(Problem(source, ".".join((*prefix, key)), message))
    return kept


def _section_of(annotation: Any) -> type[BaseModel] | None:
    candidates = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _check_keys(
    model: type[BaseModel],
    values: dict[str, Any],
    prefix: tuple[str, ...],
    origins: Mapping[str, str],
    path: str,
    problems: list[Problem],
) -> None:
    """Report unknown keys with the nearest known one, and drop them so that the rest is still checked."""
    for key in list(values):
        dotted = ".".join((*prefix, str(key)))
        if key not in model.model_fields:
            near = difflib.get_close_matches(str(key), model.model_fields, n=1, cutoff=0.5)
            known = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(model.model_fields)}"
            problems.append(Problem(origins.get(dotted, path), dotted, f"unknown key; {known}"))
            del values[key]
            continue
        section = _section_of(model.model_fields[key].annotation)
        if section is not None:
            _check_keys(section, values[key], (*prefix, str(key)), origins, path, problems)


def _validation_problems(error: ValidationError, origins: Mapping[str, str], path: str) -> list[Problem]:
    """One problem a key: pydantic reports every branch of a union by itself."""
    messages: dict[str, list[str]] = {}
    given: dict[str, Any] = {}
    for item in error.errors():
        names = _key_path(item["loc"])
        dotted = ".".join(names)
        message = (
            item["msg"]
            .removeprefix("Input should be ")
            .removeprefix("a valid ")
            .removeprefix("Value error, ")
            .replace("tuple", "list")
        )
        if message not in messages.setdefault(dotted, []):
            messages[dotted].append(message)
        given[dotted] = item["input"]
    return [
        Problem(
            _origin(dotted, origins, path), dotted, f"expected {' or '.join(texts)}, got {given[dotted]!r}"
        )
        for dotted, texts in messages.items()
    ]


def _key_path(loc: tuple[int | str, ...]) -> list[str]:
    """The part of a pydantic location that is made of our keys and of list positions."""
    names: list[str] = []
    model: type[BaseModel] | None = Config
    for part in loc:
        if model is not None and isinstance(part, str) and part in model.model_fields:
            names.append(part)
            model = _section_of(model.model_fields[part].annotation)
        elif isinstance(part, int):
            names.append(str(part))
    return names


def _origin(dotted: str, origins: Mapping[str, str], path: str) -> str:
    while dotted and dotted not in origins:
        dotted = dotted.rpartition(".")[0]
    return origins.get(dotted, path)
