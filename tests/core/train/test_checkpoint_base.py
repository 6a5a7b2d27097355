"""A control trained on a whole checkpoint's UNet, from data prepared for it, by the command."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_weights import SPECS, clip_l_shapes, prefixed, random_state_dict, random_unet, vae_shapes
from safetensors.torch import save_file

from zeroctl_core import load_controlnet
from zeroctl_core.train.__main__ import Options, main, of_checkpoint
from zeroctl_core.train.checkpoint_base import CheckpointBase
from zeroctl_core.train.data import Prompts
from zeroctl_core.train.prepare.preparing import Drawing, prepare
from zeroctl_core.train.prepare.sample import Sample, TensorPicture
from zeroctl_core.train.run import train_control

N, SIZE, STEPS = 5, 64, 3
WIDTHS = {"thin": 768, "thin21": 1024, "thinxl": 2048}


class GivenEncoders:
    """Latents and contexts from a formula, under the digits of a base's own encoders."""

    def __init__(self, encoders: tuple[str, str], width: int, takes_sizes: bool) -> None:
        self.encoders, self.width, self.takes_sizes = encoders, width, takes_sizes

    def encode(self, pictures):
        mean = torch.nn.functional.avg_pool2d(pictures, 8) - 0.5
        mean = torch.cat((mean, mean[:, :1]), dim=1)
        return mean, mean.abs() * 0.1

    def encode_prompts(self, prompts):
        draw = torch.Generator().manual_seed(len(prompts[0]))
        context = torch.randn(1, 7, self.width, generator=draw)
        return Prompts(context, torch.randn(1, 1280, generator=draw) if self.takes_sizes else None)


def checkpoint(path, family="thin", **keys):
    text = "conditioner.embedders.0." if family == "thinxl" else "cond_stage_model."
    spec = replace(SPECS[family], model_channels=64)
    tensors = {
        **prefixed("model.diffusion_model.", random_unet(spec, 0, torch.float16)),
        **prefixed(f"{text}transformer.text_model.", random_state_dict(clip_l_shapes(1, 32, 64), 1)),
        **prefixed("first_stage_model.", random_state_dict(vae_shapes(8, (1, 1, 1, 1), 1), 2)),
    }
    save_file({**tensors, **keys}, path)
    return path


def data_for(path, folder, family="thin", encoders=None):
    base = CheckpointBase(path)
    encoders = GivenEncoders(encoders or base.encoders, WIDTHS[family], takes_sizes=family == "thinxl")
    pixels = torch.rand(N, 3, SIZE, 2 * SIZE, generator=torch.Generator().manual_seed(0))
    samples = [Sample(name=f"{i}", picture=TensorPicture(pixels[i]), caption="word " * (i % 3 + 1)) for i in range(N)]
    prepare(samples, Drawing(size=(SIZE, SIZE), annotator="canny"), encoders, folder, held_out=1)
    return folder


def options_of(base, data, work):
    return {"base": base, "data": data, "work": work, "steps": STEPS, "batch_size": 2, "warmup_steps": 0}


@pytest.mark.parametrize(
    ("family", "keys", "prediction", "schedule"),
    [
        ("thin", {}, "eps", "stable_diffusion"),
        ("thin21", {}, "eps", "stable_diffusion"),
        ("thinxl", {"v_pred": torch.tensor([]), "ztsnr": torch.zeros(1)}, "v", "zero_terminal_snr"),
    ],
)
def test_three_steps_move_the_control_alone(family, keys, prediction, schedule, tmp_path, capsys):
    path = checkpoint(tmp_path / "base.safetensors", family, **keys)
    data = data_for(path, tmp_path / "data", family)
    config, source = of_checkpoint(Options(**options_of(path, data, tmp_path / "work")), path, data)
    lines = capsys.readouterr().out
    assert f"predicts {prediction}, noise schedule {schedule}" in lines
    assert "no samples are scored: the autoencoder of base.safetensors" in lines
    assert (source.prediction, source.schedule, config.condition) == (prediction, schedule, "canny")
    result = train_control(config, source, say=lambda text: None)
    before = CheckpointBase(path).unet.state_dict()
    assert all(weight.grad is None and not weight.requires_grad for weight in source.unet.parameters())
    assert all(torch.equal(value, before[key]) for key, value in source.unet.state_dict().items())
    losses = [line["loss"] for line in result.log if "loss" in line]
    assert len(losses) == STEPS and all(0 < loss < 10 for loss in losses)
    net = load_controlnet(result.path)
    assert net.base.name == CheckpointBase(path).checkpoint.base.name
    assert all(bool(conv[0].weight.any()) for conv in net.zero_convs) and bool(net.middle_block_out[0].weight.any())


def test_the_command_trains_on_a_file(tmp_path):
    path = checkpoint(tmp_path / "base.safetensors")
    data = data_for(path, tmp_path / "data")
    options = ["--base", str(path), "--data", str(data), "--work", str(tmp_path / "work"), "--steps", "1"]
    assert main([*options, "--batch-size", "2", "--run", "one"]) == 0
    assert load_controlnet(tmp_path / "work" / "one" / "canny.safetensors").base.name == "sd15"


def test_data_of_other_encoders_is_refused_before_a_step(tmp_path, capsys):
    path = checkpoint(tmp_path / "base.safetensors")
    data = data_for(path, tmp_path / "data", encoders=("another", "text"))
    assert main(["--base", str(path), "--data", str(data), "--work", str(tmp_path / "work"), "--batch-size", "2"]) == 2
    assert "prepared with another autoencoder or text encoder" in capsys.readouterr().err


def test_a_lora_as_base_is_refused_before_anything_is_read(tmp_path, capsys):
    lora = tmp_path / "style.safetensors"
    save_file({"lora_unet_x.lora_down.weight": torch.ones(4, 64)}, lora)
    assert main(["--base", str(lora), "--data", str(tmp_path), "--work", str(tmp_path / "work")]) == 2
    error = capsys.readouterr().err
    assert "style.safetensors seems to be a LoRA; expected a whole checkpoint" in error and "Load Checkpoint" in error


def test_a_base_without_data_and_beside_another_source_are_refused(tmp_path):
    with pytest.raises(ValueError, match="base has no data of its own; expected data"):
        Options(base=tmp_path)
    with pytest.raises(ValueError, match="give one of the two"):
        Options(base=tmp_path, data=tmp_path, weights=tmp_path)


def test_pictures_and_prompts_are_refused_with_the_way_around(tmp_path):
    base = CheckpointBase(checkpoint(tmp_path / "base.safetensors"))
    for action in (base.encode, base.decode, base.encode_prompts):
        with pytest.raises(ValueError, match="base.safetensors is given as a file.*train on prepared data"):
            action(["a prompt"])
