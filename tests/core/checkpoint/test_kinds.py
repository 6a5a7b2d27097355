"""What a file is, told by its header alone: the same as loading says, without a weight."""

from __future__ import annotations

import pytest
import torch
from header_only import write_checkpoint, write_control, write_header_only
from random_weights import controlnet_shapes, unet_shapes

from zeroctl_core import BASES, CheckpointError, load_controlnet
from zeroctl_core.checkpoint.kinds import control_kind, control_suspect, unet_base
from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.demo.model import MODEL, WEIGHTS, control_files
from zeroctl_core.network.t2i_adapter import AdapterSpec, T2IAdapter

FULL = ("sd15", "sd21", "sdxl")


@pytest.mark.parametrize("preset", FULL)
def test_the_family_of_a_control_and_of_a_unet_is_told_at_full_size(tmp_path, preset):
    control = control_kind(write_control(tmp_path / "control.safetensors", preset))
    unet = unet_base(write_checkpoint(tmp_path / "checkpoint.safetensors", preset))
    assert control.base.name == unet.name == preset and control.n_types is None
    assert control.base.connections == unet.connections == BASES[preset].connections


@pytest.mark.parametrize("preset", FULL)
def test_a_unet_alone_is_told_in_both_layouts(tmp_path, preset):
    shapes = unet_shapes(preset)
    blocks = BASES[preset].spec.num_res_blocks
    assert unet_base(write_header_only(tmp_path / "ldm.safetensors", shapes)).name == preset
    encoder = {key: shape for key, shape in shapes.items() if not key.startswith(("output_blocks.", "out."))}
    released = {**to_diffusers(encoder, blocks), "up_blocks.0.resnets.0.norm1.weight": (2560,)}
    assert unet_base(write_header_only(tmp_path / "diffusers.safetensors", released)).name == preset


def test_the_embedded_files_are_told_as_they_are_loaded():
    assert unet_base(WEIGHTS / MODEL).name == "tiny"
    for name, path in control_files(WEIGHTS).items():
        kind = control_kind(path)
        assert kind.base == load_controlnet(path).base, name
        assert kind.condition == name.removesuffix("_paper")


def test_a_union_has_its_number_of_types(tmp_path):
    assert control_kind(write_control(tmp_path / "union.safetensors", "sdxl", union=True)).n_types == 8


def test_a_torch_file_is_told_and_an_older_one_is_not_read(tmp_path):
    state_dict = {key: torch.zeros(shape) for key, shape in unet_shapes("narrow").items()}
    for is_new, name in ((True, "sd15"), (False, None)):
        torch.save(state_dict, tmp_path / "x.pth", _use_new_zipfile_serialization=is_new)
        base = unet_base(tmp_path / "x.pth")
        assert (base and base.name) == name
    assert control_kind(tmp_path / "x.pth").base is None


def test_other_kinds_of_controls_have_their_names(tmp_path):
    difference = write_header_only(tmp_path / "d.safetensors", {**controlnet_shapes("sd21"), "difference": (1,)})
    kind = control_kind(difference)
    assert (kind.base.name, kind.kind) == ("sd21", "difference file")
    lora = {key: value for key, value in controlnet_shapes("sdxl").items() if not key.startswith("time_embed.0.w")}
    lora |= {"time_embed.0.up": (1280, 8), "time_embed.0.down": (8, 320), "lora_controlnet": (1,)}
    kind = control_kind(write_header_only(tmp_path / "l.safetensors", lora))
    assert (kind.base.name, kind.kind) == ("sdxl", "Control-LoRA")


@pytest.mark.parametrize("xl", [False, True])
def test_an_adapter_is_told_by_what_it_is_made_for(tmp_path, xl):
    widths = (320, 640, 1280, 1280)
    net = T2IAdapter(AdapterSpec(widths=widths, image_channels=3, xl=xl, convolves_down=False), device="meta")
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    kind = control_kind(write_header_only(tmp_path / "a.safetensors", shapes))
    assert (kind.base.title, kind.kind) == ("SDXL" if xl else "SD 1.5", "T2I-Adapter")


def test_what_is_not_a_control_is_refused_and_named(tmp_path):
    adapter = write_header_only(tmp_path / "a.safetensors", {"image_proj.proj.weight": (8, 8)})
    with pytest.raises(CheckpointError):
        control_kind(adapter)
    assert control_suspect(adapter) == "an IP-Adapter"
    (tmp_path / "cut.safetensors").write_bytes(adapter.read_bytes()[:40])
    with pytest.raises(CheckpointError, match="cut off"):
        control_kind(tmp_path / "cut.safetensors")
    assert control_suspect(tmp_path / "cut.safetensors") == ""
    assert unet_base(adapter) is None
    with pytest.raises(FileNotFoundError):
        control_kind(tmp_path / "gone.safetensors")
