"""What each kind of input carries: the one check in front of every node.

The host checks types where a graph is wired, and no more: by the API a text stands where a link belongs, and a node of
another pack may put anything on a wire.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from torch import Tensor

from zeroctl_core import Schedule
from zeroctl_core.files.key_faults import short

from .units import UnionCondition, Unit, WeightsChoice

__all__ = ["check_inputs", "in_words"]

LARGEST_SHOWN = 2**64
"""Python refuses to write whole numbers of more than 4300 digits."""


@dataclass(frozen=True)
class Kind:
    """What an input of one type takes, how a message calls that, and where to get it."""

    takes: Callable[[Any], bool]
    expected: str
    remedy: str = ""


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral) or (isinstance(value, Real) and math.isfinite(value))


def _is_latent(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("samples"), Tensor)


def _is_stack(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(unit, Unit) for unit in value)


def _is_collection(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, (str, bytes))


def _is_vae(value: Any) -> bool:
    # a text encodes, bytes decode, and a CLIP does both
    return hasattr(value, "encode") and hasattr(value, "decode") and not hasattr(value, "tokenize")


def _is_conditioning(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(
        isinstance(entry, (tuple, list)) and len(entry) == 2 and isinstance(entry[1], Mapping) for entry in value
    )


LINK = "Connect the output of"
KINDS: Mapping[str, Kind] = {
    "MODEL": Kind(lambda value: hasattr(value, "get_model_object"), "a MODEL", f"{LINK} a checkpoint loader."),
    # a loader that failed hands on None: Apply refuses it by the control's number, and a control that is off has no use
    # for a net
    "CONTROL_NET": Kind(
        lambda value: value is None or hasattr(value, "get_control"),
        "a CONTROL_NET",
        f"{LINK} Load ControlNet (strict), or of another loader.",
    ),
    "IMAGE": Kind(
        lambda value: isinstance(value, Tensor), "an IMAGE [B, H, W, 3]", f"{LINK} an image or annotator node."
    ),
    "MASK": Kind(lambda value: isinstance(value, Tensor), "a MASK [B, H, W]", f"{LINK} a node that makes masks."),
    "LATENT": Kind(_is_latent, "a LATENT", f"{LINK} a node that makes latents."),
    "CLIP": Kind(lambda value: hasattr(value, "tokenize"), "a CLIP", f"{LINK} a checkpoint loader."),
    "CONDITIONING": Kind(_is_conditioning, "a CONDITIONING", f"{LINK} a node that encodes a prompt, or of InstantID."),
    "VAE": Kind(_is_vae, "a VAE", f"{LINK} a VAE or checkpoint loader."),
    "ZEROCTL_STACK": Kind(_is_stack, "a stack of controls", f"{LINK} ControlNet Control or ControlNet Stack."),
    "ZEROCTL_WEIGHTS": Kind(
        lambda value: isinstance(value, WeightsChoice), "weights of this pack", f"{LINK} ControlNet Weights."
    ),
    "ZEROCTL_SCHEDULE": Kind(
        lambda value: isinstance(value, Schedule), "a schedule of this pack", f"{LINK} ControlNet Schedule."
    ),
    "ZEROCTL_UNION": Kind(
        lambda value: isinstance(value, (tuple, list)) and all(isinstance(one, UnionCondition) for one in value),
        "conditions of a union ControlNet",
        f"{LINK} Union Condition.",
    ),
    "CONTROL_NET_STACK": Kind(
        lambda value: value is None or isinstance(value, (tuple, list)),
        "a CONTROL_NET_STACK, a list of rows such as (net, image, strength, start, end)",
        f"{LINK} a node that stacks ControlNets.",
    ),
    "ZEROCTL_TRAINING_DATA": Kind(
        lambda value: hasattr(value, "folder"), "training data of this pack", f"{LINK} Training Data."
    ),
    "POSE_KEYPOINT": Kind(
        _is_collection,
        "a POSE_KEYPOINT, a list of frames",
        f"{LINK} a pose node.",
    ),
    "BOUNDING_BOX": Kind(
        _is_collection,
        "a BOUNDING_BOX, a box or lists of boxes",
        f"{LINK} a node that finds people.",
    ),
    "FLOAT": Kind(_is_number, "an ordinary number"),
    "INT": Kind(lambda value: _is_number(value) and value == math.floor(value), "a whole number"),
    "BOOLEAN": Kind(lambda value: isinstance(value, Real) and value in (0, 1), "true or false"),
    "STRING": Kind(lambda value: isinstance(value, str), "a text"),
    "COMBO": Kind(lambda value: isinstance(value, str), "the name of a choice"),
}


def check_inputs(inputs: Iterable[Any], values: Mapping[str, Any], *, as_lists: bool = False) -> None:
    """Refuse a value that its input cannot carry.

    inputs: those of a node's schema. values: what the node was called with, by name, or lists of it. An optional input
    may be None.
    Raises `ValueError` with the name of the input, what it has, what was expected and what to do.
    """
    for entry in inputs:
        if entry.id not in values:
            continue
        kind = KINDS[entry.get_io_type()]
        for value in values[entry.id] if as_lists else (values[entry.id],):
            if not kind.takes(value) and not (entry.optional and value is None):
                raise ValueError(f"{entry.id} is {in_words(value)}, expected {kind.expected}. {kind.remedy}".rstrip())


def in_words(value: Any) -> str:
    """A value of any type and size, in a message."""
    if isinstance(value, str):
        return repr(short(value))
    if value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < LARGEST_SHOWN):
        return repr(value)
    if isinstance(value, Tensor):
        return f"a tensor of the shape {tuple(value.shape)}"
    return f"of the type {type(value).__name__}"
