"""What a whole checkpoint was trained to predict, and with which noise: by the keys that ComfyUI reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..bases import Base
from ..files.key_faults import named, short
from ..files.weight_file import CheckpointError
from ..network.noise_levels import STABLE_DIFFUSION, ZERO_TERMINAL_SNR
from ..sampling import Prediction

V_PRED, ZTSNR = "v_pred", "ztsnr"
EDM = ("edm_mean", "edm_std", "edm_vpred.sigma_max", "edm_vpred.sigma_min")
"""Beside the weights, of any shape: v-prediction, zero terminal SNR (NoobAI XL), and noise of EDM (Playground 2.5,
CosXL)."""
V_NORM, V_SPREAD = "output_blocks.11.1.transformer_blocks.0.norm1.bias", 0.09
"""SD 2.x has no such keys: the deviation of this weight is above the number in the v-prediction models (ComfyUI)."""


class TrainingNoise(NamedTuple):
    prediction: Prediction
    schedule: str  # a name of `noise_levels.SCHEDULES`


def training_noise(path: Path, tensors: Mapping[str, Tensor], base: Base, unet: Mapping[str, Tensor]) -> TrainingNoise:
    """Prediction and noise schedule of a checkpoint; `tensors` are all of it, `unet` those of its UNet without prefix.

    SDXL says them by `v_pred` and `ztsnr`, SD 2.x by a weight, SD 1.x predicts eps: the rule of ComfyUI's
    supported_models.py, which samples the same file. Raises `CheckpointError` where ComfyUI would sample with other
    noise than a key says, and for noise of EDM.
    """
    name = short(path.name)
    if edm := [key for key in EDM if key in tensors]:
        raise CheckpointError(
            f"{name} was trained with noise of EDM ({named(edm)}), which is not trained with; expected a base with "
            "the noise of Stable Diffusion. Give another base"
        )
    if base.name == "sdxl":
        return _said_by_keys(name, tensors)
    keys = [key for key in (V_PRED, ZTSNR) if key in tensors]
    norm = unet.get(V_NORM) if base.name == "sd21" else None
    is_v = norm is not None and float(norm.float().std(correction=0)) > V_SPREAD
    if ZTSNR in keys or (keys and not is_v):
        raise CheckpointError(
            f"{name} is {base.title} and has {named(keys)}, which ComfyUI reads of SDXL alone: it would sample this "
            f"file with {'v' if is_v else 'eps'} and the usual noise. Remove the {'keys' if keys[1:] else 'key'} if "
            "that is right; otherwise it cannot be trained on"
        )
    return TrainingNoise("v" if is_v else "eps", STABLE_DIFFUSION)


def _said_by_keys(name: str, tensors: Mapping[str, Tensor]) -> TrainingNoise:
    if V_PRED in tensors:
        return TrainingNoise("v", ZERO_TERMINAL_SNR if ZTSNR in tensors else STABLE_DIFFUSION)
    if ZTSNR in tensors:
        raise CheckpointError(
            f"{name} has {ZTSNR} without {V_PRED}: with zero terminal SNR its last timestep holds nothing but noise, "
            f"from which eps says nothing of the picture; expected both keys or neither. Add {V_PRED} if the base "
            f"predicts v, or remove {ZTSNR}"
        )
    return TrainingNoise("eps", STABLE_DIFFUSION)
