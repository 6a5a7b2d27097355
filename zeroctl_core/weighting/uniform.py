"""Every connection at full weight."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES


@RULES.register("uniform")
def uniform(connections: Sequence[Connection]) -> list[float]:
    """1 everywhere: Eq. 2 of arXiv 2302.05543 as it stands."""
    return [1.0 for _ in connections]
