"""Simplifying a network without changing what it computes.

Dropout and Split do nothing when a network runs and are left out. Batch norms become scale layers, and scale
layers are multiplied into the convolution before or after them wherever that is exact (up to float rounding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from landmarks.arrays import Float32Array
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork
from pipeline.caffe_format.shapes import convolution_window

_DEFAULT_EPS = 1e-5
_LINEAR = {"Convolution", "Deconvolution"}


@dataclass
class _Op:
    """A layer in a graph where each value has one writer; `top` names its output."""

    layer: Layer
    sources: tuple[int, ...]
    top: str


def simplify(network: CaffeNetwork) -> CaffeNetwork:
    """Fold what can be folded.

    Parameters
    ----------
    network
        The network as Caffe has it.

    Returns
    -------
    CaffeNetwork
        The same function with fewer layers: no Dropout, Split or BatchNorm, no in-place layers. Every output
        has the name of the blob that held it; values that Caffe overwrites in place are named ``blob@layer``.
        Arrays that did not change are shared with `network`.
    """
    ops = _without_in_place(network)
    ops = _without_identities(ops)
    ops = [_with_scale_for_batch_norm(op) for op in ops]
    ops = _scales_into_layer_before(ops)
    ops = _scales_into_layer_after(ops)
    layers = [
        replace(op.layer, bottoms=[ops[source].top for source in op.sources], tops=[op.top]) for op in ops
    ]
    return CaffeNetwork.from_layers(layers, name=network.name, path=network.path)


def _without_in_place(network: CaffeNetwork) -> list[_Op]:
    writers = [(top, index) for index, layer in enumerate(network.layers) for top in layer.tops]
    last_writer = {**dict(writers), network.input_name: 0}
    return [
        _Op(layer, sources, top if last_writer[top] == index else f"{top}@{layer.name}")
        for index, (layer, sources) in enumerate(zip(network.layers, network.sources, strict=True))
        for top in layer.tops[:1]
    ]


def _without_identities(ops: list[_Op]) -> list[_Op]:
    kept: list[_Op] = []
    place: list[int] = []
    for index, op in enumerate(ops):
        sources = tuple(place[source] for source in op.sources)
        if op.layer.type in {"Dropout", "Split"} and index + 1 < len(ops):
            place.append(sources[0])
            if op.layer.in_place and kept[sources[0]].layer.type != "Input":
                kept[sources[0]].top = op.top
        else:
            place.append(len(kept))
            kept.append(replace(op, sources=sources))
    return kept


def _with_scale_for_batch_norm(op: _Op) -> _Op:
    """Rewrite (x - mean / f) / sqrt(variance / f + eps), f the third blob, zero counting as infinite."""
    if op.layer.type != "BatchNorm":
        return op
    mean, variance, factor = (blob.astype(np.float64) for blob in op.layer.blobs)
    share = 0.0 if factor[0] == 0 else 1.0 / factor[0]
    scale = 1.0 / np.sqrt(variance * share + op.layer.params.get("eps", _DEFAULT_EPS))
    blobs = scale.astype(np.float32), (-mean * share * scale).astype(np.float32)
    return replace(op, layer=replace(op.layer, type="Scale", params={"bias_term": True}, blobs=blobs))


def _scales_into_layer_before(ops: list[_Op]) -> list[_Op]:
    readers = _readers(ops)
    kept: list[_Op] = []
    place: list[int] = []
    for op in ops:
        sources = tuple(place[source] for source in op.sources)
        before = kept[sources[0]] if sources else None
        if (
            before is not None
            and op.layer.type == "Scale"
            and len(readers[op.sources[0]]) == 1
            and before.layer.type in {*_LINEAR, "Scale"}
        ):
            before.layer = _scaled_output(before.layer, op.layer)
            before.top = op.top
            place.append(sources[0])
        else:
            place.append(len(kept))
            kept.append(replace(op, sources=sources))
    return kept


def _scales_into_layer_after(ops: list[_Op]) -> list[_Op]:
    readers = _readers(ops)
    kept: list[_Op] = []
    place: list[int] = []
    for index, op in enumerate(ops):
        sources = tuple(place[source] for source in op.sources)
        reader = readers[index][0] if len(readers[index]) == 1 else None
        if op.layer.type == "Scale" and reader and _takes_scaled_input(reader.layer, op.layer):
            reader.layer = _scaled_input(reader.layer, op.layer)
            place.append(sources[0])
        else:
            place.append(len(kept))
            kept.append(replace(op, sources=sources))
    return kept


def _readers(ops: list[_Op]) -> list[list[_Op]]:
    readers: list[list[_Op]] = [[] for _ in ops]
    for op in ops:
        for source in op.sources:
            readers[source].append(op)
    return readers


def _scaled_output(layer: Layer, scale: Layer) -> Layer:
    factor, offset = _factor_and_offset(scale)
    weights = layer.blobs[0]
    if layer.type == "Scale":
        own_factor, own_offset = _factor_and_offset(layer)
        factor, offset = own_factor * factor, own_offset * factor + offset
        num_axes = 1 if np.ndim(factor) else 0
        params = {"bias_term": True, "num_axes": num_axes}
        blobs = [np.asarray(factor, np.float32), np.broadcast_to(offset, np.shape(factor)).astype(np.float32)]
        return replace(layer, params=params, blobs=blobs)
    outputs = layer.params["num_output"]
    factor, offset = np.broadcast_to(factor, (outputs,)), np.broadcast_to(offset, (outputs,))
    if layer.type == "Convolution":
        weights = weights * factor.astype(np.float32)[:, None, None, None]
    else:
        groups = layer.params.get("group", 1)
        by_group = factor.astype(np.float32).reshape(groups, 1, -1, 1, 1)
        weights = (weights.reshape(groups, -1, *weights.shape[1:]) * by_group).reshape(weights.shape)
    bias = layer.blobs[1].astype(np.float64) if len(layer.blobs) > 1 else 0.0
    new_bias: Float32Array = (bias * factor + offset).astype(np.float32)
    return replace(layer, params={**layer.params, "bias_term": True}, blobs=[weights, new_bias])


def _takes_scaled_input(layer: Layer, scale: Layer) -> bool:
    if layer.type != "Convolution" or layer.params.get("group", 1) != 1:
        return False
    return len(scale.blobs) == 1 or convolution_window(layer.params).pad_hw == (0, 0)


def _scaled_input(layer: Layer, scale: Layer) -> Layer:
    factor, offset = _factor_and_offset(scale)
    weights = layer.blobs[0]
    channels = weights.shape[1]
    scaled = weights * np.broadcast_to(factor, (channels,)).astype(np.float32)[None, :, None, None]
    if len(scale.blobs) == 1:
        return replace(layer, blobs=[scaled, *layer.blobs[1:]])
    by_channel = weights.reshape(*weights.shape[:2], math.prod(weights.shape[2:])).sum(
        axis=2, dtype=np.float64
    )
    bias = layer.blobs[1].astype(np.float64) if len(layer.blobs) > 1 else 0.0
    new_bias: Float32Array = (bias + by_channel @ np.broadcast_to(offset, (channels,))).astype(np.float32)
    return replace(layer, params={**layer.params, "bias_term": True}, blobs=[scaled, new_bias])


def _factor_and_offset(scale: Layer) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    factor = scale.blobs[0].astype(np.float64)
    offset = scale.blobs[1].astype(np.float64) if len(scale.blobs) > 1 else np.zeros((), np.float64)
    return factor, offset
