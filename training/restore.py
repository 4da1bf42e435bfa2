"""Take up an exported network again: Caffe's two files back into the trainable network.

An exported network has its batch normalisation folded away. `restore` copies the folded weights, each filter
stretched to the length it had in the network given, because that length decides how far a step of training
turns it. `settle_normalisation` then shows it some crops and splits every bias into the statistics of what it
saw and the rest. Neither changes a score.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pipeline.caffe_format import load_caffe
from pipeline.caffe_format.layers import Layer
from training.network import SKIP_BLOCKS, ConvUnit, FaceNetwork, InvertedResidual, Refinement

SHORTEST_FILTER = 1e-4
"""Filters shorter than this (Euclidean norm) are dead and stay as they are."""


def restore(network: FaceNetwork, prototxt: Path, caffemodel: Path) -> list[str]:
    """Copy an exported network's weights; the scores of ``network.eval()`` are then the file's.

    Parameters
    ----------
    network
        Changed in place. Should hold the weights that the training of the exported one began with, or such.
    prototxt, caffemodel
        What `training.export` wrote, by this architecture or by one without refinements.

    Returns
    -------
    list of str
        Names of refinements that the files do not hold; they stay as they are.

    Raises
    ------
    ModelError
        If a file cannot be read.
    KeyError
        If another layer is missing.
    """
    layers = {layer.name: layer for layer in load_caffe(prototxt, caffemodel).layers}
    missing: list[str] = []
    for name, module in named_units(network):
        if name in layers:
            _copy(module, layers[name])
        elif name.startswith("refine"):
            missing.append(name)
        else:
            raise KeyError(f"{caffemodel}: no layer {name!r}; it is not a network of training.export")
    return missing


def named_units(network: FaceNetwork) -> Iterable[tuple[str, nn.Module]]:
    """Yield every convolution unit and deconvolution with the name that `training.export` gives it."""
    yield "detail", network.detail
    yield "stem", network.stem
    for index, block in enumerate(network.blocks):
        assert isinstance(block, InvertedResidual)
        if block.expand is not None:
            yield f"block{index + 1}_expand", block.expand
        yield f"block{index + 1}_depthwise", block.depthwise
        yield f"block{index + 1}_project", block.project
    yield "bridge", network.bridge
    for index, stage in enumerate(network.decoder):
        stride = 2 ** (len(SKIP_BLOCKS) - index)
        for name, module in (("up", stage.upsample), ("mix", stage.mix)):
            assert isinstance(module, nn.Module)
            yield f"{name}{stride}", module
        if isinstance(stage.refine, Refinement):
            yield f"refine{stride}_widen", stage.refine.widen
            yield f"refine{stride}_project", stage.refine.project
    yield "score", network.score


def _copy(module: nn.Module, layer: Layer) -> None:
    blobs = [torch.from_numpy(blob.copy()) for blob in layer.blobs]
    with torch.no_grad():
        if isinstance(module, ConvUnit):
            convolution, norm = module[0], module[1]
            assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            assert norm.running_mean is not None and norm.running_var is not None
            stretch = _stretch(convolution.weight, blobs[0])
            convolution.weight.copy_(blobs[0] * stretch[:, None, None, None])
            norm.running_mean.zero_()
            norm.running_var.copy_(stretch**2)
            norm.weight.copy_(torch.sqrt(stretch**2 + norm.eps) / stretch)
            norm.bias.copy_(blobs[1])
        else:
            assert isinstance(module, nn.ConvTranspose2d)
            module.weight.copy_(blobs[0])
            if module.bias is not None:
                module.bias.copy_(blobs[1])


def _stretch(before: Tensor, folded: Tensor) -> Tensor:
    """Return what brings every folded filter to the length of the one before; 1 where either has none."""
    lengths, folded_lengths = before.flatten(1).norm(dim=1), folded.flatten(1).norm(dim=1)
    alive = (lengths > SHORTEST_FILTER) & (folded_lengths > SHORTEST_FILTER)
    return torch.where(alive, lengths / folded_lengths.clamp(min=SHORTEST_FILTER), 1.0)


def settle_normalisation(network: FaceNetwork, batches: Iterable[Tensor]) -> None:
    """Give every batch normalisation the statistics of what passes through it, without changing a score.

    Parameters
    ----------
    network
        Changed in place; left in inference mode.
    batches
        Network inputs (n, 3, h, w); a few hundred crops are enough.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    sums = {norm: [torch.zeros(norm.num_features, dtype=torch.float64) for _ in range(2)] for norm in norms}
    counts = dict.fromkeys(norms, 0)

    def watch(norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(norm, nn.BatchNorm2d)
        x = inputs[0].detach().double()
        sums[norm][0] += x.sum((0, 2, 3))
        sums[norm][1] += (x * x).sum((0, 2, 3))
        counts[norm] += x.numel() // x.shape[1]

    network.eval()
    hooks: list[RemovableHandle] = [norm.register_forward_hook(watch) for norm in norms]
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for hook in hooks:
        hook.remove()
    for norm in norms:
        mean = sums[norm][0] / counts[norm]
        variance = (sums[norm][1] / counts[norm] - mean * mean).clamp(min=0)
        _split_bias(norm, mean, variance)


def _split_bias(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    """Change the statistics to those given, and scale and bias so that the outcome stays the same."""
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        bias = norm.bias.double() - scale * norm.running_mean.double()
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(scale * torch.sqrt(variance + norm.eps))
        norm.bias.copy_(bias + scale * mean)
