"""Whole checkpoints as bases of training: their UNet, prediction and noise, and every file that is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from random_weights import SPECS, clip_l_shapes, prefixed, random_state_dict, random_unet, vae_shapes
from safetensors.torch import save_file

from zeroctl_core.checkpoint import CheckpointError
from zeroctl_core.checkpoint.training_noise import V_NORM
from zeroctl_core.checkpoint.whole import UNET, open_checkpoint
from zeroctl_core.network.noise_levels import STABLE_DIFFUSION, ZERO_TERMINAL_SNR

NARROW = {name: replace(SPECS[name], model_channels=64) for name in ("thin", "thin21", "thinxl")}
TEXT_PREFIX = {"thin": "cond_stage_model.", "thin21": "cond_stage_model.", "thinxl": "conditioner.embedders.0."}
MARK = torch.tensor([])  # as ComfyUI writes it


def parts(family: str = "thin", dtype: torch.dtype = torch.float16) -> dict[str, torch.Tensor]:
    """A checkpoint with a narrow UNet and encoders of a few hundred weights."""
    text = random_state_dict(clip_l_shapes(layers=1, width=32, vocabulary=64), 1, dtype)
    vae = random_state_dict(vae_shapes(ch=8, ch_mult=(1, 1, 1, 1), num_res_blocks=1), 2, dtype)
    return {
        **prefixed(UNET, random_unet(NARROW[family], 0, dtype, spread=0.05)),
        **prefixed(f"{TEXT_PREFIX[family]}transformer.text_model.", text),
        **prefixed("first_stage_model.", vae),
    }


@pytest.fixture
def write(tmp_path):
    def save(tensors, name="base.safetensors"):
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    return save


@pytest.mark.parametrize(("family", "base"), [("thin", "sd15"), ("thin21", "sd21"), ("thinxl", "sdxl")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_unet_of_a_family_is_read_in_one_dtype(family, base, dtype, write):
    weights = parts(family, dtype)
    checkpoint = open_checkpoint(write(weights))
    unet = checkpoint.unet()
    assert checkpoint.base.name == base and not any(weight.requires_grad for weight in unet.parameters())
    assert all(torch.equal(value, weights[UNET + key].float()) for key, value in unet.state_dict().items())
    assert {value.dtype for value in checkpoint.unet(torch.bfloat16).state_dict().values()} == {torch.bfloat16}


@pytest.mark.parametrize(
    ("family", "keys", "noise"),
    [
        ("thin", (), ("eps", STABLE_DIFFUSION)),
        ("thin21", (), ("eps", STABLE_DIFFUSION)),
        ("thinxl", (), ("eps", STABLE_DIFFUSION)),
        ("thinxl", ("v_pred",), ("v", STABLE_DIFFUSION)),
        ("thinxl", ("v_pred", "ztsnr"), ("v", ZERO_TERMINAL_SNR)),
    ],
)
def test_prediction_and_noise_are_those_of_the_keys(family, keys, noise, write):
    assert open_checkpoint(write({**parts(family), **{key: MARK.clone() for key in keys}})).noise == noise


@pytest.mark.parametrize(("spread", "prediction"), [(0.05, "eps"), (0.15, "v")])
def test_sd_2_predicts_v_where_the_host_says_so_by_a_weight(spread, prediction, write):
    full_depth = replace(
        NARROW["thin21"],
        channel_mult=(1, 1, 1, 1),
        num_res_blocks=(2, 2, 2, 2),
        transformer_depth=(1, 0, 0, 0),
    )
    weights = parts("thin21")
    weights = {key: value for key, value in weights.items() if not key.startswith(UNET)}
    weights |= prefixed(UNET, random_unet(full_depth, 0, torch.float16))
    norm = torch.full((64,), spread)
    norm[::2] = -spread
    weights[UNET + V_NORM] = norm.half()
    assert open_checkpoint(write(weights)).noise == (prediction, STABLE_DIFFUSION)
    if prediction == "v":  # as ComfyUI saves it
        assert open_checkpoint(write({**weights, "v_pred": MARK})).noise.prediction == "v"


@pytest.mark.parametrize(
    ("family", "keys", "words"),
    [
        ("thinxl", ("ztsnr",), "ztsnr without v_pred.*eps says nothing.*Add v_pred"),
        ("thinxl", ("edm_mean", "edm_std"), "noise of EDM .edm_mean, edm_std"),
        ("thinxl", ("v_pred", "edm_vpred.sigma_max"), "noise of EDM"),
        ("thin", ("v_pred",), "is SD 1.5 and has v_pred.*would sample this file with eps"),
        ("thin21", ("v_pred",), "is SD 2.1 and has v_pred.*with eps"),
        ("thin21", ("v_pred", "ztsnr"), "has v_pred, ztsnr.*Remove the keys"),
    ],
)
def test_noise_that_the_host_would_sample_otherwise_is_refused(family, keys, words, write):
    path = write({**parts(family), **{key: MARK.clone() for key in keys}})
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(path)


def without(prefix: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in parts().items() if not key.startswith(prefix)}


def lora() -> dict[str, torch.Tensor]:
    key = "lora_unet_down_blocks_0_attentions_0_proj_in"
    return {f"{key}.lora_down.weight": torch.ones(4, 64), f"{key}.lora_up.weight": torch.ones(64, 4)}


def inpaint() -> dict[str, torch.Tensor]:
    return {**without(UNET), **prefixed(UNET, random_unet(replace(NARROW["thin"], in_channels=9), 0))}


def vae() -> dict[str, torch.Tensor]:
    return random_state_dict(vae_shapes(ch=8, ch_mult=(1, 1, 1, 1), num_res_blocks=1), 2)


FIRST = UNET + "input_blocks.0.0.weight"
BAD = {
    "a LoRA": (lora, "seems to be a LoRA; expected a whole checkpoint.*Give the file that ComfyUI's Load Checkpoint"),
    "a VAE": (vae, "seems to be a VAE; expected a whole checkpoint"),
    "a UNet alone": (lambda: random_unet(NARROW["thin"], 0), "seems to be a UNet.*expected a whole checkpoint"),
    "no autoencoder": (lambda: without("first_stage_model."), "has no autoencoder; expected a whole checkpoint"),
    "no text encoder": (lambda: without("cond_stage_model."), "has no text encoder; expected"),
    "inpaint": (inpaint, "reads 9 channels, as that of an inpaint model; expected 4"),
    "a lost key": (lambda: without(UNET + "out.2.bias"), "1 key missing .out.2.bias"),
    "quantised": (lambda: {**parts(), UNET + "out.2.scale_weight": torch.ones(1)}, "is quantised.*expected fp16"),
    "whole numbers": (lambda: {**parts(), FIRST: torch.ones(64, 4, 3, 3, dtype=torch.int8)}, "int8"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_base_is_refused_with_what_it_is_and_what_is_expected(what, write):
    content, words = BAD[what]
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(write(content()))


def test_missing_files_folders_and_numbers_that_are_not_finite_are_named(write, tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_checkpoint(tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="is a folder; expected a whole checkpoint"):
        open_checkpoint(tmp_path)
    weights = parts()
    weights[FIRST][0, 0, 0, 0] = torch.nan
    with pytest.raises(CheckpointError, match="NaN or infinite"):
        open_checkpoint(write(weights)).unet()
