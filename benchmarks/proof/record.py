"""What every proof does: state its claim and its criterion, run over seeds, say whether the claim holds, and write
figure and numbers."""

from __future__ import annotations

import dataclasses
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch

from benchmarks.criterion import Part, Verdict, recorded
from benchmarks.machine import RESULTS, conditions, write
from benchmarks.options import read_options
from zeroctl_core.annotators.pictures.sheet import Tile, write_sheet
from zeroctl_core.demo.model import WEIGHTS
from zeroctl_core.demo.pictures import VARIABLE
from zeroctl_core.demo.source import World
from zeroctl_core.train.memory import keep_memory

FOLDER = RESULTS / "proof"
WORK = Path("build/proofs")  # not the build's: what it reads may not be removed under it
LINE = 12.5  # characters of a title over a plot, an inch


@dataclasses.dataclass(frozen=True, kw_only=True)
class Common:
    """The options that every proof has."""

    seeds: tuple[int, ...] = (0, 1, 2)
    """one run for each; of a single one there is no standard error"""
    weights: Path = WEIGHTS
    """folder of the embedded model"""
    emoji: Path | None = None
    """the package of the things' pictures, or a folder that holds it; none: what the environment variable
    ZEROCTL_EMOJI names, and without it scenes of drawn shapes alone"""
    work: Path = WORK
    """folder for encoded scenes, and for trainings, which go on from there"""
    threads: int | None = None
    """CPU threads; none: as many as torch chooses"""
    out: Path = FOLDER
    """folder for figure and numbers"""

    def __post_init__(self) -> None:
        if not self.seeds:
            raise ValueError("seeds is empty; expected at least one")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Common):
    """The options of a proof that trains."""

    scenes: int | None = None
    """training scenes; none: as many as the embedded controls were trained on"""


O = TypeVar("O", bound=Common)  # noqa: E741


class Proof(Generic[O]):
    """One claim: `python -m benchmarks.proof.NAME`. Writes `benchmarks/results/proof/NAME.json` and `NAME*.png`.

    Raises `SystemExit` with what to do where the named pictures of the things are missing.
    """

    def __init__(self, name: str, options: type[O], *, claim: str, criterion: str) -> None:
        self.options: O = read_options(options, f"proof.{name}", f"{claim}\n\nCriterion: {criterion}")
        self.name, self.claim, self.criterion = name, claim, criterion
        print(f"{name}\nclaim: {claim}\ncriterion: {criterion}", flush=True)
        torch.set_num_threads(self.options.threads or torch.get_num_threads())
        keep_memory()
        self.conditions = conditions()
        self.began = time.monotonic()
        try:
            self.source = World(self.options.weights, emoji=self.options.emoji, work=self.options.work)
        except FileNotFoundError as error:
            sys.exit(f"error: {error}")
        print(f"scenes: {self.scenes}", flush=True)
        self._verdict: Verdict | None = None

    @property
    def scenes(self) -> str:
        """What the scenes show, in words."""
        if self.source.package is None:
            return f"drawn shapes alone, because neither --emoji nor {VARIABLE} names the pictures of the things"
        return "things and drawn shapes"

    @property
    def seeds(self) -> tuple[int, ...]:
        return self.options.seeds

    def needs_things(self) -> None:
        """Raises `SystemExit` without the pictures of the things."""
        if self.source.package is None:
            sys.exit(
                f"error: {self.name} needs the pictures of the things, which are not part of this repository: get "
                "them by npm pack @lobehub/fluent-emoji-3d@1.1.0, and name the file by --emoji or the environment "
                f"variable {VARIABLE}"
            )

    def say(self, text: str) -> None:
        print(f"[{time.monotonic() - self.began:5.0f} s] {text}", flush=True)

    def conclude(self, parts: Sequence[Part], summary: str) -> None:
        """Print what holds and what does not; figures have the verdict as their title."""
        verdict = self._verdict = Verdict(self.claim, parts, summary)
        for part in parts:
            print(f"{'holds' if part.holds else 'FAILS'}: {part}")
        print(f"{verdict.heading}\n{summary}", flush=True)

    @property
    def verdict(self) -> Verdict:
        """Raises `RuntimeError` before the proof has come to one."""
        if self._verdict is None:
            raise RuntimeError(f"{self.name} has not concluded yet")
        return self._verdict

    @property
    def title(self) -> str:
        return f"{self.verdict.heading}\n{self.verdict.summary}"

    def path(self, suffix: str) -> Path:
        self.options.out.mkdir(parents=True, exist_ok=True)
        return Path(self.options.out / f"{self.name}{suffix}")

    def sheet(self, rows: Sequence[tuple[str, Sequence[Tile]]], suffix: str = ".png", scale: int = 1) -> None:
        """Rows of pictures below the title."""
        (heading, tiles), *rest = rows
        first = (f"{self.title}\n{heading}", tiles)
        print(f"figure: {write_sheet(self.path(suffix), [first, *rest], scale)}")

    def curves(self, draw: Callable[..., None], suffix: str = ".png", panels: int = 1) -> None:
        """Plots below the title: `draw(axes, ...)`, one for each panel."""
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot

        width = max(7.5, 5.0 * panels)
        figure, axes = pyplot.subplots(1, panels, figsize=(width, 4.8), layout="constrained")
        draw(*(axes if panels > 1 else (axes,)))
        title = "\n".join(textwrap.fill(line, round(LINE * width)) for line in self.title.splitlines())
        figure.suptitle(title, fontsize=10)
        figure.savefig(self.path(suffix), dpi=120)
        pyplot.close(figure)
        print(f"figure: {self.path(suffix)}")

    def write(self, results: Mapping[str, Any]) -> None:
        options = dataclasses.asdict(self.options)
        for name in ("out", "weights", "emoji", "work"):
            del options[name]
        write(
            self.path(".json"),
            {
                "claim": self.claim,
                "criterion": self.criterion,
                **self.verdict.record(),
                "scenes": self.scenes,
                "seconds": round(time.monotonic() - self.began, 1),
                "options": options,
                "conditions": self.conditions,
                "results": recorded(dict(results)),
            },
        )
