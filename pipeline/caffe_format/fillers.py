"""Weights that a prototxt itself defines, for layers that a caffemodel leaves out."""

from __future__ import annotations

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.shapes import Shape


def bilinear_kernel(shape: Shape) -> Float32Array:
    """Bilinear interpolation as a deconvolution kernel (Caffe's ``BilinearFiller``, filler.hpp).

    Parameters
    ----------
    shape
        ``(a, b, k, k)``.

    Returns
    -------
    ndarray, shape `shape`, float32
        The same k x k kernel for every pair of channels, as Caffe fills it.
    """
    size = shape[-1]
    half = -(-size // 2)
    centre = (2 * half - 1 - half % 2) / (2.0 * half)
    weights = 1 - np.abs(np.arange(size) / half - centre)
    return np.broadcast_to(np.outer(weights, weights), shape).astype(np.float32)


def filled_blobs(layer: Layer, shapes: tuple[Shape, ...]) -> tuple[Float32Array, ...] | None:
    """Weights of a layer by its fillers; None where they would be random or a guess.

    Scale layers have constant fillers (one and zero unless said); a deconvolution may say ``bilinear``.
    """
    if layer.type == "Scale":
        names, defaults = ("filler", "bias_filler"), (1.0, 0.0)
    elif layer.type == "Deconvolution" and layer.params.get("weight_filler", {}).get("type") == "bilinear":
        names, defaults = ("weight_filler", "bias_filler"), (0.0, 0.0)
    else:
        return None
    blobs: list[Float32Array] = []
    for shape, name, default in zip(shapes, names, defaults, strict=False):
        filler = layer.params.get(name, {"type": "constant", "value": default})
        if filler["type"] == "bilinear" and len(shape) == 4 and shape[2] == shape[3]:
            blobs.append(bilinear_kernel(shape))
        elif filler["type"] == "constant":
            blobs.append(np.full(shape, filler["value"], np.float32))
        else:
            return None
    return tuple(blobs)
