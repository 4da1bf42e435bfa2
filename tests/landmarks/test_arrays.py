"""Types of arrays have one name each, and it stands in landmarks.arrays."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("landmarks", "pipeline", "training", "benchmarks", "tests", "data")
ELSEWHERE = {
    ("pipeline/exports/rle.py", "_Counts"),  # int64 lengths of runs
    ("pipeline/exports/polygons.py", "Ring"),  # int32 corners: what OpenCV calls a contour
    ("pipeline/caffe_format/onnx_graph.py", "Array"),  # of any kind: a constant of a graph
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
