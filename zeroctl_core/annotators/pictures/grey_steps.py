"""Edges in a few steps of grey: what most maps that soft edge ControlNets were trained on look like."""

from __future__ import annotations

from torch import Tensor


def safe_step(edges: Tensor, steps: int) -> Tensor:
    """Edges in 0..1 -> multiples of 1/steps, at most 1: two steps are 0 below 1/3, 1/2 below 2/3, else 1.

    Source: `safe_step` of CN1.1's annotator/util.py. It hides what faint greys tell of the picture ("safe"): 75 % of
    the maps that control_v11p_sd15_softedge was trained on were made so.
    """
    return (edges * (steps + 1)).floor().div(steps).clamp(max=1)


def to_eight_bits(edges: Tensor) -> Tensor:
    """Edges in 0..1 -> whole multiples of 1/255, cut off and not rounded, as in the released maps: 1/2 is 127."""
    return edges.mul(255).floor().clamp(0, 255).div(255)
