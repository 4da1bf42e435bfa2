"""Imports run one way and cost next to nothing; docstrings and types of arrays are written in one way."""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OWN = ("landmarks", "pipeline", "training", "benchmarks", "run_pipeline")

# From the ground up. A module imports from its own line and the lines above it, never from below; a package's
# name stands for all of its modules.
LAYERS = (
    (
        "landmarks",
        "pipeline.counted",
        "pipeline.engines.registry",
        "pipeline.errors",
        "pipeline.executors.registry",
        "pipeline.files",
        "pipeline.yaml_text",
        "pipeline.shipped",
        "pipeline.stages",
        "pipeline.version",
        "pipeline.wire_format",
    ),
    (
        "pipeline.former_keys",
        "pipeline.config_files",
        "pipeline.config_checks",
        "pipeline.config",
        "pipeline.output_names",
        "pipeline.metrics",
        "pipeline.environment",
        "pipeline.streams",
    ),
    ("pipeline.caffe_format", "pipeline.formats", "pipeline.depth", "pipeline.icc"),
    ("pipeline.colour",),
    ("pipeline.decoded", "pipeline.raw", "pipeline.deep", "pipeline.plugins"),
    ("pipeline.decoders",),
    ("pipeline.images",),
    ("pipeline.clip_files",),
    ("pipeline.models",),
    ("pipeline.engines",),
    (
        "pipeline.frame_size",
        "pipeline.turns",
        "pipeline.crop",
        "pipeline.framing",
        "pipeline.scores",
        "pipeline.uncrop",
        "pipeline.outline",
        "pipeline.jaw",
        "pipeline.neighbours",
        "pipeline.confidence",
        "pipeline.refine",
        "pipeline.network",
    ),
    ("pipeline.mask_png",),
    ("pipeline.summary", "pipeline.output_directory", "pipeline.output_pictures"),
    ("pipeline.outputs",),
    ("pipeline.lists", "pipeline.collecting"),
    ("pipeline.inputs", "pipeline.loading", "pipeline.results"),
    ("pipeline.manifest", "pipeline.corrections"),
    ("pipeline.decision",),
    ("pipeline.photo",),
    ("pipeline.executors",),
    ("pipeline.video", "pipeline.shards"),
    ("pipeline.planning", "pipeline.interruption", "pipeline.run_events"),
    ("pipeline.runner",),
    ("pipeline.exports", "pipeline.evaluate", "pipeline.report"),
    ("pipeline.server",),
    ("pipeline.commands", "pipeline.cli"),
    (
        "pipeline.__main__",
        "pipeline.models.__main__",
        "pipeline.manifest.__main__",
        "pipeline.evaluate.__main__",
        "run_pipeline",
        "pipeline",
    ),
    ("training",),
    ("benchmarks",),
)

# What takes a noticeable part of a second, or much memory, to import.
HEAVY = {
    "av",
    "caffe",
    "cv2",
    "dlib",
    "face_recognition_models",
    "onnx",
    "onnxruntime",
    "openvino",
    "PIL",
    "skimage",
    "ray",
    "torch",
}


def _modules() -> dict[str, Path]:
    files = [ROOT / "run_pipeline.py"]
    for package in OWN[:-1]:
        files += sorted((ROOT / package).rglob("*.py"))
    return {_name(file): file for file in files}


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = _modules()


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _statements(body: list[ast.stmt], *, on_import: bool) -> Iterator[ast.stmt]:
    """All statements that run, without those for type checkers; ``on_import``: not those inside functions."""
    for statement in body:
        if isinstance(statement, ast.If) and _is_type_checking(statement.test):
            yield from _statements(statement.orelse, on_import=on_import)
            continue
        if on_import and isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield statement
        for field in ("body", "orelse", "finalbody"):
            yield from _statements(getattr(statement, field, []), on_import=on_import)
        for handler in [*getattr(statement, "handlers", []), *getattr(statement, "cases", [])]:
            yield from _statements(handler.body, on_import=on_import)


def _named_to_importlib(tree: ast.Module) -> set[str]:
    """Modules of ours that a file or a registry it imports names in texts, if the file calls importlib.

    A text is ``module`` or ``module:Class``.
    """
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}
    if "import_module" not in names:
        return set()
    registries = [
        ast.parse(MODULES[node.module].read_text("utf-8"))
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module in MODULES and node.module.endswith(".registry")
    ]
    texts = {
        node.value
        for part in (tree, *registries)
        for node in ast.walk(part)
        if isinstance(node, ast.Constant)
    }
    return {text.partition(":")[0] for text in texts if isinstance(text, str)} & MODULES.keys()


