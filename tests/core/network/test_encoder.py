"""The spec, the embedding of the timestep, and what every network checks about its inputs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from zeroctl_core import BASES, ControlNet, Ops, UNet
from zeroctl_core.network.blocks import timestep_embedding
from zeroctl_core.network.ops import TORCH_OPS

SPEC = BASES["tiny"].spec


def test_the_embedding_is_cosines_then_sines_of_falling_frequency():
    embedding = timestep_embedding(torch.tensor([0.0, 250.5]), 8)
    assert embedding[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    expected = [math.cos(250.5 / 10**i) for i in range(4)] + [math.sin(250.5 / 10**i) for i in range(4)]
    assert torch.allclose(embedding[1], torch.tensor(expected), atol=1e-4)


def test_the_embedding_does_not_round_the_timestep_to_half_precision():
    """bf16 has 8 bits: it would make 999 into 1000."""
    low = timestep_embedding(torch.tensor([999.0]), 320)
    assert low.dtype == torch.float32
    assert not torch.allclose(low, timestep_embedding(torch.tensor([1000.0]), 320), atol=1e-3)


@pytest.mark.parametrize("base", ["sd15", "sd21"])
def test_connections_of_sd(base):
    connections = BASES[base].connections
    assert [c.downsample for c in connections] == [1, 1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 8]
    assert [c.channels for c in connections] == [320] * 4 + [640] * 3 + [1280] * 6
    assert [c.stage for c in connections] == ["skip"] * 12 + ["middle"]


def test_connections_of_sdxl():
    connections = BASES["sdxl"].connections
    assert [c.downsample for c in connections] == [1, 1, 1, 2, 2, 2, 4, 4, 4, 4]
    assert [c.channels for c in connections] == [320] * 4 + [640] * 3 + [1280] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_res_blocks": (2, 2, 2)}, r"channel_mult .* and num_res_blocks \(2, 2, 2\) differ in length"),
        ({"transformer_depth": (1, 1)}, "transformer_depth is .1, 1.; expected 8 numbers, one for each residual block"),
        ({"decoder_depth": (1,)}, "decoder_depth is .1,.; expected 12 numbers"),
        ({"num_heads": 4}, "give exactly one of them"),
        ({"groups": 24}, "32 channels is not divisible by 24 groups"),
        ({"head_channels": 12}, "12 channels a head"),
    ],
)
def test_a_spec_that_fits_no_network_says_why(change, message):
    with pytest.raises(ValueError, match=message):
        replace(SPEC, **change)


def test_decoder_depths_mirror_the_encoder_unless_given():
    assert BASES["sdxl"].spec.decoder_depths == (10, 10, 10, 2, 2, 2, 0, 0, 0)
    assert replace(SPEC, decoder_depth=tuple(range(12))).decoder_depths == tuple(range(12))


def test_layers_and_attention_come_from_ops():
    calls: list[str] = []

    def counting(name: str, layer: type[nn.Module]) -> object:
        def build(*args: object, **kwargs: object) -> nn.Module:
            calls.append(name)
            return layer(*args, **kwargs)

        return build

    heads: list[int] = []

    def attention(q, k, v, n):
        heads.append(n)
        return TORCH_OPS.attention(q, k, v, n)

    names = ("Linear", "Conv2d", "GroupNorm", "LayerNorm")
    ops = Ops(**{name: counting(name, getattr(nn, name)) for name in names}, attention=attention)
    net = ControlNet(BASES["tiny"], ops=ops)
    with_weights = [layer for layer in net.modules() if layer._parameters]
    assert len(calls) == len(with_weights), "a layer was not built through ops"
    net(torch.randn(1, 4, 8, 8), torch.zeros(1), torch.randn(1, 3, 64), feature=torch.zeros(1, 32, 8, 8))
    assert heads == [2] * 4 + [4] * 10  # 7 transformers, each with two attentions, of 32 and then 64 channels


class TestInputs:
    """One good call, and each argument wrong in turn."""

    good = {
        "x": torch.zeros(2, 4, 8, 8),
        "t": torch.zeros(2),
        "context": torch.zeros(2, 3, 64),
        "feature": torch.zeros(1, 32, 8, 8),
    }

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            (
                "x",
                torch.zeros(2, 9, 8, 8),
                r"latent has the shape \(2, 9, 8, 8\); .* takes \[B, 4, h, w\]",
            ),
            ("x", torch.zeros(4, 8, 8), r"takes \[B, 4, h, w\]"),
            ("t", torch.tensor(5.0), r"timesteps have the shape \(\) for 2 latents; give one for each"),
            ("t", torch.zeros(3), "for 2 latents"),
            ("context", torch.zeros(2, 3, 768), r"takes \[2, T, 64\].*another family"),
            ("context", torch.zeros(1, 3, 64), r"takes \[2, T, 64\]"),
            ("feature", torch.zeros(1, 32, 4, 4), r"expected \(2, 32, 8, 8\), or one row of it"),
            ("feature", torch.zeros(3, 32, 8, 8), "8 times the latent's size"),
        ],
    )
    def test_refused(self, name, value, message):
        net = ControlNet(BASES["tiny"])
        net(**self.good)
        with pytest.raises(ValueError, match=message):
            net(**{**self.good, name: value})

    @pytest.mark.parametrize("y", [None, torch.zeros(2, 5), torch.zeros(1, 2816)])
    def test_sdxl_needs_y(self, y):
        net = ControlNet(BASES["sdxl"], device="meta")
        with pytest.raises(ValueError, match=r"this sdxl network needs y .* as \[2, 2816\]"):
            net.embed(torch.zeros(2, 4, 8, 8, device="meta"), torch.zeros(2, device="meta"), y)


def test_a_base_without_y_leaves_it_aside():
    net = UNet(BASES["tiny"])
    x, t, context = torch.randn(1, 4, 8, 8), torch.zeros(1), torch.randn(1, 3, 64)
    assert torch.equal(net(x, t, context, y=torch.ones(1, 5)), net(x, t, context))
