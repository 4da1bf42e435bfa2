"""What users import: the names, and that they come cheaply."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

ROOT = Path(__file__).resolve().parents[1]

PUBLIC = [
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


def loaded_after(code: str) -> set[str]:
    """First parts of the names of all modules that a fresh interpreter has loaded after some code."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.splitlines()[-1].split())


def test_the_public_names_are_these() -> None:
    assert sorted(pipeline.__all__) == sorted(PUBLIC), "a name that goes is deprecated for a release first"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(pipeline, name) is not None
    assert name in dir(pipeline)


def test_a_public_name_is_the_object_of_its_module() -> None:
    from pipeline.errors import ConfigError
    from pipeline.photo import PhotoSegmenter

    assert pipeline.ConfigError is ConfigError
    assert pipeline.PhotoSegmenter is PhotoSegmenter


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse((ROOT / "pipeline" / "__init__.py").read_text("utf-8"))
    (guarded,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in guarded.body if isinstance(node, ast.ImportFrom)]
    seen = {(alias.name, node.module) for node in imports for alias in node.names}
    assert seen == {(name, module) for module, names in pipeline._HOMES.items() for name in names}
    assert {name for name, _ in seen} | {"__version__"} == set(PUBLIC)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'segment_everything'"):
        pipeline.segment_everything  # noqa: B018
    with pytest.raises(ImportError, match="segment_everything"):
        exec("from pipeline import segment_everything")


def test_importing_the_package_loads_next_to_nothing() -> None:
    heavy = {
        "numpy",
        "cv2",
        "dlib",
        "pydantic",
        "yaml",
        "PIL",
        "onnxruntime",
        "psutil",
        "skimage",
        "argparse",
    }
    assert loaded_after("import pipeline") & heavy == set()
    assert loaded_after("from pipeline import UncropError, __version__") & heavy == set()


def test_help_and_a_wrong_configuration_load_no_library_of_pictures() -> None:
    heavy = {"cv2", "dlib", "PIL", "onnxruntime", "skimage", "onnx"}
    call = "from pipeline.cli import main\ntry:\n    main({})\nexcept SystemExit:\n    pass"
    assert loaded_after(call.format(["--help"])) & (heavy | {"numpy", "pydantic", "yaml"}) == set()
    assert loaded_after(call.format(["run", "--help"])) & (heavy | {"pydantic"}) == set()
    assert loaded_after(call.format(["run", "--config", "nowhere.yaml"])) & heavy == set()
