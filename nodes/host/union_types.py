"""The types of a union ControlNet's conditions, wherever a graph says them."""

from __future__ import annotations

from typing import Any

from zeroctl_core.network.union_controlnet import UnionControlNet

from .control_net import is_ours
from .units import Unit

__all__ = ["is_union", "types_of"]


def is_union(control_net: Any) -> bool:
    """Whether this CONTROL_NET is a union net of our loader."""
    return is_ours(control_net) and isinstance(control_net.control_model.net, UnionControlNet)


def types_of(unit: Unit) -> tuple[int, ...]:
    """The numbers of the types of a unit's condition images; empty where nobody told them (auto).

    Set Union ControlNet Type leaves its own in the CONTROL_NET.
    """
    if not is_union(unit.control_net):
        return ()
    return tuple(unit.control_net.extra_args.get("control_type") or ())
