"""Files of controls that are made of a MODEL's weights: what they become, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import SPECS, controlnet_shapes, prefixed, random_controlnet, random_unet
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import BASES, CheckpointError, load_controlnet
from zeroctl_core.checkpoint.of_model import is_of_model, load_of_model
from zeroctl_core.network.of_model import NetOfModel

State = dict[str, Tensor]
MARKER = {"difference": torch.ones(1)}
DROPPED = (
    "input_blocks.0.0.weight",
    "time_embed.0.bias",
    "input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "middle_block.1.norm.weight",
)


@pytest.fixture(scope="module")
def unet() -> State:
    return random_unet("narrow", spread=0.1)


@pytest.fixture(scope="module")
def changes(unet: State) -> State:
    whole = random_controlnet("narrow", seed=5, spread=0.1)
    return {key: value - unet[key] if key in unet else value for key, value in whole.items()}


def load(path: Path, state: State) -> NetOfModel:
    save_file(state, path)
    assert is_of_model(path)
    return load_of_model(path)


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.safetensors"


@pytest.mark.parametrize("prefix", ["", "control_model.", "state_dict.control_model."])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_difference_becomes_the_sum_in_float32(path, unet, changes, prefix, dtype) -> None:
    changes = {key: value.to(dtype) for key, value in changes.items()}
    head = "state_dict." if prefix.startswith("state_dict.") else ""
    net = load(path, {**prefixed(head, MARKER), **prefixed(prefix, changes)})
    assert net.base.name == "sd15" and net.info.prefix == prefix
    own = net.merged(unet.__getitem__).state_dict()
    assert own.keys() == changes.keys()
    for key, change in changes.items():
        expected = change.float() + unet[key] if key in unet else change.float()
        assert own[key].dtype == dtype and torch.equal(own[key], expected.to(dtype)), key


def test_layers_that_a_difference_leaves_out_are_the_unets(path, unet, changes) -> None:
    net = load(path, {**MARKER, **{key: value for key, value in changes.items() if key not in DROPPED}})
    own = net.merged(unet.__getitem__).state_dict()
    for key in DROPPED:
        assert torch.equal(own[key], unet[key])
    assert torch.equal(
        own["middle_block.1.norm.bias"], unet["middle_block.1.norm.bias"] + changes["middle_block.1.norm.bias"]
    )


def test_a_full_size_file_is_recognised_without_the_layers_that_tell_its_spec(path) -> None:
    absent = ("middle_block.1.proj_in", "input_blocks.3.0.op", "attn2.to_k")
    shapes = {key: shape for key, shape in controlnet_shapes("sd15").items() if not any(part in key for part in absent)}
    state = {key: torch.full(shape, 0x38, dtype=torch.uint8).view(torch.float8_e4m3fn) for key, shape in shapes.items()}
    save_file({**MARKER, **state}, path)
    net = load_of_model(path, check_finite=False)
    assert net.base.spec == BASES["sd15"].spec
    assert "middle_block.1.proj_in.weight" in net.on_meta().state_dict()


def test_of_an_inpaint_unet_it_takes_the_channels_of_the_latent(path, unet, changes) -> None:
    wide = random_unet(replace(SPECS["narrow"], in_channels=9), spread=0.1)
    key = "input_blocks.0.0.weight"
    own = load(path, {**MARKER, **changes}).merged(wide.__getitem__).state_dict()
    assert wide[key].shape[1] == 9 and torch.equal(own[key], changes[key] + wide[key][:, :4])


def test_a_unet_with_other_shapes_is_refused(path, changes) -> None:
    other = random_unet("thin")
    with pytest.raises(ValueError, match=r"time_embed.0.weight of the MODEL is \[.*, this control was made for \["):
        load(path, {**MARKER, **changes}).merged(other.__getitem__)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda state: state.pop("zero_convs.3.0.weight"), "1 key missing .zero_convs.3.0.weight"),
        (lambda state: state.update({"surplus.weight": torch.ones(2)}), "1 key too many .surplus.weight"),
        (lambda state: state["time_embed.0.bias"].fill_(torch.nan), "NaN or infinite numbers in 1"),
    ],
)
def test_a_damaged_difference_is_refused(path, changes, edit, message) -> None:
    state = {key: value.clone() for key, value in {**MARKER, **changes}.items()}
    edit(state)
    save_file(state, path)
    with pytest.raises(CheckpointError, match=message):
        load_of_model(path)


def test_the_loader_of_whole_nets_names_the_kind_and_this_one_refuses_whole_nets(path, tmp_path, changes) -> None:
    save_file({**MARKER, **changes}, path)
    with pytest.raises(CheckpointError, match="seems to be a difference file"):
        load_controlnet(path)
    whole = tmp_path / "whole.safetensors"
    save_file(random_controlnet("narrow"), whole)
    assert not is_of_model(whole)
    with pytest.raises(CheckpointError, match="does not hold changes of a MODEL's weights"):
        load_of_model(whole)
