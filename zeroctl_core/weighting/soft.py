"""The decay of the original guess mode, on any number of connections."""

from __future__ import annotations

from collections.abc import Sequence

from ..connections import Connection
from . import RULES

EXPONENTS_OF_ADAPTER = (7, 2, 1, 0)


@RULES.register("soft")
def soft(connections: Sequence[Connection]) -> list[float]:
    """`0.825^(n - i)` with n the number of skips: the middle has 1, each connection above it 0.825 of the next.

    Source: `control_scales` in gradio_canny2image.py of lllyasviel/ControlNet, for n = 12 only. On SDXL
    (n = 9) this is the weighting of ComfyUI-Advanced-ControlNet, not that of A1111: see `a1111_prompt`. Of an adapter's
    four maps it is that too: .2601, .6806, .825, 1.
    """
    if any(connection.stage == "input" for connection in connections):
        return [0.825**exponent for exponent in EXPONENTS_OF_ADAPTER]
    n_skips = len(connections) - 1
    return [0.825 ** (n_skips - i) for i in range(len(connections))]
