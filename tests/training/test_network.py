from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch comes with the training extra")

import torch

from training.losses import face_logit, segmentation_loss
from training.network import (
    BATCH_NORM_EPS,
    CAFFE_MEAN_BGR,
    LITE0_BLOCKS,
    FaceNetwork,
    InvertedResidual,
    bilinear_kernel,
    count_macs,
    freeze_early,
    load_imagenet_encoder,
)

FCN8S_500_GMAC = 181


def imagenet_like_state() -> dict[str, torch.Tensor]:
    """Random weights under the names of the EfficientNet-Lite0 ports."""
    generator = torch.Generator().manual_seed(3)
    state: dict[str, torch.Tensor] = {}

    def norm(name: str, channels: int) -> None:
        for key in ("weight", "bias", "running_mean"):
            state[f"{name}.{key}"] = torch.randn(channels, generator=generator)
        state[f"{name}.running_var"] = torch.rand(channels, generator=generator) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(1)

    state["_conv_stem.weight"] = torch.randn(32, 3, 3, 3, generator=generator)
    norm("_bn0", 32)
    for index, block in enumerate(LITE0_BLOCKS):
        hidden = block.channels_in * block.expansion
        prefix = f"_blocks.{index}."
        if block.expansion > 1:
            state[f"{prefix}_expand_conv.weight"] = torch.randn(
                hidden, block.channels_in, 1, 1, generator=generator
            )
            norm(f"{prefix}_bn0", hidden)
        state[f"{prefix}_depthwise_conv.weight"] = torch.randn(
            hidden, 1, block.kernel, block.kernel, generator=generator
        )
        norm(f"{prefix}_bn1", hidden)
        state[f"{prefix}_project_conv.weight"] = torch.randn(
            block.channels_out, hidden, 1, 1, generator=generator
        )
        norm(f"{prefix}_bn2", block.channels_out)
    return state


@pytest.mark.parametrize("shape_hw", [(64, 64), (32, 96), (160, 128)])
def test_scores_have_the_size_of_the_input(shape_hw: tuple[int, int]) -> None:
    network = FaceNetwork().eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, *shape_hw)).shape == (2, 2, *shape_hw)


def test_it_takes_a_fortieth_of_fcn8s_and_fits_in_16_mb() -> None:
    network = FaceNetwork()
    assert count_macs(network) < FCN8S_500_GMAC * 1e9 / 40
    assert sum(parameter.numel() for parameter in network.parameters()) * 4 < 16e6


def test_macs_of_a_known_layer() -> None:
    assert count_macs(torch.nn.Conv2d(3, 8, 3, padding=1), (10, 20)) == 3 * 8 * 9 * 200


def test_the_normalisation_of_imagenet_is_folded_into_the_first_convolution() -> None:
    network, state = FaceNetwork().eval(), imagenet_like_state()
    load_imagenet_encoder(network, state)
    rgb = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 255
    direct = torch.nn.functional.conv2d((rgb - 127) / 128, state["_conv_stem.weight"], stride=2, padding=1)
    spread = torch.sqrt(state["_bn0.running_var"] + BATCH_NORM_EPS)
    normed = (direct - state["_bn0.running_mean"][:, None, None]) / spread[:, None, None]
    expected = torch.relu(normed * state["_bn0.weight"][:, None, None] + state["_bn0.bias"][:, None, None])
    with torch.inference_mode():
        found = network.stem(rgb.flip(1) - torch.tensor(CAFFE_MEAN_BGR)[:, None, None])
    torch.testing.assert_close(found[:, :, 1:, 1:], expected[:, :, 1:, 1:], atol=1e-3, rtol=1e-3)


def test_every_encoder_weight_comes_from_imagenet() -> None:
    network, state = FaceNetwork(), imagenet_like_state()
    load_imagenet_encoder(network, state)
    for index, block in enumerate(network.blocks):
        assert isinstance(block, InvertedResidual)
        torch.testing.assert_close(
            block.depthwise[0].weight.data, state[f"_blocks.{index}._depthwise_conv.weight"]
        )
        torch.testing.assert_close(block.project[1].running_var, state[f"_blocks.{index}._bn2.running_var"])
    del state["_blocks.3._bn1.bias"]
    with pytest.raises(KeyError, match=r"_blocks\.3"):
        load_imagenet_encoder(FaceNetwork(), state)


def test_the_upsampling_starts_bilinear() -> None:
    layer = torch.nn.ConvTranspose2d(1, 1, 4, 2, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(bilinear_kernel()[None, None])
        small = torch.rand(1, 1, 6, 6, generator=torch.Generator().manual_seed(2))
        expected = torch.nn.functional.interpolate(
            small, scale_factor=2, mode="bilinear", align_corners=False
        )
        torch.testing.assert_close(layer(small)[:, :, 2:-2, 2:-2], expected[:, :, 2:-2, 2:-2])


def test_frozen_blocks_do_not_learn_and_keep_their_statistics() -> None:
    network = FaceNetwork().train()
    freeze_early(network, 3)
    norm = network.stem[1]
    assert isinstance(norm, torch.nn.BatchNorm2d) and norm.running_mean is not None
    before = norm.running_mean.clone()
    network(torch.randn(2, 3, 64, 64)).sum().backward()
    torch.testing.assert_close(norm.running_mean, before)
    assert all(parameter.grad is None for parameter in network.blocks[2].parameters())
    assert all(parameter.grad is not None for parameter in network.blocks[3].parameters())


def test_ignored_pixels_have_no_say_in_the_loss() -> None:
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(2, 2, 8, 8, generator=generator)
    face = (torch.rand(2, 8, 8, generator=generator) > 0.5).float()
    weight = torch.ones(2, 8, 8)
    weight[:, :, :3] = 0
    flipped = face.clone()
    flipped[:, :, :3] = 1 - face[:, :, :3]
    shifted = scores.clone()
    shifted[:, :, :, :3] += torch.tensor([5.0, -5.0])[:, None, None]
    loss = segmentation_loss(scores, face, weight)
    torch.testing.assert_close(segmentation_loss(shifted, flipped, weight), loss)


def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much() -> None:
    face = torch.zeros(1, 16, 16)
    face[:, 4:12, 4:12] = 1
    right = torch.stack([(1 - face) * 40 - 20, face * 40 - 20], 1)
    weight = torch.ones(1, 16, 16)
    assert segmentation_loss(right, face, weight) < 1e-4
    assert segmentation_loss(right.flip(1), face, weight) > 10
    torch.testing.assert_close(face_logit(right), face * 80 - 40)
