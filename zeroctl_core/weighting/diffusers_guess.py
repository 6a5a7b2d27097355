"""The decay of diffusers' guess mode."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES


@RULES.register("diffusers_guess")
def diffusers_guess(connections: Sequence[Connection]) -> list[float]:
    """From 0.1 at the first connection to 1 at the middle, in equal ratios.

    Source: `guess_mode` in `ControlNetModel.forward` of diffusers (logspace from -1 to 0). Within 1 % of `soft` on SD,
    up to 44 % below it on SDXL.
    """
    n_skips = len(connections) - 1
    return [10.0 ** (i / n_skips - 1.0) for i in range(len(connections))]
