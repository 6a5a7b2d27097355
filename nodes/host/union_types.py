"""The conditions of a union ControlNet, wherever a graph says of which types they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zeroctl_core.files.plural import plural
from zeroctl_core.network.union_controlnet import UNION_TYPES, UnionControlNet

from .control_net import is_ours
from .units import UnionCondition, Unit

__all__ = ["check_union", "in_words", "is_union", "union_conditions"]


def is_union(control_net: Any) -> bool:
    """Whether this CONTROL_NET is a union net of our loader."""
    return is_ours(control_net) and isinstance(control_net.control_model.net, UnionControlNet)


def union_conditions(unit: Unit) -> tuple[UnionCondition, ...]:
    """The conditions of a unit with their types, each with its image; empty where nobody told a type (auto).

    Set Union ControlNet Type leaves one in the CONTROL_NET, for the unit's own image.

    Raises `ValueError` where the type of the unit's own image is told twice, or not at all beside others.
    """
    if not is_union(unit.control_net):
        return ()
    own = [condition for condition in unit.union if condition.image is None]
    of_net = [UnionCondition(type=number) for number in unit.control_net.extra_args.get("control_type") or ()]
    if len(own) + len(of_net) > 1:
        raise ValueError(
            f"{len(own) + len(of_net)} types are told for the image of ControlNet Control. Leave one Union Condition "
            "without an image, and no Set Union ControlNet Type beside it."
        )
    if unit.union and not own and not of_net:
        raise ValueError(
            f"{plural(len(unit.union), 'Union Condition')} with an image of its own, and nobody tells the type of the "
            "image of ControlNet Control. Add a Union Condition without an image for it."
        )
    conditions = [
        replace(condition, image=unit.image) if condition.image is None else condition
        for condition in (*of_net, *unit.union)
    ]
    acting = tuple(condition for condition in conditions if condition.strength)
    if conditions and not acting:
        raise ValueError("every Union Condition has strength 0. Give one another strength, or switch the control off.")
    return acting


def check_union(unit: Unit) -> None:
    """Raises `ValueError` for types of a net that is not a union, and for types that the union does not have."""
    if unit.union and not is_union(unit.control_net):
        raise ValueError(
            "a Union Condition is connected, and the net is not a union ControlNet of this pack. Disconnect it, or "
            "load a union with Load ControlNet (strict)."
        )
    conditions = union_conditions(unit)
    if conditions:
        unit.control_net.control_model.of_types([condition.type for condition in conditions])


def in_words(conditions: tuple[UnionCondition, ...]) -> str:
    """`depth (1), openpose (0.5)`."""
    return ", ".join(f"{UNION_TYPES[condition.type]} ({condition.strength:g})" for condition in conditions)
