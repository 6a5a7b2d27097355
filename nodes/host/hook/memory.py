"""ControlNets as models of the host: it loads, offloads and counts them, and leaves room for what they compute."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch

from zeroctl_core import Connection

from ..control_net import HostControlModel, is_ours
from ..units import Unit

__all__ = ["KEY", "activation_factor", "extended_models", "module_for"]

KEY = "zeroctl"


def extended_models(existing: Sequence[Any], units: Iterable[Unit]) -> list[Any]:
    """The MODEL's additional models of ours, and those of `units` that are not among them yet."""
    models = list(existing)
    for unit in units:
        for patcher in unit.control_net.get_models():
            if not any(patcher.model is other.model for other in models):
                models.append(patcher)
    return models


def module_for(model: Any, control_net: Any) -> HostControlModel:
    """The net's module on the device of this call. Hosts with several devices deep-clone additional models.

    model: the host's BaseModel of the call.
    """
    uuid = getattr(control_net.control_model_wrapped, "clone_base_uuid", None)
    current = getattr(model, "current_patcher", None)
    if uuid is not None and current is not None:
        for patcher in current.get_additional_models_with_key(KEY):
            if patcher.clone_base_uuid == uuid:
                return patcher.model
    return control_net.control_model


def activation_factor(units: Sequence[Unit], model: Any, latent: Sequence[int]) -> float:
    """By how much the host's activation estimate must grow: 1 + ours / UNet's, both for one row.

    model: the host's ModelPatcher. latent: shape of the noise, [B, C, h, w].
    Ours: the sum of the residuals and one further set while a net runs, and the condition's features. A net's own
    activations are freed before the UNet runs and are smaller than the UNet's; the condition encoder at full
    resolution is larger than them only on its first two maps, which are counted.
    """
    height, width = latent[-2], latent[-1]
    element = torch.finfo(model.model_dtype()).bits // 8
    nets = [unit.control_net.control_model.net for unit in units if is_ours(unit.control_net)]
    if not nets:
        return 1.0
    residuals = max(_numbers(net.base.connections, height, width) for net in nets)
    features = sum(
        net.base.connections[0].channels * height * width
        if net.reads_latent
        else _numbers(net.base.connections, height, width)
        for net in nets
    )
    first_maps = max(net.encoding_numbers(height, width) for net in nets)
    ours = (2 * residuals + features + first_maps) * element
    unet = model.model.memory_required([1, *latent[1:]])
    return 1.0 + ours / max(unet, 1)


def _numbers(connections: Sequence[Connection], height: int, width: int) -> int:
    """In the maps of all connections, for a latent of this size."""
    return sum(c.channels * math.ceil(height / c.downsample) * math.ceil(width / c.downsample) for c in connections)
