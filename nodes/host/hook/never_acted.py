"""Why a control did not act in a run, in words."""

from __future__ import annotations

from typing import Any

from zeroctl_core.files.plural import plural

from ..report import never_acts
from ..units import Unit
from .run import SamplingRun

__all__ = ["why_never_acted"]


def why_never_acted(unit: Unit, run: SamplingRun, sampling: Any) -> str:
    """The one cause that applies to a finished run, and what to do. sampling: the MODEL's."""
    steps = run.steps
    if steps is not None and never_acts(unit, sampling, steps):
        return (
            f"its window, {unit.schedule}, holds none of the run's {plural(steps.n, 'step')} (sigma "
            f"{steps.sigmas[0]:.4g} to {steps.sigmas[-1]:.4g}). Widen start and end"
        )
    if not run.roles:
        return "a node called the UNet past ComfyUI's own way, where no control comes in. Remove that node"
    if unit.branches not in ("both", *run.roles):
        return (
            f"its branches are {unit.branches}, and the run had no such conditioning, only {' and '.join(run.roles)} "
            "(at a CFG of 1 there is no uncond). Set branches to both or to the other"
        )
    if unit.mask is not None:  # one that is 0 everywhere is refused before the run
        return (
            "its mask is 0 in every area that was sampled, or a node that caches skipped the steps of its window. Draw "
            "the mask where a conditioning acts"
        )
    return (
        f"the steps in its window, {unit.schedule}, were skipped: a node that caches called the UNet at other steps "
        "only. Remove that node, or widen start and end"
    )
