"""The face segmentation network of Nirkin et al. as a network: VGG-16 FCN-8s, trained "at once".

Layers, names and numbers: Nirkin, Masi, Tran, Hassner, Medioni, "On Face Segmentation, Face Swapping, and
Face Perception", FG 2018 (arXiv 1704.06729), and the deploy files of its releases, which follow
``voc-fcn8s-atonce`` of Shelhamer, Long, Darrell, "Fully Convolutional Networks for Semantic Segmentation"
(arXiv 1605.06211).
"""

from __future__ import annotations

import math

import numpy as np

from landmarks.arrays import Float32Array
from pipeline.caffe_format.fillers import filled_blobs
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.network import CaffeNetwork, wire
from pipeline.caffe_format.shapes import Shape
from pipeline.caffe_format.writer import prototxt_text

VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the 3x3 convolutions before each of the five poolings."""

FC_CHANNELS = 4096
"""Channels of fc6 and fc7."""

FIRST_PAD = 100
"""Zero padding of the first convolution in pixels, so that fc6 (7x7 without padding) fits on any picture."""

POOL4_SCALE, POOL3_SCALE = 0.01, 0.0001
"""Constants of the "at once" training by which the skip connections are scaled."""


def fcn8s_layers(num_classes: int, input_hw: tuple[int, int], *, width_divisor: int = 1) -> tuple[Layer, ...]:
    """Layers of FCN-8s without weights.

    Parameters
    ----------
    num_classes
        Channels of the scores: 21 in the 500x500 release (the face is 15), 2 in the 300x300 release (the face
        is 1).
    input_hw
        Height and width of the input in pixels.
    width_divisor
        Divides the channels of all layers but the scores; for small test networks.
    """
    height, width = input_hw
    layers = [Layer("data", "Input", [], ["data"], {"shape": (1, 3, height, width)})]
    blob = "data"
    for block, (channels, count) in enumerate(VGG16_BLOCKS, start=1):
        for number in range(1, count + 1):
            name = f"{block}_{number}"
            pad = FIRST_PAD if name == "1_1" else 1
            layers += _convolution(f"conv{name}", blob, channels // width_divisor, 3, pad, relu=f"relu{name}")
            blob = f"conv{name}"
        params = {"pool": "MAX", "kernel_size": 2, "stride": 2}
        layers.append(Layer(f"pool{block}", "Pooling", [blob], [f"pool{block}"], params))
        blob = f"pool{block}"
    for number, kernel in ((6, 7), (7, 1)):
        name = f"fc{number}"
        layers += _convolution(name, blob, FC_CHANNELS // width_divisor, kernel, 0, relu=f"relu{number}")
        layers.append(Layer(f"drop{number}", "Dropout", [name], [name], {"dropout_ratio": 0.5}))
        blob = name
    layers += _convolution("score_fr", blob, num_classes, 1, 0)
    layers.append(_deconvolution("upscore2", "score_fr", num_classes, 4, 2))
    layers += _skip(4, "upscore2", num_classes, POOL4_SCALE, crop_offset=5)
    layers.append(_deconvolution("upscore_pool4", "fuse_pool4", num_classes, 4, 2))
    layers += _skip(3, "upscore_pool4", num_classes, POOL3_SCALE, crop_offset=9)
    layers.append(_deconvolution("upscore8", "fuse_pool3", num_classes, 16, 8))
    layers.append(Layer("score", "Crop", ["upscore8", "data"], ["score"], {"axis": 2, "offset": 31}))
    return tuple(layers)


def fcn8s_prototxt(num_classes: int, input_hw: tuple[int, int], *, width_divisor: int = 1) -> str:
    """Deploy prototxt of FCN-8s; parameters as for `fcn8s_layers`."""
    return prototxt_text(fcn8s_layers(num_classes, input_hw, width_divisor=width_divisor), "face_seg_fcn8s")


def random_fcn8s(
    num_classes: int, input_hw: tuple[int, int] = (500, 500), *, width_divisor: int = 1, seed: int
) -> CaffeNetwork:
    """FCN-8s with random weights whose three score branches all matter in the result.

    Weights are normal with the deviation of He et al. (arXiv 1502.01852), sqrt(2 / fan in), so that
    activations neither vanish nor explode; those of score_pool4 and score_pool3 make up for the scale layers
    before them. Deconvolutions are random too, biases normal with deviation 1.

    Parameters
    ----------
    num_classes, input_hw, width_divisor
        As for `fcn8s_layers`.
    seed
        Seed of the random generator.
    """
    layers = fcn8s_layers(num_classes, input_hw, width_divisor=width_divisor)
    bare = CaffeNetwork("random_fcn8s", layers, wire(layers, "<fcn8s>"), "<fcn8s>")
    rng = np.random.default_rng(seed)
    gains = {"score_pool4": 1 / POOL4_SCALE, "score_pool3": 1 / POOL3_SCALE}
    return bare.with_blobs(
        [
            _random_blobs(layer, shapes, rng, gains.get(layer.name, 1.0))
            for layer, shapes in zip(layers, bare.blob_shapes(*input_hw), strict=True)
        ]
    )


def _convolution(
    name: str, bottom: str, channels: int, kernel: int, pad: int, relu: str | None = None
) -> list[Layer]:
    params = {"num_output": channels, "kernel_size": kernel, "pad": pad}
    layers = [Layer(name, "Convolution", [bottom], [name], params)]
    return layers if relu is None else [*layers, Layer(relu, "ReLU", [name], [name])]


def _deconvolution(name: str, bottom: str, channels: int, kernel: int, stride: int) -> Layer:
    params = {"num_output": channels, "kernel_size": kernel, "stride": stride, "bias_term": False}
    return Layer(name, "Deconvolution", [bottom], [name], params)


def _skip(pool: int, upscored: str, num_classes: int, scale: float, *, crop_offset: int) -> list[Layer]:
    source, scaled, scored = f"pool{pool}", f"scale_pool{pool}", f"score_pool{pool}"
    cropped, fused = f"{scored}c", f"fuse_pool{pool}"
    return [
        Layer(scaled, "Scale", [source], [scaled], {"filler": {"type": "constant", "value": scale}}),
        *_convolution(scored, scaled, num_classes, 1, 0),
        Layer(cropped, "Crop", [scored, upscored], [cropped], {"axis": 2, "offset": crop_offset}),
        Layer(fused, "Eltwise", [upscored, cropped], [fused], {"operation": "SUM"}),
    ]


def _random_blobs(
    layer: Layer, shapes: tuple[Shape, ...], rng: np.random.Generator, gain: float
) -> tuple[Float32Array, ...]:
    filled = filled_blobs(layer, shapes) if shapes else ()
    if filled is not None:
        return filled
    weights = rng.standard_normal(shapes[0], np.float32)
    if layer.type == "Deconvolution":
        stride = layer.params["stride"][0]
        fan_in = shapes[0][0] * (shapes[0][2] / stride) ** 2
    else:
        fan_in = math.prod(shapes[0][1:])
    weights *= np.float32(gain * math.sqrt(2 / fan_in))
    return (weights, *(rng.standard_normal(shape, np.float32) for shape in shapes[1:]))
