"""A Control-LoRA is the merged net in both of its forms: with weights of its own, and around the UNet's layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from control_loras import control_lora, merged
from random_weights import SPECS, random_unet, spec_of
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import CheckpointError, ControlNet, UNet
from zeroctl_core.bases import recognise
from zeroctl_core.checkpoint import load_of_model
from zeroctl_core.files.on_meta import on_meta
from zeroctl_core.network.control_lora import ControlLora

INPAINT = replace(SPECS["narrow"], in_channels=9)
EQUAL = 1e-6  # relative L2 a residual in float32


def unet_of(weights: dict[str, Tensor]) -> UNet:
    base = recognise({key: tuple(value.shape) for key, value in weights.items()})
    assert base is not None
    with on_meta():
        unet = UNet(base, device="meta")
    unet.load_state_dict(weights, assign=True)
    return unet.eval()


def loaded(folder: Path, state: dict[str, Tensor]) -> ControlLora:
    path = folder / "lora.safetensors"
    save_file(state, path)
    net = load_of_model(path)
    assert isinstance(net, ControlLora)
    return net


@torch.no_grad()
def residuals(net: ControlNet) -> list[Tensor]:
    spec, generator = net.base.spec, torch.Generator().manual_seed(3)
    y = None if spec.adm_in_channels is None else torch.randn(2, spec.adm_in_channels, generator=generator)
    feature = net.encode(torch.rand(1, 3, 64, 96, generator=generator))
    x = torch.randn(2, 4, 8, 12, generator=generator)
    context = torch.randn(2, 7, spec.context_dim, generator=generator)
    return list(net(x, torch.tensor([7.0, 981.0]), context, feature=feature, y=y))


def largest(one: list[Tensor], other: list[Tensor]) -> float:
    return max(float((a - b).norm() / b.norm()) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("preset", "square"),
    [("narrow", True), ("narrow", False), ("narrow21", True), ("narrowxl", False), ("narrowxl", True), (INPAINT, True)],
    ids=["sd15", "sd15 1x1", "sd21", "sdxl 1x1", "sdxl", "inpaint"],
)
def test_both_forms_equal_the_net_of_the_formula(tmp_path, preset, square) -> None:
    weights = random_unet(preset, spread=0.1)
    family = "narrow" if preset == INPAINT else preset
    state = control_lora(family, square=square)
    lora, unet = loaded(tmp_path, state), unet_of(weights)
    assert lora.base.spec.transformer_depth == spec_depths(family)
    with on_meta():
        whole = ControlNet(lora.base, device="meta")
    whole.load_state_dict(merged(state, weights), assign=True)
    expected = residuals(whole.eval())
    assert largest(residuals(lora.merged(lambda key: weights[key].clone())), expected) <= EQUAL
    low_rank = lora.low_rank(lambda key: weights[key].clone(), unet.get_submodule)
    assert largest(residuals(low_rank), expected) <= EQUAL
    own = sum(value.numel() for value in low_rank.parameters())
    assert own == sum(value.numel() for key, value in state.items() if key != "lora_controlnet")


def spec_depths(preset: str) -> tuple[int, ...]:
    spec = spec_of(preset)
    pairs = zip(spec.num_res_blocks, spec.transformer_depth, strict=True)
    return tuple(depth for count, depth in pairs for _ in range(count))


def test_what_the_file_does_not_name_is_the_unets_in_both_forms(tmp_path) -> None:
    absent = [
        "input_blocks.0.0.weight",
        "input_blocks.1.0.in_layers.2.weight",
        "input_blocks.1.0.in_layers.2.bias",
        "input_blocks.1.1.norm.weight",
        "time_embed.0.weight",
    ]
    weights, state = random_unet("narrow", spread=0.1), control_lora("narrow", absent=absent)
    lora, unet = loaded(tmp_path, state), unet_of(weights)
    own = lora.merged(lambda key: weights[key].clone())
    for key in absent:
        assert torch.equal(own.state_dict()[key], weights[key])
    low_rank = lora.low_rank(lambda key: weights[key].clone(), unet.get_submodule)
    assert largest(residuals(low_rank), residuals(own)) <= EQUAL


def test_the_low_rank_form_follows_the_unets_own_weights_and_holds_none(tmp_path) -> None:
    """What a host patches in place counts at once; deep copies do not take the UNet along."""
    import copy
    import gc
    import weakref

    weights = random_unet("narrow", spread=0.1)
    lora, unet = loaded(tmp_path, control_lora("narrow")), unet_of(weights)
    low_rank = lora.low_rank(lambda key: weights[key].clone(), unet.get_submodule)
    first = residuals(low_rank)
    with torch.no_grad():
        unet.get_parameter("input_blocks.1.0.in_layers.2.weight").mul_(1.5)
    assert largest(residuals(low_rank), first) > 1e-3
    twin = copy.deepcopy(low_rank)
    assert largest(residuals(twin), residuals(low_rank)) == 0.0
    reference: Any = weakref.ref(unet)
    del unet
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_half_precision_file_is_merged_in_float32(tmp_path, dtype) -> None:
    weights, state = random_unet("narrow", spread=0.1), control_lora("narrow", dtype=dtype)
    own = loaded(tmp_path, state).merged(lambda key: weights[key].clone()).state_dict()
    for key, value in merged(state, weights).items():
        assert own[key].dtype == dtype and torch.equal(own[key], value.to(dtype)), key


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            lambda s: s.pop("middle_block.0.in_layers.2.up"),
            "middle_block.0.in_layers.2 has one factor, down, and lacks",
        ),
        (
            lambda s: s.update({"middle_block.0.in_layers.2.up": torch.ones(128, 3, 1, 1)}),
            r"the factors of middle_block.0.in_layers.2 are \[128, 3, 1, 1\] and",
        ),
        (lambda s: s.pop("zero_convs.3.0.weight"), "1 key missing .zero_convs.3.0.weight"),
        (lambda s: s["time_embed.0.down"].fill_(torch.inf), "NaN or infinite numbers in 1"),
        (lambda s: s.update({"time_embed.0.down": torch.ones(2, 2).to(torch.int32)}), "another type than floating"),
    ],
)
def test_a_damaged_control_lora_is_refused(tmp_path, edit, message) -> None:
    state = control_lora("narrow")
    edit(state)
    with pytest.raises(CheckpointError, match=message):
        loaded(tmp_path, state)


def test_keys_with_two_underscores_are_left_out(tmp_path) -> None:
    assert "lora__alpha" not in loaded(tmp_path, {**control_lora("narrow"), "lora__alpha": torch.ones(3)}).weights
