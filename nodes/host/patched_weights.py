"""The weights of a MODEL's UNet as it is sampled: with its LoRAs, and as plain numbers where they are quantised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor

from zeroctl_core.files.key_faults import named
from zeroctl_core.files.plural import plural
from zeroctl_core.network.of_model import UNetWeights, fitting

from .copying import PREFIX

__all__ = ["check_readable", "patched_weights"]


def patched_weights(model: Any) -> UNetWeights:
    """A weight of a MODEL (a ModelPatcher of the host) by its LDM key, in float32 on the MODEL's device.

    It is computed anew from what was loaded, wherever the host holds it and whether it has patched it yet, and is the
    caller's to change. Each may be interrupted.
    """

    def weight(key: str) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        value, convert = _as_loaded(model, key)
        # in the order of the host's own patch_weight_to_device
        value = comfy.model_management.cast_to_device(value, model.load_device, torch.float32, copy=True)
        if convert is not None:
            value = convert(value, inplace=True)
        if patches := model.patches.get(PREFIX + key):
            value = comfy.lora.calculate_weight(patches, value, PREFIX + key)
        return value.float()

    return weight


def _as_loaded(model: Any, key: str) -> tuple[Any, Callable[..., Any] | None]:
    """A weight before all patches, and what turns it into plain numbers, if anything. The host's own get_key_patches
    fails on quantised MODELs: it asks for their scales as if they were weights."""
    name = PREFIX + key
    value, _, convert = comfy.model_patcher.get_key_weight(model.model, name)
    if (backup := model.backup.get(name)) is not None:
        value = backup.weight
    if (backup := model.hook_backup.get(name)) is not None:
        value = backup[0]
    return value, convert


def check_readable(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """shapes: LDM key -> shape of the weights that are needed.

    Raises `ValueError` for weights that the MODEL does not have, has in another shape, or holds in a form that ComfyUI
    does not turn back into numbers.
    """
    present = model.model.diffusion_model.state_dict().keys()
    if missing := [key for key in shapes if key not in present]:
        raise ValueError(
            f"the MODEL's UNet has no {named(missing)}: it has other layers than this control was made for. Load a "
            "checkpoint of the family that the control is for."
        )
    weights = {key: _as_loaded(model, key)[0] for key in shapes}
    if odd := [key for key, value in weights.items() if not value.is_floating_point()]:
        raise ValueError(
            f"this control is made of the MODEL's weights, and {plural(len(odd), 'weight')} of this MODEL "
            f"({named(odd)}) {'is' if len(odd) == 1 else 'are'} quantised in a way that ComfyUI does not undo. Load "
            "the checkpoint in fp16, bf16 or fp8."
        )
    for key, shape in shapes.items():
        if PREFIX + key not in model.patches:  # which may change the shape
            fitting(key, weights[key], torch.Size(shape))
