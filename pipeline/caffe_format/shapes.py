"""What a layer makes of shapes: the shape of its output and of its weights.

Formulas are those of BVLC Caffe: ``conv_layer.cpp``, ``deconv_layer.cpp`` (compute_output_shape),
``pooling_layer.cpp`` (Reshape), ``crop_layer.cpp`` (Reshape), ``base_conv_layer.cpp``, ``scale_layer.cpp``,
``batch_norm_layer.cpp`` (LayerSetUp).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.caffe_format.layers import Layer, LayerProblem

Shape = tuple[int, ...]
Pair = tuple[int, int]

_MAX_ELEMENTS = 2**31
"""Caffe's own limit of elements in a blob."""


@dataclass(frozen=True, slots=True)
class Window:
    """Sliding window of a convolution, deconvolution or pooling; pairs are (vertical, horizontal).

    Attributes
    ----------
    kernel_hw, stride_hw, pad_hw, dilation_hw
        In pixels. ``pad`` is the same on both sides.
    """

    kernel_hw: Pair
    stride_hw: Pair
    pad_hw: Pair
    dilation_hw: Pair = (1, 1)

    @property
    def extent_hw(self) -> Pair:
        """Rows and columns from the first to the last one seen by the window."""
        (kernel_h, kernel_w), (dilation_h, dilation_w) = self.kernel_hw, self.dilation_hw
        return dilation_h * (kernel_h - 1) + 1, dilation_w * (kernel_w - 1) + 1


def convolution_window(params: Mapping[str, Any]) -> Window:
    """Window of Convolution and Deconvolution.

    Raises
    ------
    LayerProblem
        No kernel size, a value out of range, or an axis other than 1.
    """
    if params.get("axis", 1) != 1:
        raise LayerProblem(f"convolution over axis {params['axis']} is not supported, only axis 1")
    window = Window(
        kernel_hw=_pair(params, "kernel_size", "kernel_h", "kernel_w", default=None),
        stride_hw=_pair(params, "stride", "stride_h", "stride_w", default=1),
        pad_hw=_pair(params, "pad", "pad_h", "pad_w", default=0),
        dilation_hw=_pair(params, "dilation", "", "", default=1),
    )
    return _check_window(window)


def pooling_window(params: Mapping[str, Any]) -> Window | None:
    """Window of Pooling; None for global pooling.

    Raises
    ------
    LayerProblem
        No kernel size, a value out of range, padding as large as the window, windows that leave gaps in ceil
        mode (there Caffe can start a window outside the picture, and the result is undefined), or average
        pooling in ceil mode with more padding than windows overlap (which no ONNX operator can express).
    """
    if params.get("pool", "MAX") == "STOCHASTIC":
        raise LayerProblem("stochastic pooling is not supported, only MAX and AVE")
    if params.get("global_pooling", False):
        return None
    window = _check_window(
        Window(
            kernel_hw=_pair(params, "kernel_size", "kernel_h", "kernel_w", default=None),
            stride_hw=_pair(params, "stride", "stride_h", "stride_w", default=1),
            pad_hw=_pair(params, "pad", "pad_h", "pad_w", default=0),
        )
    )
    ceil, average = params.get("round_mode", "CEIL") == "CEIL", params.get("pool", "MAX") == "AVE"
    for kernel, stride, pad in zip(window.kernel_hw, window.stride_hw, window.pad_hw, strict=True):
        sizes = f"pooling with window {kernel}, stride {stride} and pad {pad}"
        if pad >= kernel:
            raise LayerProblem(f"{sizes} is not possible, the pad must be smaller than the window")
        if ceil and stride > kernel:
            raise LayerProblem(f"{sizes} is not supported in ceil mode, the stride exceeds the window")
        if ceil and average and pad > kernel - stride:
            raise LayerProblem(f"average {sizes} is not supported in ceil mode, pad exceeds window - stride")
    return window