@functools.cache
def _imports(name: str, *, on_import: bool = False) -> frozenset[str]:
    """The modules that a module imports: ours by their full name, others by the first part of theirs."""
    file = MODULES[name]
    tree = ast.parse(file.read_text("utf-8"), feature_version=(3, 11))
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    found = set() if on_import else _named_to_importlib(tree)
    for statement in _statements(tree.body, on_import=on_import):
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - statement.level + 1] if statement.level else []
            )
            module = ".".join([*above, *([statement.module] if statement.module else [])])
            for alias in statement.names:
                whole = f"{module}.{alias.name}"
                found.add(whole if whole in MODULES else module)
    return frozenset(full if full.partition(".")[0] in OWN else full.partition(".")[0] for full in found)


def _layer(name: str) -> int | None:
    """Place in LAYERS of the longest entry that stands for a module."""
    ranks = [
        (len(entry), rank)
        for rank, layer in enumerate(LAYERS)
        for entry in layer
        if name == entry or (entry != "pipeline" and name.startswith(f"{entry}."))
    ]
    return max(ranks)[1] if ranks else None


def _loaded_with(name: str) -> set[str]:
    """Everything that ``import name`` loads of ours and names of others, by reading the files."""
    loaded: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in loaded:
            continue
        loaded.add(current)
        if current in MODULES:
            waiting += _imports(current, on_import=True)
            waiting += [current.rpartition(".")[0]] if "." in current else []
    return loaded


def test_the_readers_of_imports_find_what_they_should() -> None:
    assert {"landmarks.geometry", "numpy"} <= _imports("pipeline.crop")
    assert "pipeline.errors" in _imports("pipeline.config")
    assert "pipeline.crop" in _loaded_with("pipeline.uncrop")
    assert "pipeline.commands.run" in _imports("pipeline.cli")
    assert "pipeline.executors.process" in _imports("pipeline.executors.factory")
    assert "pipeline.engines.caffe_engine" in _imports("pipeline.engines.factory")
    assert "pipeline.photo" in _imports("pipeline")
    assert "pipeline.photo" not in _loaded_with("pipeline")
    assert _layer("pipeline.engines.base") == _layer("pipeline.engines")
    assert (_layer("pipeline.models.__main__") or 0) > (_layer("pipeline.models.catalogue") or 0)
    assert _layer("pipeline.unheard_of") is None


@pytest.mark.parametrize("name", sorted(MODULES))
def test_every_module_imports_downwards_only(name: str) -> None:
    rank = _layer(name)
    assert rank is not None, f"{name} has no place in LAYERS: say what it may import, and who may import it"
    upwards = sorted(
        imported
        for imported in _imports(name)
        if imported.partition(".")[0] in OWN and (_layer(imported) or 0) > rank
    )
    assert not upwards, f"{name} imports {', '.join(upwards)}, which stand above it"


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.partition(".")[0] == "landmarks"))
def test_landmarks_stand_alone(name: str) -> None:
    ours = {imported for imported in _imports(name) if imported.partition(".")[0] in OWN}
    assert {imported for imported in ours if imported.partition(".")[0] != "landmarks"} == set()


@pytest.mark.parametrize("name", sorted(name for name, file in MODULES.items() if file.name == "__init__.py"))
def test_packages_import_nothing_heavy(name: str) -> None:
    assert _loaded_with(name) & HEAVY == set()


@pytest.mark.parametrize(
    "name", ["pipeline", "pipeline.cli", "pipeline.config", "pipeline.commands.run", "run_pipeline"]
)
def test_the_program_asks_for_its_config_before_anything_heavy(name: str) -> None:
    assert _loaded_with(name) & HEAVY == set()


def test_no_two_modules_need_each_other_to_load() -> None:
    for name in MODULES:
        around = {
            imported
            for imported in _imports(name, on_import=True)
            if imported != name and not name.startswith(f"{imported}.") and name in _closure(imported)
        }
        assert not around, f"{name} and {sorted(around)} import each other while loading"


def _closure(name: str) -> set[str]:
    """What loading ``name`` reaches by imports alone, without the packages that its name lies in."""
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in MODULES and current not in reached:
            reached.add(current)
            waiting += _imports(current, on_import=True)
    return reached


