"""The decay of A1111's "My prompt is more important"."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES

N_SCALES = 13  # A1111 makes one scale for each of SD's connections and cuts the list for shorter nets
OF_ADAPTER = (0.25, 0.62, 0.825, 1.0)


@RULES.register("a1111_prompt")
def a1111_prompt(connections: Sequence[Connection]) -> list[float]:
    """`0.825^(12 - i)`, cut after as many as there are: on SDXL the middle has .5615, not 1.

    Source: the soft injection in scripts/hook.py of Mikubill/sd-webui-controlnet. Equal to `soft` on SD; on SDXL
    each weight is 0.825^3 = .5615 of it.

    An adapter's four maps have scales of their own there: .25, .62, .825, 1.

    Raises `ValueError` for more than 13 connections, which A1111 has no scales for.
    """
    if any(connection.stage == "input" for connection in connections):
        return list(OF_ADAPTER)
    if len(connections) > N_SCALES:
        raise ValueError(
            f"the rule a1111_prompt has {N_SCALES} weights and this control {len(connections)} connections; "
            "use the rule soft"
        )
    return [0.825 ** (N_SCALES - 1 - i) for i in range(len(connections))]
