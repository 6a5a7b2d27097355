"""Anybody else's CONTROL_NET: what it is called, what it needs, how its outputs are weighed."""

from __future__ import annotations

from typing import Any

from zeroctl_core import ConnectionWeights

from .family import family_of_model, unet_base
from .units import Unit

__all__ = ["check_patching", "foreign_name", "foreign_weights", "needs_vae", "patches_network"]


def foreign_name(control_net: Any) -> str:
    """What a foreign CONTROL_NET is, for messages: the host's class and, where there is one, its network's class."""
    network = getattr(control_net, "control_model", None)
    inside = f" around {type(network).__name__}" if network is not None else ""
    return f"{type(control_net).__module__.split('.')[-1]}.{type(control_net).__name__}{inside}"


def needs_vae(control_net: Any) -> bool:
    """Whether the net encodes its condition image with a VAE."""
    return getattr(control_net, "latent_format", None) is not None


def patches_network(control_net: Any) -> bool:
    """Whether the net acts by patches of the MODEL's attention, as ControlLLLite does, and returns nothing to add."""
    return any(callable(getattr(control_net, name, None)) for name in ("patch_attn1", "patch_attn2"))


def check_patching(unit: Unit) -> None:
    """Refuse what a unit asks of a net that patches the network, which acts on all rows, everywhere and alike.

    Raises `ValueError` with what the unit has.
    """
    faults = [
        text
        for text, applies in (
            ("a mask", unit.mask is not None),
            ("strengths of images", unit.image_strengths is not None),
            (f"the weights {unit.weighting.name}", unit.weighting.name != "uniform"),
            (f"branches {unit.branches}", unit.branches != "both"),
        )
        if applies
    ]
    if faults:
        raise ValueError(
            f"{foreign_name(unit.control_net)} patches the MODEL's attention and returns nothing that could be masked "
            f"or weighed: it would ignore {', '.join(faults)}. Set mode to balanced and branches to both, and "
            "disconnect weights and mask."
        )


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
