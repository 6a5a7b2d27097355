"""A CONTROL_NET of ours as a Control-LoRA of the MODEL that it was trained from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zeroctl_core import ControlNet
from zeroctl_core.checkpoint import save_control_lora
from zeroctl_core.network.of_model import FIRST, is_own
from zeroctl_core.network.rank_cost import RankCost

from .family import family_of_model, unet_base
from .loading import as_in_file
from .patched_weights import check_readable, patched_weights

__all__ = ["save_as_control_lora"]


def save_as_control_lora(control_net: Any, model: Any, path: Path, rank: int) -> RankCost:
    """Write it with the dtype of its file, and return what the rank costs. The MODEL's LoRAs count as its weights.

    Raises `ValueError` for another kind of net, a MODEL of another family or with other layers, and what
    `save_control_lora` raises.
    """
    net = as_in_file(control_net)
    if type(net) is not ControlNet:
        raise ValueError(
            f"a Control-LoRA holds a plain ControlNet, and control_net is a {net.kind}: save it with rank 0."
        )
    base = unet_base(model)
    if base is None or base.name != net.base.name:
        raise ValueError(
            f"the control_net is of the {net.base.title} family and the MODEL is {family_of_model(model)}: wire the "
            "MODEL that the control_net was trained from."
        )
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items() if not is_own(key)}
    if base.spec.in_channels != net.spec.in_channels:
        shapes.pop(FIRST)  # of an inpaint MODEL, whose other channels are left out
    check_readable(model, shapes)
    return save_control_lora(net, patched_weights(model), path, rank)
