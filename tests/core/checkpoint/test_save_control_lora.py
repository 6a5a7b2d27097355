"""A trained net and its UNet become a Control-LoRA: what its rank costs is what is measured on the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import SPECS, random_controlnet, random_state_dict, random_unet, union_shapes
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from zeroctl_core import ControlNet, UNet, load_controlnet, save_controlnet
from zeroctl_core.bases import recognise
from zeroctl_core.checkpoint import load_of_model, save_control_lora
from zeroctl_core.files.on_meta import on_meta
from zeroctl_core.network.of_model import is_own
from zeroctl_core.network.rank_cost import control_lora_of

State = dict[str, Tensor]
EQUAL = 1e-5  # relative Frobenius norm of a weight
FULL = "middle_block.0.in_layers.2"


def net_of(folder: Path, weights: State) -> ControlNet:
    path = folder / "net.safetensors"
    save_file(weights, path)
    return load_controlnet(path)


def unet_of(weights: State) -> UNet:
    base = recognise({key: tuple(value.shape) for key, value in weights.items()})
    assert base is not None
    with on_meta():
        unet = UNet(base, device="meta")
    unet.load_state_dict(weights, assign=True)
    return unet


def base_of(unet: State, key: str) -> Tensor:
    return unet[key][:, :4] if key == "input_blocks.0.0.weight" else unet[key]


def trained(preset: str, unet: State, rank: int | None = None) -> State:
    """A net whose layers differ from the UNet's by this rank, None: by all."""
    weights = random_controlnet(preset, seed=5, spread=0.1)
    for number, (key, value) in enumerate(weights.items()):
        if value.ndim < 2 or is_own(key) or rank is None:
            continue
        generator = torch.Generator().manual_seed(number)
        up = torch.randn(value.shape[0], rank, generator=generator)
        down = torch.randn(rank, value[0].numel(), generator=generator) / value[0].numel() ** 0.5
        weights[key] = base_of(unet, key) + 0.2 * (up @ down).view_as(value)
    return weights


def apart(one: Tensor, other: Tensor) -> float:
    return float((one.float() - other.float()).norm() / other.float().norm())


def merged(path: Path, unet: State) -> State:
    return load_of_model(path).merged(lambda key: unet[key].clone(), dtype=torch.float32).state_dict()


@pytest.mark.parametrize("preset", ["narrow", "narrow21", "narrowxl"])
def test_a_change_of_this_rank_is_kept_whole(tmp_path, preset) -> None:
    unet, path = random_unet(preset, spread=0.1), tmp_path / "lora.safetensors"
    weights = trained(preset, unet, rank=6)
    cost = save_control_lora(net_of(tmp_path, weights), unet_of(unet), path, 6)
    assert sum(layer.in_factors for layer in cost.layers.values()) > 0.9 * len(cost.layers)
    own = merged(path, unet)
    assert own.keys() == weights.keys()
    for key, value in weights.items():
        assert apart(own[key], value) <= EQUAL, key
    assert cost.layers[cost.worst].of_weight <= EQUAL


