"""The paper's resolution weighting with the deepest connection at 1."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES


@RULES.register("resolution_normalised")
def resolution_normalised(connections: Sequence[Connection]) -> list[float]:
    """`h_min / h_i`: the rule `resolution` divided by its largest weight: 1/8 to 1 on SD, 1/4 to 1 on SDXL.

    Source: arXiv 2302.05543, 3.4, read with its words "reducing the CFG guidance strength": as printed the weights
    only raise it. No weight here exceeds that of `uniform`.
    """
    deepest = max(connection.downsample for connection in connections)
    return [connection.downsample / deepest for connection in connections]