def test_the_only_circle_is_a_network_that_writes_itself() -> None:
    """Imports inside functions count, too: `CaffeNetwork.to_onnx` loads its writer when it is called."""
    reached: dict[str, set[str]] = {}
    for name in MODULES:
        waiting, seen = [name], set[str]()
        while waiting:
            for imported in _imports(waiting.pop()) & MODULES.keys() - seen:
                seen.add(imported)
                waiting.append(imported)
        reached[name] = seen
    circles = {
        frozenset({name, *(other for other in reached[name] if name in reached[other])})
        for name in MODULES
        if name in reached[name]
    }
    parts = ("network", "onnx_graph", "folding", "graph_builder", "writer")
    assert circles == {frozenset(f"pipeline.caffe_format.{part}" for part in parts)}


def test_the_caffe_worker_is_one_file_for_old_interpreters() -> None:
    name = "pipeline.engines.caffe_worker"
    allowed = set(sys.stdlib_module_names) | {"numpy", "caffe", "google"}
    assert _imports(name) <= allowed, "the worker runs where only Caffe and numpy are installed"
    ast.parse(MODULES[name].read_text("utf-8"), feature_version=(3, 6))


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
SECTION = re.compile(
    r"^(Parameters|Attributes|Returns|Yields)\n-+\n(.*?)(?=\n\n\S[^\n]*\n-+\n|\Z)", re.M | re.S
)


def entries(docstring: str, section: str) -> list[str]:
    """What stands at the margin of a numpydoc section: names, or for what is returned names or a type."""
    return [
        line
        for name, body in SECTION.findall(docstring)
        if name == section
        for line in body.split("\n")
        if line and not line.startswith(" ")
    ]


def definitions(tree: ast.Module) -> Iterator[tuple[Definition, str]]:
    for node in ast.walk(tree):
        if isinstance(node, Definition) and (docstring := ast.get_docstring(node)):
            yield node, docstring


def parameters(node: Definition) -> set[str]:
    """What a function takes; of a class its constructor, and the fields of a dataclass."""
    if isinstance(node, ast.ClassDef):
        fields = {
            item.target.id
            for item in node.body
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
        }
        constructors = [
            item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"
        ]
        return fields.union(*map(parameters, constructors))
    taken = node.args
    return {
        argument.arg
        for argument in (
            *taken.posonlyargs,
            *taken.args,
            *taken.kwonlyargs,
            *(part for part in (taken.vararg, taken.kwarg) if part),
        )
    }


def faults(source: str) -> list[str]:
    found = []
    for node, docstring in definitions(ast.parse(source)):
        names = [name for entry in entries(docstring, "Parameters") for name in entry.split(", ")]
        found += [f"{node.name}: {name}" for name in names if name not in parameters(node)]
        found += [
            f"{node.name}: {entry}"
            for section in ("Attributes", "Returns", "Yields")
            for entry in entries(docstring, section)
            if " : " in entry
        ]
    return found


def test_what_is_wrong_in_a_docstring_is_seen() -> None:
    docstring = (
        "Do.\n\n    Parameters\n    ----------\n    {}\n        What.\n\n    Returns\n    -------\n    {}\n"
    )
    source = f'def do(first, *, second):\n    """{docstring}    """\n'
    assert faults(source.format("first, second", "int")) == []
    assert faults(source.format("first : int", "int")) == ["do: first : int"]
    assert faults(source.format("third", "int")) == ["do: third"]
    assert faults(source.format("first", "sum : int")) == ["do: sum : int"]


@pytest.mark.parametrize("package", ["landmarks", "pipeline", "training", "benchmarks"])
def test_docstrings_name_the_parameters_there_are_and_leave_types_to_the_signature(package: str) -> None:
    found = {
        str(file.relative_to(ROOT)): wrong
        for file in sorted((ROOT / package).rglob("*.py"))
        if (wrong := faults(file.read_text("utf-8")))
    }
    assert found == {}


FOLDERS = ("landmarks", "pipeline", "training", "benchmarks", "tests", "data")
ELSEWHERE = {
    ("pipeline/exports/rle.py", "_Counts"),  # int64 lengths of runs
    ("pipeline/exports/polygons.py", "Ring"),  # int32 corners: what OpenCV calls a contour
    ("pipeline/caffe_format/graph_builder.py", "Array"),  # of any kind: a constant of a graph
}


def names_given(file: Path) -> set[str]:
    """Names that a module gives to ``NDArray[...]`` of one kind of numbers."""
    return {
        target.id
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript)
        if ast.unparse(node.value.value) in ("NDArray", "npt.NDArray")
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def test_types_of_arrays_are_named_in_one_place() -> None:
    files = [file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")]
    found = {(str(file.relative_to(ROOT)), name) for file in files for name in names_given(file)}
    here = {("landmarks/arrays.py", name) for name in ("Pixels", "Mask", "Float32Array", "Float64Array")}
    assert found == here | ELSEWHERE
