"""Why a control cannot act, whatever the run: its factor is 0 at every connection, everywhere or at every step.

A control that is switched off or has strength 0 was told not to act: that is said where no other control is left. One
whose mask, weights or curve are 0 throughout was meant to act. What then happens, its node says.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from zeroctl_core import ConnectionWeights

from .control_net import is_ours
from .foreign_nets import foreign_weights
from .preflight import net_name
from .units import Unit, UnitStack

__all__ = ["POLICIES", "NeverApplied", "idle_cause", "idle_text", "why_none_acts"]

POLICIES = ("warn", "error", "ignore")


class NeverApplied(RuntimeError):
    """A control did not act in a run, or cannot act in any, and its node asked for an error."""


def why_none_acts(stack: UnitStack) -> str:
    """Why a stack changes nothing, as a sentence; empty where one of its controls is on."""
    if not stack:
        return (
            "no control comes in at stack: every node before it is bypassed, muted or without a control, or none is "
            "connected"
        )
    if any(unit.active for unit in stack):
        return ""
    names = ", ".join(dict.fromkeys(net_name(unit) for unit in stack if unit.control_net is not None))
    return "every control is switched off or has strength 0" + (f": {names}" if names else "")


def idle_cause(unit: Unit, model: Any) -> str:
    """What makes the factor of a unit 0 in every run of this MODEL, and what to do; empty where nothing does.

    Of the masks all are meant: one of several may be 0. Raises `ValueError` for weights that do not fit the net.
    """
    if unit.mask is not None and not _acts_somewhere(unit.mask, unit.mask_invert):
        return _MASK_OF_ONES if unit.mask_invert else _MASK_OF_ZEROS
    weights = _weights(unit, model)
    if weights is not None and not any(weights):
        return f"its weights ({unit.weighting.name}) are 0 at every connection. Give one of them another value"
    strengths = unit.image_strengths
    if strengths is not None and strengths.is_zero:
        return "its image_strengths are 0 for every latent. Give one of them another value"
    if unit.schedule.closed_throughout:
        return f"its curve is 0 throughout its window, {unit.schedule}. Give the curve another value there"
    return ""


_MASK_OF_ZEROS = (
    "its mask is 0 everywhere; Load Image gives such a MASK for a picture without alpha. Disconnect the mask, or give "
    "one that is 1 where the control is to act"
)
_MASK_OF_ONES = (
    "its mask is 1 everywhere, and mask_invert makes that 0. Switch mask_invert off, or give a mask that is 0 where "
    "the control is to act"
)


def _acts_somewhere(mask: Tensor, inverted: bool) -> bool:
    return bool((mask != (1 if inverted else 0)).any())


def _weights(unit: Unit, model: Any) -> ConnectionWeights | None:
    """Of its net on this MODEL; None for the rule uniform of a net that is not ours."""
    if is_ours(unit.control_net):
        return unit.weighting.resolve(unit.control_net.control_model.net.base.connections)
    return foreign_weights(unit, model)


def idle_text(unit: Unit, cause: str) -> str:
    """The cause as a sentence about this control, for errors and notices."""
    return f"{unit.title} ({net_name(unit)}) cannot act: {cause}."
