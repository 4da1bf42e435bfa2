"""From trained weights to Caffe's two files: batch normalisation folded away, layers named after their place.

python -m training.export training/runs/first/last.pt data/models/uncrop_256

``--mix-with OLD.caffemodel --share S`` averages the weights of a network that was trained on with those that
it began as: what it learnt stays for the most part, and what it knew before comes back (Wortsman et al.,
arXiv 2109.01903).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from landmarks.arrays import Float32Array
from pipeline.caffe_format import CaffeNetwork, load_caffe
from pipeline.caffe_format.layers import Layer
from pipeline.caffe_format.writer import write_caffe
from pipeline.files import path_argument
from training.network import SKIP_BLOCKS, ConvUnit, FaceNetwork, InvertedResidual, Refinement
from training.records import load_checkpoint
from training.restore import restore

NETWORK_NAME = "uncrop_256"
INPUT_SIZE_PX = 256


def fold_batch_norm(unit: ConvUnit) -> tuple[Float32Array, Float32Array]:
    """Return weights and bias of the one convolution that equals convolution and batch normalisation.

    With scale ``s = gamma / sqrt(variance + eps)``: ``w' = s w`` and ``b' = beta - s mean``, in float64.
    """
    convolution, norm = unit[0], unit[1]
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    weight = convolution.weight.detach().double() * scale[:, None, None, None]
    bias = norm.bias.detach().double() - scale * norm.running_mean.double()
    return _float32(weight), _float32(bias)


def _float32(tensor: torch.Tensor) -> Float32Array:
    return np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))


class _LayerList:
    """Collects layers; every method returns the name of the blob it wrote."""

    def __init__(self) -> None:
        self.layers: list[Layer] = []

    def unit(self, name: str, bottom: str, unit: ConvUnit) -> str:
        convolution = unit[0]
        assert isinstance(convolution, nn.Conv2d)
        params = {
            "num_output": convolution.out_channels,
            "kernel_size": convolution.kernel_size[0],
            "pad": int(convolution.padding[0]),
            "stride": convolution.stride[0],
        }
        if convolution.groups > 1:
            params["group"] = convolution.groups
        self.layers.append(Layer(name, "Convolution", [bottom], [name], params, fold_batch_norm(unit)))
        if len(unit) > 2:
            self.layers.append(Layer(f"{name}_relu", "ReLU", [name], [name]))
        return name

    def deconvolution(self, name: str, bottom: str, layer: nn.ConvTranspose2d) -> str:
        params = {
            "num_output": layer.out_channels,
            "kernel_size": layer.kernel_size[0],
            "pad": int(layer.padding[0]),
            "stride": layer.stride[0],
            "group": layer.groups,
            "bias_term": layer.bias is not None,
        }
        blobs = [_float32(layer.weight)] + ([] if layer.bias is None else [_float32(layer.bias)])
        self.layers.append(Layer(name, "Deconvolution", [bottom], [name], params, blobs))
        return name

    def concat(self, name: str, bottoms: list[str]) -> str:
        self.layers.append(Layer(name, "Concat", bottoms, [name], {"axis": 1}))
        return name

    def block(self, name: str, bottom: str, block: InvertedResidual) -> str:
        inner = bottom if block.expand is None else self.unit(f"{name}_expand", bottom, block.expand)
        inner = self.unit(f"{name}_depthwise", inner, block.depthwise)
        inner = self.unit(f"{name}_project", inner, block.project)
        return self.sum(f"{name}_sum", [bottom, inner]) if block.has_identity else inner

    def refinement(self, name: str, bottom: str, refine: Refinement) -> str:
        inner = self.unit(f"{name}_project", self.unit(f"{name}_widen", bottom, refine.widen), refine.project)
        return self.sum(f"{name}_sum", [bottom, inner])

    def sum(self, name: str, bottoms: list[str]) -> str:
        self.layers.append(Layer(name, "Eltwise", bottoms, [name], {"operation": "SUM"}))
        return name


def to_caffe(network: FaceNetwork, size_px: int = INPUT_SIZE_PX) -> CaffeNetwork:
    """Describe a trained network in Caffe's layers; the same scores up to rounding.

    Parameters
    ----------
    network
        Its normalisation statistics are used as they are.
    size_px
        Height and width the prototxt suggests; any multiples of 32 work.
    """
    out = _LayerList()
    out.layers.append(Layer("data", "Input", [], ["data"], {"shape": (1, 3, size_px, size_px)}))
    detail = out.unit("detail", "data", network.detail)
    blob = out.unit("stem", "data", network.stem)
    skips: list[str] = []
    for index, block in enumerate(network.blocks):
        assert isinstance(block, InvertedResidual)
        blob = out.block(f"block{index + 1}", blob, block)
        if index in SKIP_BLOCKS:
            skips.append(blob)
    blob = out.unit("bridge", blob, network.bridge)
    for index, (stage, skip) in enumerate(zip(network.decoder, reversed(skips), strict=True)):
        stride = 2 ** (len(SKIP_BLOCKS) - index)
        upsample, mix = stage.upsample, stage.mix
        assert isinstance(upsample, nn.ConvTranspose2d) and isinstance(mix, ConvUnit)
        enlarged = out.deconvolution(f"up{stride}", blob, upsample)
        joined = [enlarged, skip] + ([detail] if stride == 2 else [])
        blob = out.unit(f"mix{stride}", out.concat(f"join{stride}", joined), mix)
        if isinstance(stage.refine, Refinement):
            blob = out.refinement(f"refine{stride}", blob, stage.refine)
    out.deconvolution("score", blob, network.score)
    return CaffeNetwork.from_layers(out.layers, name=NETWORK_NAME)


def load_network(path: Path) -> FaceNetwork:
    """Build the network for inference, of a checkpoint's averaged weights or of an exported caffemodel."""
    network = FaceNetwork()
    if path.suffix == ".caffemodel":
        restore(network, path.with_suffix(".prototxt"), path)
    else:
        network.load_state_dict(load_checkpoint(path)["average"])
    return network.eval()


