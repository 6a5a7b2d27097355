"""What a MODEL's network does with a control: whether it adds one, and where its tokens are in the picture."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Sequence
from types import CodeType
from typing import Any

from torch import nn

__all__ = ["adds_control", "token_grid"]

PLACES = {"input", "middle", "output"}
"""The lists of a control, as the host's networks ask for them."""
_ADDS: dict[type, bool | None] = {}


def adds_control(network: Any) -> bool | None:
    """Whether a MODEL's network adds the control that it is handed; None for one that is not the host's own.

    Read from its code: a network that does asks `control` for one of its lists by name. Others take it as an argument
    and drop it without a word, as the host hands it to all of them. What a class of another pack does may lie anywhere.
    """
    kind = type(getattr(network, "_orig_mod", network))  # as torch.compile wraps it
    if kind not in _ADDS:
        classes = [base for base in kind.__mro__ if issubclass(base, nn.Module) and base is not nn.Module]
        asks = any(_asks(code) for base in classes for code in _codes_of(base))
        own = all(base.__module__.startswith("comfy.") for base in classes)
        _ADDS[kind] = True if asks else False if own else None
    return _ADDS[kind]


def _asks(code: CodeType) -> bool:
    return "control" in (*code.co_varnames, *code.co_freevars) and not PLACES.isdisjoint(code.co_consts)


def _codes_of(kind: type) -> Iterator[CodeType]:
    """The code of every method of a class, and of the functions inside it."""
    waiting = [inspect.unwrap(method).__code__ for method in vars(kind).values() if inspect.isfunction(method)]
    while waiting:
        code = waiting.pop()
        yield code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]


def token_grid(network: Any, latents: Sequence[int]) -> tuple[int, int] | None:
    """Rows and columns of the tokens of one picture, which follow each other row by row; None where it is not known.

    latents: the shape of the noise, [B, C, h, w] or [B, C, 1, h, w]. Networks cut it into patches, the last ones filled
    up.
    """
    size = getattr(network, "patch_size", None)
    size = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if not all(isinstance(side, int) and side > 0 for side in size) or math.prod(latents[2:-2]) != 1:
        return None
    return math.ceil(latents[-2] / size[-2]), math.ceil(latents[-1] / size[-1])
