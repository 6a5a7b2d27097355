"""Tokens of a control's own, from CONDITIONING: what InstantID's ControlNet reads in the place of the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import comfy.controlnet
import torch
from torch import Tensor

from zeroctl_core.control.own_context import OwnContext
from zeroctl_core.files.plural import plural

from .control_net import is_ours
from .family import family_of_foreign
from .sockets import in_words
from .units import Unit

__all__ = ["check_context", "read_context"]

FOR_CONTROLS = "cross_attn_controlnet"
"""Where a CONDITIONING has the tokens that are meant for controls, beside the prompt: InstantID's, and those of
CLIPTextEncodeControlnet."""


def read_context(context: Any, negative: Any) -> OwnContext | None:
    """The tokens of two CONDITIONING; None where none is connected. Without `negative` both sides read the same.

    Raises `ValueError` for a negative one alone, for several tokens in one, and for tokens that are not finite.
    """
    if context is None:
        if negative is not None:
            raise ValueError("context_negative is connected and context is not. Connect both, or context alone.")
        return None
    sides = [_tokens("context", context)]
    sides += [] if negative is None else [_tokens("context_negative", negative)]
    return OwnContext(*sides)


def _tokens(name: str, conditioning: Any) -> Tensor:
    """Of all prompts in a CONDITIONING, which InstantID gives the same tokens."""
    every = [_of_prompt(name, *entry) for entry in conditioning]
    if not every or not all(torch.equal(tokens, every[0]) for tokens in every[1:]):
        raise ValueError(
            f"{name} has {plural(len(every), 'prompt')}, and a control reads one. Connect a CONDITIONING from before "
            "they were combined."
        )
    if not torch.isfinite(every[0]).all():
        raise ValueError(f"{name} has tokens of NaN or infinity. Look at the node that made it.")
    return every[0]


def _of_prompt(name: str, prompt: Any, values: Mapping[str, Any]) -> Tensor:
    tokens = values.get(FOR_CONTROLS)
    tokens = prompt if tokens is None else tokens
    if not isinstance(tokens, Tensor):
        raise ValueError(f"{name} holds {in_words(tokens)} in the place of tokens. Look at the node that made it.")
    return tokens


def check_context(unit: Unit) -> None:
    """Raises `ValueError` for tokens of another width than the net reads, and for a net that reads none."""
    if unit.context is None:
        return
    if is_ours(unit.control_net):
        net = unit.control_net.control_model.net
        width, kind = net.base.spec.context_dim, net.kind
        if width is None:
            raise ValueError(f"a context is connected, and its net is a {kind}, which reads none. Disconnect it.")
    else:
        if not isinstance(unit.control_net, comfy.controlnet.ControlNet):
            kind = type(unit.control_net).__name__
            raise ValueError(f"a context is connected, and a net of the kind {kind} may read none. Disconnect it.")
        family = family_of_foreign(unit.control_net)
        width = None if family is None else family.context_dim
    if width is not None and unit.context.width != width:
        raise ValueError(
            f"its context has tokens {unit.context.width} numbers wide, the net reads {width}. Connect what was made "
            "for this net."
        )