def pooled_size(size: int, kernel: int, stride: int, pad: int, *, ceil: bool) -> int:
    """Output size of pooling along one axis; a last window that would start in the far padding is dropped."""
    span = size + 2 * pad - kernel
    pooled = (-(-span // stride) if ceil else span // stride) + 1
    if pad and (pooled - 1) * stride >= size + pad:
        pooled -= 1
    return pooled


def crop_offsets(params: Mapping[str, Any], rank: int) -> tuple[int, tuple[int, ...]]:
    """First cropped axis of Crop and the offset along each axis from there on.

    Raises
    ------
    LayerProblem
        The axis is out of range, or offsets are neither one nor one per axis.
    """
    axis = canonical_axis(params.get("axis", 2), rank)
    offsets = params.get("offset", ()) or (0,)
    if len(offsets) == 1:
        offsets = offsets * (rank - axis)
    if len(offsets) != rank - axis or min(offsets) < 0:
        raise LayerProblem(
            f"crop of {rank - axis} axes needs 1 or {rank - axis} offsets of 0 or more, not {offsets}"
        )
    return axis, tuple(offsets)


def canonical_axis(axis: int, rank: int) -> int:
    """Axis counted from the front; negative ones count from the back."""
    if not -rank <= axis < rank:
        raise LayerProblem(f"axis {axis} is out of range for {rank} dimensions")
    return axis % rank


def concat_axis(params: Mapping[str, Any], rank: int) -> int:
    """Axis of Concat, by its new or old field."""
    return canonical_axis(params.get("axis", params.get("concat_dim", 1)), rank)


def output_shape(layer: Layer, bottoms: Sequence[Shape]) -> Shape:
    """Shape of a layer's output.

    Parameters
    ----------
    layer
        The layer.
    bottoms
        Shapes of what it reads, in order.

    Returns
    -------
    tuple
        The one shape that all its tops have.

    Raises
    ------
    LayerProblem
        Wrong number of bottoms or tops, wrong parameters, or shapes that do not fit.
    """
    check_arity(layer)
    shape = _output_shape(layer, bottoms)
    if min(shape, default=1) < 1:
        raise LayerProblem(f"its input {_text(bottoms)} is too small: the output would be {_text([shape])}")
    elements = 1
    for size in shape:
        elements *= size
    if elements >= _MAX_ELEMENTS:
        raise LayerProblem(f"its output {_text([shape])} is too large")
    return shape


def blob_shapes(layer: Layer, bottoms: Sequence[Shape]) -> tuple[Shape, ...]:
    """Shapes of a layer's weights in Caffe's order; empty for layers without.

    Raises
    ------
    LayerProblem
        Parameters that do not fit the input.
    """
    params = layer.params
    match layer.type:
        case "Convolution" | "Deconvolution":
            channels, outputs, group = bottoms[0][1], _num_output(params), params.get("group", 1)
            kernel = convolution_window(params).kernel_hw
            if group < 1 or channels % group or outputs % group:
                raise LayerProblem(
                    f"{channels} input and {outputs} output channels cannot be cut into {group} groups"
                )
            first = (
                (outputs, channels // group) if layer.type == "Convolution" else (channels, outputs // group)
            )
            weights: tuple[Shape, ...] = ((*first, *kernel),)
            return (*weights, (outputs,)) if params.get("bias_term", True) else weights
        case "InnerProduct":
            outputs, features = _num_output(params), 1
            for size in bottoms[0][canonical_axis(params.get("axis", 1), len(bottoms[0])) :]:
                features *= size
            weights = ((features, outputs) if params.get("transpose", False) else (outputs, features),)
            return (*weights, (outputs,)) if params.get("bias_term", True) else weights
        case "Scale":
            shape = (bottoms[0][1],) if params.get("num_axes", 1) == 1 else ()
            return (shape, shape) if params.get("bias_term", False) else (shape,)
        case "BatchNorm":
            return (bottoms[0][1],), (bottoms[0][1],), (1,)
        case _:
            return ()


def _output_shape(layer: Layer, bottoms: Sequence[Shape]) -> Shape:
    params = layer.params
    match layer.type:
        case "Input":
            shapes = params.get("shape", ())
            if len(shapes) != 1 or len(shapes[0]) != 4:
                raise LayerProblem("the input needs one shape of four dimensions (n, c, h, w)")
            return tuple(shapes[0])
        case "Convolution" | "Deconvolution":
            _check_rank(bottoms[0])
            window = convolution_window(params)
            sizes = zip(bottoms[0][2:], window.extent_hw, window.stride_hw, window.pad_hw, strict=True)
            if layer.type == "Convolution":
                spatial = [(size + 2 * pad - extent) // stride + 1 for size, extent, stride, pad in sizes]
            else:
                spatial = [stride * (size - 1) + extent - 2 * pad for size, extent, stride, pad in sizes]
            return bottoms[0][0], _num_output(params), *spatial
        case "Pooling":
            return _pooling_shape(params, bottoms[0])
        case "InnerProduct":
            axis = canonical_axis(params.get("axis", 1), len(bottoms[0]))
            if axis != 1:
                raise LayerProblem(f"inner product from axis {axis} is not supported, only axis 1")
            return bottoms[0][0], _num_output(params)
        case "Scale":
            if canonical_axis(params.get("axis", 1), len(bottoms[0])) != 1 or params.get(
                "num_axes", 1
            ) not in {0, 1}:
                raise LayerProblem(
                    "only a scale per channel (axis 1, num_axes 1) or of one number (num_axes 0) is supported"
                )
        case "BatchNorm":
            if not params.get("use_global_stats", True):
                raise LayerProblem(
                    "batch norm with use_global_stats: false is for training; a deploy net needs true"
                )
        case "Eltwise":
            if any(shape != bottoms[0] for shape in bottoms):
                raise LayerProblem(f"its inputs must have one shape, not {_text(bottoms)}")
            coefficients = params.get("coeff", ())
            if coefficients and (
                params.get("operation", "SUM") != "SUM" or len(coefficients) != len(bottoms)
            ):
                raise LayerProblem("coefficients are for sums only, one for each input")
        case "Crop":
            return _crop_shape(params, *bottoms)
        case "Concat":
            axis = concat_axis(params, len(bottoms[0]))
            if any(_without(shape, axis) != _without(bottoms[0], axis) for shape in bottoms):
                raise LayerProblem(f"inputs {_text(bottoms)} cannot be joined along axis {axis}")
            return _with(bottoms[0], axis, sum(shape[axis] for shape in bottoms))
        case "Softmax":
            canonical_axis(params.get("axis", 1), len(bottoms[0]))
    return bottoms[0]


def _pooling_shape(params: Mapping[str, Any], bottom: Shape) -> Shape:
    _check_rank(bottom)
    window = pooling_window(params)
    if window is None:
        return *bottom[:2], 1, 1
    ceil = params.get("round_mode", "CEIL") == "CEIL"
    sizes = zip(bottom[2:], window.kernel_hw, window.stride_hw, window.pad_hw, strict=True)
    return *bottom[:2], *(
        pooled_size(size, kernel, stride, pad, ceil=ceil) for size, kernel, stride, pad in sizes
    )


def _crop_shape(params: Mapping[str, Any], data: Shape, reference: Shape) -> Shape:
    if len(data) != len(reference):
        raise LayerProblem(f"input {_text([data])} and reference {_text([reference])} differ in dimensions")
    axis, offsets = crop_offsets(params, len(data))
    for size, offset, wanted in zip(data[axis:], offsets, reference[axis:], strict=True):
        if offset + wanted > size:
            raise LayerProblem(
                f"cannot cut {wanted} from offset {offset} out of {size} (input {_text([data])})"
            )
    return *data[:axis], *reference[axis:]


def check_arity(layer: Layer) -> None:
    """Check the number of bottoms and tops; raises `LayerProblem`."""
    low, high = {"Input": (0, 0), "Eltwise": (2, 64), "Concat": (1, 1024), "Crop": (2, 2)}.get(
        layer.type, (1, 1)
    )
    if not low <= len(layer.bottoms) <= high:
        wanted = str(low) if low == high else f"{low} or more"
        raise LayerProblem(f"it needs {wanted} inputs (bottom), not {len(layer.bottoms)}")
    if not layer.tops or (len(layer.tops) > 1 and layer.type != "Split"):
        raise LayerProblem(f"it needs one output (top), not {len(layer.tops)}")


def _check_rank(shape: Shape) -> None:
    if len(shape) != 4:
        raise LayerProblem(f"its input must have four dimensions (n, c, h, w), not {_text([shape])}")


def _check_window(window: Window) -> Window:
    if min(*window.kernel_hw, *window.stride_hw, *window.dilation_hw) < 1 or min(window.pad_hw) < 0:
        raise LayerProblem("kernel, stride and dilation must be 1 or more, pad 0 or more")
    return window


def _num_output(params: Mapping[str, Any]) -> int:
    outputs = int(params.get("num_output", 0))
    if outputs < 1:
        raise LayerProblem("num_output must be 1 or more")
    return outputs


def _pair(
    params: Mapping[str, Any], both: str, vertical: str, horizontal: str, *, default: int | None
) -> Pair:
    if vertical in params or horizontal in params:
        if both in params:
            raise LayerProblem(f"give either {both} or {vertical} and {horizontal}, not both")
        missing = 0 if default is None else default
        return params.get(vertical, missing), params.get(horizontal, missing)
    value = params.get(both, default)
    if value is None or value == ():
        if default is None:
            raise LayerProblem(f"{both} is missing")
        value = default
    values = (value,) if isinstance(value, int) else tuple(value)
    if len(values) not in {1, 2}:
        raise LayerProblem(f"{both} must hold one or two numbers (h, w), not {values}")
    return values[0], values[-1]


def _without(shape: Shape, axis: int) -> Shape:
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: Shape, axis: int, size: int) -> Shape:
    return *shape[:axis], size, *shape[axis + 1 :]


def _text(shapes: Sequence[Shape]) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)
