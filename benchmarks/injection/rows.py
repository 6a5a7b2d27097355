"""Configurations, and rounds in which they take turns."""

from __future__ import annotations

import gc
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from benchmarks.injection.clock import Clock, Step

Rounds = dict[str, list[dict[str, float]]]
"""By row, the figures of each round."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration. `run` makes the steps and returns what is compared; `like` names the row it must equal."""

    name: str
    family: str
    nets: int
    run: Callable[[], Tensor]
    like: str | None = None


class Bench(Protocol):
    """A base model and its controls, made ready to be measured."""

    clock: Clock

    def rows(self, families: list[str], numbers: list[int]) -> list[Row]:
        """The base without control, then all configurations of these families with these numbers of nets."""
        ...

    def compare(self, rows: list[Row]) -> dict[str, float]:
        """Run every row once, which warms it up; the relative difference of each from the row that it must equal."""
        ...


def relative_difference(one: Tensor, other: Tensor) -> float:
    """The L2 norm of the difference over the norm of the other."""
    one, other = one.double(), other.double()
    return float((one - other).norm() / other.norm())


def figures_of(steps: list[Step], cuda: bool) -> dict[str, float]:
    """One round of one row. On a GPU the first step of several is left out."""
    if cuda:
        return {"step": statistics.median(step.parts["step"] for step in steps[1:] or steps)}

    def part(name: str) -> float:
        return statistics.median(step.parts.get(name, 0.0) for step in steps)

    encode = steps[0].parts.get("encode", 0.0)
    later = [step.parts.get("control", 0.0) - step.parts.get("encode", 0.0) for step in steps]
    unet = part("unet")
    return {
        "step": part("step"),
        "wall": statistics.median(step.wall for step in steps),
        "unet": unet,
        "control": statistics.median(later),
        "encode": encode,
        "control / unet": statistics.median(c / step.parts["unet"] for c, step in zip(later, steps, strict=True)),
        "first step": steps[0].parts.get("control", 0.0) / steps[0].parts["unet"],
        "the rest": (part("step") - part("control") - unet) / unet,
    }


def measure(bench: Bench, rows: list[Row], rounds: int, *, seconds: float, cuda: bool) -> Rounds:
    """Figures by row, one a round; no further round is begun that would not end within so many seconds."""
    # a full collection walks all objects of the host, takes 0.3 s and would fall on whichever row comes then
    gc.collect()
    gc.disable()
    figures: Rounds = {row.name: [] for row in rows}
    began = time.monotonic()
    for i in range(rounds):
        if i and (time.monotonic() - began) * (i + 1) / i > seconds:
            print(f"{i} rounds of {rounds}: there is no time for more", file=sys.stderr, flush=True)
            break
        for row in rows[i % len(rows) :] + rows[: i % len(rows)]:
            bench.clock.steps.clear()
            row.run()
            figures[row.name].append(figures_of(bench.clock.steps, cuda))
            gc.collect(1)  # between rows only the young objects: what a run leaves in cycles
        gc.collect()
        print(f"round {i + 1} of {rounds}", file=sys.stderr, flush=True)
    gc.enable()
    return figures