def test_a_layer_whose_factors_would_be_no_smaller_is_whole_and_exact(tmp_path) -> None:
    unet, path = random_unet("narrow", spread=0.1), tmp_path / "lora.safetensors"
    weights = trained("narrow", unet)
    net = net_of(tmp_path, weights)
    with pytest.raises(ValueError, match="expected a whole number from 1 to ") as caught:
        save_control_lora(net, unet_of(unet), path, 10_000)
    highest = int(str(caught.value).split(" from 1 to ")[1].split(",")[0])
    cost = save_control_lora(net, unet_of(unet), path, highest)
    own, keys = merged(path, unet), load_file(path).keys()
    sizes = {True: 0, False: 0}
    for layer, numbers in cost.layers.items():
        value = weights[f"{layer}.weight"]
        o, i = value.flatten(1).shape
        assert numbers.in_factors == (highest * (o + i) < o * i) == (f"{layer}.up" in keys)
        assert numbers.in_factors or (torch.equal(own[f"{layer}.weight"], value) and numbers.of_weight == 0.0)
        sizes[numbers.in_factors] += 1
    assert sizes[True] and sizes[False]
    assert f"{len(cost.layers)} layers, {sizes[False]} of them whole" in str(cost)


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("preset", ["narrow", "narrowxl"])
def test_the_cost_is_what_the_file_loses(tmp_path, preset, dtype) -> None:
    unet, path = random_unet(preset, spread=0.1), tmp_path / "lora.safetensors"
    weights = trained(preset, unet)
    cost = save_control_lora(net_of(tmp_path, weights), unet_of(unet), path, 8, dtype=dtype)
    own = merged(path, unet)
    layers = {key.removesuffix(".weight") for key, value in weights.items() if value.ndim > 1 and not is_own(key)}
    assert cost.layers.keys() == layers
    for layer, numbers in cost.layers.items():
        key = f"{layer}.weight"
        error = (own[key] - weights[key]).norm()
        change = (weights[key] - base_of(unet, key)).norm()
        assert numbers.of_weight == pytest.approx(float(error / weights[key].norm()), rel=1e-3, abs=1e-6), layer
        assert numbers.of_change == pytest.approx(float(error / change), rel=1e-3, abs=1e-6), layer
    errors = [numbers.of_weight for numbers in cost.layers.values()]
    assert cost.mean.of_weight == pytest.approx(sum(errors) / len(errors))
    assert cost.layers[cost.worst].of_weight == max(errors) > 0.1
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["zeroctl.control_lora"])
        assert file.metadata()["zeroctl.base"] == ("sdxl" if preset == "narrowxl" else "sd15")
    assert header == {
        "rank": 8,
        "error_mean": cost.mean.of_weight,
        "error_worst": max(errors),
        "worst_layer": cost.worst,
        "change_lost_mean": cost.mean.of_change,
    }
    assert f"at worst by {max(errors):.2%} ({cost.worst})" in str(cost)


def test_no_other_matrix_of_this_rank_is_nearer(tmp_path) -> None:
    """Eckart and Young: what is lost are the other singular values, of a convolution those of its flattened matrix."""
    unet = random_unet("narrow", spread=0.1)
    weights = trained("narrow", unet)
    tensors, cost = control_lora_of(net_of(tmp_path, weights), unet.__getitem__, 8)
    for layer in (FULL, "middle_block.1.transformer_blocks.0.attn1.to_q", "input_blocks.1.0.emb_layers.1"):
        change = weights[f"{layer}.weight"] - unet[f"{layer}.weight"]
        values = torch.linalg.svdvals(change.flatten(1).double())
        expected = float(values[8:].norm() / values.norm())
        assert cost.layers[layer].of_change == pytest.approx(expected, rel=1e-4)
    assert tensors[f"{FULL}.up"].shape[1:] == (8, 1, 1) and tensors[f"{FULL}.down"].shape[2:] == (3, 3)
    assert tensors["time_embed.0.up"].ndim == tensors["time_embed.0.down"].ndim == 2


def test_a_higher_rank_costs_less_and_a_file_takes_less_than_the_whole(tmp_path) -> None:
    unet, path = random_unet("narrow", spread=0.1), tmp_path / "lora.safetensors"
    net = net_of(tmp_path, trained("narrow", unet))
    sizes, errors = [], []
    for rank in (1, 4, 16):
        errors.append(save_control_lora(net, unet_of(unet), path, rank).mean.of_weight)
        sizes.append(path.stat().st_size)
    assert errors == sorted(errors, reverse=True) and sizes == sorted(sizes)
    assert sizes[-1] < (tmp_path / "net.safetensors").stat().st_size


def test_of_an_inpaint_unet_the_first_convolution_is_that_of_the_latent(tmp_path) -> None:
    unet, path = random_unet(replace(SPECS["narrow"], in_channels=9), spread=0.1), tmp_path / "lora.safetensors"
    weights = trained("narrow", unet, rank=2)
    save_control_lora(net_of(tmp_path, weights), unet_of(unet), path, 2)
    own = merged(path, unet)
    assert apart(own["input_blocks.0.0.weight"], weights["input_blocks.0.0.weight"]) <= EQUAL


