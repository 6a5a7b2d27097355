"""What every proof does: say under which conditions it ran, write its figure and its numbers."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import RESULTS, conditions, write
from benchmarks.options import read_options
from zeroctl_core.annotators.pictures.sheet import Tile, write_sheet
from zeroctl_core.train.memory import keep_memory

FOLDER = RESULTS / "proof"


@dataclasses.dataclass(frozen=True)
class Common:
    """The options that every proof has."""

    seeds: tuple[int, ...] = (0,)
    """one run for each"""
    out: Path = FOLDER
    """folder for figure and numbers"""


class Proof:
    """One claim: `python -m benchmarks.proof.NAME`. Writes `benchmarks/results/proof/NAME.json` and `NAME*.png`."""

    def __init__(self, name: str, claim: str, **options: Any) -> None:
        own = [(key, type(value), value) for key, value in options.items()]
        kind = dataclasses.make_dataclass("Options", own, bases=(Common,), frozen=True)
        self.options: Any = read_options(kind, f"proof.{name}", claim)
        self.name, self.claim = name, claim
        keep_memory()
        self.conditions = conditions()
        self.began = time.monotonic()

    def path(self, suffix: str) -> Path:
        self.options.out.mkdir(parents=True, exist_ok=True)
        return Path(self.options.out / f"{self.name}{suffix}")

    def sheet(self, rows: Sequence[tuple[str, Sequence[Tile]]], suffix: str = ".png") -> None:
        print(f"figure: {write_sheet(self.path(suffix), rows)}")

    def curves(self, draw: Callable[[Any], None], suffix: str = ".png") -> None:
        """A plot: `draw(axes)`."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        draw(axes)
        figure.savefig(self.path(suffix), dpi=120)
        pyplot.close(figure)
        print(f"figure: {self.path(suffix)}")

    def write(self, results: Mapping[str, Any], verdict: str) -> None:
        options = dataclasses.asdict(self.options)
        del options["out"]
        print(verdict)
        write(
            self.path(".json"),
            {
                "claim": self.claim,
                "verdict": verdict,
                "seconds": round(time.monotonic() - self.began, 1),
                "options": options,
                "conditions": self.conditions,
                "results": results,
            },
        )


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal to the bit."""
    return bool(torch.equal(a, b))
