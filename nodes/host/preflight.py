"""What can be refused before any sampling starts: a control that does not fit the MODEL, a unit that cannot run."""

from __future__ import annotations

from typing import Any

from zeroctl_core.files.plural import plural

from .control_net import is_ours
from .family import Family, family_of_base, family_of_foreign, family_of_model
from .foreign_nets import check_patching, foreign_name, foreign_weights, needs_vae, patches_network
from .inputs import naming
from .network_control import adds_control
from .of_model import check_of_model
from .own_context import check_context
from .union_types import check_union, is_union
from .units import Unit, UnitStack

__all__ = ["check_stack", "net_name"]


def net_name(unit: Unit) -> str:
    """A control in messages: its file where it has one, else what it is."""
    if unit.control_net is None:
        return "no ControlNet is loaded"
    if not is_ours(unit.control_net):
        return foreign_name(unit.control_net)
    net = unit.control_net.control_model.net
    return net.info.path.name if net.info is not None else f"an untrained {net.base.title} {net.kind}"


def check_stack(stack: UnitStack, model: Any) -> None:
    """Refuse what cannot work, in the words of the person who wired it.

    stack: numbered, see `numbered`. Raises `ValueError`, with the number of the control, for a net of another family
    than the MODEL or for images of other channels, a net that needs a VAE and has none, no net at all, weights that do
    not fit the net, a MODEL that takes no control, and a net that would ignore what the unit asks.
    """
    family = family_of_model(model)
    for unit in stack:
        if unit.enabled:
            with naming(unit.title):
                check_union(unit)
                check_context(unit)
                if is_ours(unit.control_net):
                    _check_own(unit, family)
                    check_of_model(unit, model)
                else:
                    _check_foreign(unit, model, family)


def _check_foreign(unit: Unit, model: Any, family: Family) -> None:
    if not hasattr(unit.control_net, "get_control"):
        raise ValueError(
            f"it has no ControlNet, its control_net is {type(unit.control_net).__name__}. The loader may have failed "
            "to recognise its file; load it with Load ControlNet (strict), which says why."
        )
    if needs_vae(unit.control_net) and unit.vae is None:
        raise ValueError(
            f"{net_name(unit)} encodes its condition image with a VAE and has none. "
            f"Connect the checkpoint's VAE to the vae input of {unit.made_by}."
        )
    own = family_of_foreign(unit.control_net)
    if own is not None:
        _check_family(unit, own, family)
    if hasattr(unit.control_net, "get_extra_hooks") and unit.control_net.get_extra_hooks():
        raise ValueError(
            f"{net_name(unit)} acts through hooks that the host takes from the conditioning, and does nothing here. "
            "Use ComfyUI's own Apply ControlNet for it."
        )
    if patches_network(unit.control_net):
        check_patching(unit)
    elif adds_control(getattr(model, "model", model).diffusion_model) is False:
        raise ValueError(
            f"the MODEL is {family.name}, whose network takes no control: ComfyUI would hand it what {net_name(unit)} "
            "adds, and it would do nothing. Remove this control; what such a MODEL has instead are model patches, with "
            "Apply nodes of their own."
        )
    foreign_weights(unit, model)


def _check_family(unit: Unit, own: Family, family: Family) -> None:
    if not family.takes(own):
        raise ValueError(
            f"{net_name(unit)} is a control for {own}, the MODEL is {family}. "
            f"Load a control that was trained for {family.name}, or a checkpoint of the family {own.name}."
        )


def _check_own(unit: Unit, family: Family) -> None:
    unused = set(unit.control_net.extra_args) - ({"control_type"} if is_union(unit.control_net) else set())
    if unused:
        kind = unit.control_net.control_model.net.kind
        plain = "" if is_union(unit.control_net) else "plain "
        raise ValueError(
            f"{net_name(unit)} is a {plain}{kind} and has no use for {', '.join(sorted(unused))}. Remove the node "
            "that sets it (Set Union ControlNet Type is for union nets)."
        )
    net = unit.control_net.control_model.net
    _check_family(unit, family_of_base(net.base), family)
    _check_channels(unit, net.base.spec.condition_channels)
    choice = unit.weighting
    if choice.base not in ("auto", net.base.name):
        raise ValueError(
            f"its weights are meant for the base {choice.base}, {net_name(unit)} is {net.base.name}. "
            f"Set base to auto or to {net.base.name}."
        )
    choice.resolve(net.base.connections)


def _check_channels(unit: Unit, channels: int) -> None:
    own = next((image.shape[1] for image in unit.images if image.shape[1] != channels), channels)
    if own != channels:
        raise ValueError(
            f"{net_name(unit)} takes images of {plural(channels, 'channel')}, its image has {own}. An IMAGE has 3, so "
            "no node can give what this control was trained with; load a control that takes 3."
        )