def test_an_untrained_copy_costs_nothing(tmp_path) -> None:
    unet, path = unet_of(random_unet("narrow", spread=0.1)), tmp_path / "lora.safetensors"
    cost = save_control_lora(ControlNet.trainable_copy(unet), unet, path, 1)
    assert cost.layers[cost.worst].of_weight == cost.mean.of_change == 0.0


def test_whether_it_pools_is_kept_and_a_merged_net_says_no_rank(tmp_path) -> None:
    unet, path = random_unet("narrow", spread=0.1), tmp_path / "lora.safetensors"
    net = net_of(tmp_path, trained("narrow", unet))
    net.global_average_pooling = True
    save_control_lora(net, unet_of(unet), path, 4)
    again = load_of_model(path).merged(lambda key: unet[key].clone())
    assert again.global_average_pooling
    save_controlnet(again, tmp_path / "whole.safetensors")
    with safe_open(tmp_path / "whole.safetensors", "pt") as file:
        assert not any("control_lora" in key for key in file.metadata())


def test_it_may_replace_the_file_of_the_net(tmp_path) -> None:
    unet = random_unet("narrow", spread=0.1)
    net = net_of(tmp_path, trained("narrow", unet, rank=2))
    before = {key: value.clone() for key, value in net.state_dict().items()}
    save_control_lora(net, unet_of(unet), tmp_path / "net.safetensors", 2)
    own = merged(tmp_path / "net.safetensors", unet)
    for key, value in before.items():
        assert torch.equal(net.state_dict()[key], value) and apart(own[key], value) <= EQUAL


@pytest.mark.parametrize("rank", [0, -1, 2.0, True, 128])
def test_a_rank_that_is_none_is_refused(tmp_path, rank) -> None:
    unet, path = random_unet("narrow"), tmp_path / "lora.safetensors"
    with pytest.raises(ValueError, match=rf"rank is {rank}: expected a whole number from 1 to \d+, above"):
        save_control_lora(net_of(tmp_path, random_controlnet("narrow")), unet_of(unet), path, rank)
    assert not path.exists()


def test_another_base_is_refused(tmp_path) -> None:
    net, path = net_of(tmp_path, random_controlnet("narrow", spread=0.1)), tmp_path / "lora.safetensors"
    other = random_unet("narrowxl", spread=0.1)
    with pytest.raises(ValueError, match="of the SD 1.* family and the UNet of the SDXL family: give the UNet"):
        save_control_lora(net, unet_of(other), path, 4)
    with pytest.raises(ValueError, match="the UNet has no input_blocks.1.1"):
        save_control_lora(net, other.__getitem__, path, 4)
    with pytest.raises(ValueError, match=r"is \[.*, this control was made for \["):
        save_control_lora(net, unet_of(random_unet("thin")), path, 4)
    assert not path.exists()


def test_what_a_control_lora_cannot_hold_is_refused(tmp_path) -> None:
    unet, path = random_unet("narrow", spread=0.1), tmp_path / "lora.safetensors"
    net = net_of(tmp_path, trained("narrow", unet))
    broken = {**unet, f"{FULL}.weight": torch.full_like(unet[f"{FULL}.weight"], torch.nan)}
    with pytest.raises(ValueError, match=f"{FULL}.weight of the net or of the UNet holds NaN"):
        save_control_lora(net, broken.__getitem__, path, 4)
    far = {**unet, f"{FULL}.weight": unet[f"{FULL}.weight"] - 1e12}
    with pytest.raises(ValueError, match=f"{FULL}.weight is beyond the range of torch.float16: save it in"):
        save_control_lora(net, far.__getitem__, path, 4, dtype=torch.float16)
    with on_meta():
        empty = ControlNet(net.base, device="meta")
    with pytest.raises(ValueError, match="no weights yet"):
        save_control_lora(empty, unet.__getitem__, path, 4)
    save_file(random_state_dict(union_shapes("narrowxl", 6)), tmp_path / "union.safetensors")
    with pytest.raises(ValueError, match="holds a plain ControlNet, and this is a union ControlNet"):
        save_control_lora(load_controlnet(tmp_path / "union.safetensors"), unet.__getitem__, path, 4)
    assert not path.exists()
