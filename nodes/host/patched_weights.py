"""The weights of a MODEL's UNet as it is sampled: with its LoRAs, and as plain numbers where they are quantised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.lora
import comfy.model_management
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
    entries = model.get_key_patches(PREFIX)

    def weight(key: str) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        (value, convert), *patches = entries[PREFIX + key]
        # in the order of the host's own patch_weight_to_device
        value = comfy.model_management.cast_to_device(value, model.load_device, torch.float32, copy=True)
        value = convert(value, inplace=True)
        if patches:
            value = comfy.lora.calculate_weight(patches, value, PREFIX + key)
        return value.float()

    return weight


def check_readable(model: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """shapes: LDM key -> shape of the weights that are needed.

    Raises `ValueError` for weights that the MODEL does not have, has in another shape, or holds in a form that ComfyUI
    does not turn back into numbers.
    """
    entries = model.get_key_patches(PREFIX)
    if missing := [key for key in shapes if PREFIX + key not in entries]:
        raise ValueError(
            f"the MODEL's UNet has no {named(missing)}: it has other layers than this control was made for. Load a "
            "checkpoint of the family that the control is for."
        )
    odd = [key for key in shapes if not entries[PREFIX + key][0][0].is_floating_point()]
    if odd:
        raise ValueError(
            f"this control is made of the MODEL's weights, and {plural(len(odd), 'weight')} of this MODEL "
            f"({named(odd)}) are quantised in a way that ComfyUI does not undo. Load the checkpoint in fp16, bf16 or "
            "fp8."
        )
    for key, shape in shapes.items():
        if len(entries[PREFIX + key]) == 1:  # patches may change the shape
            fitting(key, entries[PREFIX + key][0][0], torch.Size(shape))
