"""The paper's resolution weighting, as printed."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES


@RULES.register("resolution")
def resolution(connections: Sequence[Connection]) -> list[float]:
    """`w_i = 64 / h_i`: 1 at the 64x64 connections of SD, 8 at the 8x8 ones; 1 to 4 on SDXL.

    Source: arXiv 2302.05543, 3.4 ("CFG Resolution Weighting"). h_i is the connection's side for a latent of 64, so
    64 / h_i is its downsample factor and does not change with the size of the picture. The released code has
    0.825^(12 - i) in this place: the rule `soft`.
    """
    return [float(connection.downsample) for connection in connections]