def mixed(network: CaffeNetwork, other: CaffeNetwork, share: float) -> CaffeNetwork:
    """Average two networks weight by weight.

    Parameters
    ----------
    network, other
        Of one architecture.
    share
        Of `other`, 0..1.

    Raises
    ------
    ValueError
        If their layers differ, or the share is none.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share {share:g}: choose from 0 to 1")
    if [_plan(layer) for layer in network.layers] != [_plan(layer) for layer in other.layers]:
        raise ValueError(f"{other.path}: not the layers of the network to mix it with; take one it began as")
    layers = [
        replace(
            layer,
            blobs=[
                np.asarray((1 - share) * one + share * another, np.float32)
                for one, another in zip(layer.blobs, match.blobs, strict=True)
            ],
        )
        for layer, match in zip(network.layers, other.layers, strict=True)
    ]
    return CaffeNetwork.from_layers(layers, name=network.name)


def _plan(layer: Layer) -> tuple[str, str, tuple[tuple[int, ...], ...]]:
    return layer.name, layer.type, tuple(blob.shape for blob in layer.blobs)


def export_checkpoint(
    checkpoint: Path, stem: Path, *, mix_with: Path | None = None, share: float = 0.5
) -> tuple[Path, Path]:
    """Write ``<stem>.prototxt`` and ``<stem>.caffemodel`` of a checkpoint's averaged weights.

    `share` of the caffemodel `mix_with` (its prototxt beside it) is mixed in, see `mixed`.
    """
    prototxt, caffemodel = stem.with_suffix(".prototxt"), stem.with_suffix(".caffemodel")
    network = to_caffe(load_network(checkpoint))
    if mix_with is not None:
        network = mixed(network, load_caffe(mix_with.with_suffix(".prototxt"), mix_with), share)
    write_caffe(network, prototxt, caffemodel)
    return prototxt, caffemodel


def main(argv: list[str] | None = None) -> None:
    """Export the checkpoint named on the command line."""
    parser = argparse.ArgumentParser(description="Write a trained network in Caffe's format.")
    parser.add_argument("checkpoint", type=path_argument, help="last.pt of a training run")
    parser.add_argument("stem", type=path_argument, help="where to write, without .prototxt and .caffemodel")
    parser.add_argument("--mix-with", type=path_argument, help="caffemodel whose weights are mixed in")
    parser.add_argument("--share", type=float, default=0.5, help="share of those, 0 to 1 (default 0.5)")
    arguments = parser.parse_args(argv)
    try:
        written = export_checkpoint(
            arguments.checkpoint, arguments.stem, mix_with=arguments.mix_with, share=arguments.share
        )
    except ValueError as error:
        raise SystemExit(f"training.export: {error}") from error
    for path in written:
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
