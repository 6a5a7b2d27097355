"""The middle block alone."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES


@RULES.register("only_middle")
def only_middle(connections: Sequence[Connection]) -> list[float]:
    """1 at the middle, 0 at every skip: the control steers the composition and leaves detail to the prompt."""
    return [1.0 if connection.stage == "middle" else 0.0 for connection in connections]
