"""Anybody else's CONTROL_NET: what it is called, what it needs, how its outputs are weighed."""

from __future__ import annotations

from typing import Any

from zeroctl_core import ConnectionWeights

from .family import family_of_model, unet_base
from .units import Unit

__all__ = ["foreign_name", "foreign_weights", "needs_vae"]


def foreign_name(control_net: Any) -> str:
    """What a foreign CONTROL_NET is, for messages: the host's class and, where there is one, its network's class."""
    network = getattr(control_net, "control_model", None)
    inside = f" around {type(network).__name__}" if network is not None else ""
    return f"{type(control_net).__module__.split('.')[-1]}.{type(control_net).__name__}{inside}"


def needs_vae(control_net: Any) -> bool:
    """Whether the net encodes its condition image with a VAE."""
    return getattr(control_net, "latent_format", None) is not None


def foreign_weights(unit: Unit, model: Any) -> ConnectionWeights | None:
    """The weights of a foreign net, on the MODEL's connections: its own are not known. None for the rule uniform.

    Raises `ValueError` for weights meant for another base than the MODEL's, for a rule other than uniform on a MODEL
    without such connections, and for custom numbers that cannot be read.
    """
    choice = unit.weighting
    if choice.base != "auto":
        base = unet_base(model)
        if base is None or base.name != choice.base:
            raise ValueError(
                f"the weights are meant for the base {choice.base}, the MODEL is "
                f"{base.name if base is not None else family_of_model(model)}. Set base to auto or to the MODEL's."
            )
    if choice.name == "uniform":
        return None
    if choice.custom.strip():
        return ConnectionWeights.parse(choice.custom)
    connections = family_of_model(model).connections
    if not connections:
        raise ValueError(
            f"the rule {choice.name} weighs the connections of a Stable Diffusion UNet; the MODEL is "
            f"{family_of_model(model)}. Use the rule uniform, or custom numbers, one an output."
        )
    return choice.resolve(connections)
