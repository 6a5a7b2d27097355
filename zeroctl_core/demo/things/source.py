"""The things as what a control is trained on: `python -m zeroctl_core.train --source` with this module's name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...annotators.canny import canny
from ...annotators.color import color
from ...control.unit import ControlUnit, Net
from ...train.data import ControlData
from ...train.score import line_score
from ..model import DemoModel
from ..scoring import control_samples
from ..source import World
from .captions import caption
from .conditions import CONDITIONS, SQUARES
from .data import prepared
from .judge import covered_iou
from .model import WEIGHTS, WORK, ThingsModel, load_things_judge
from .pictures import emoji_path, read_cutouts
from .rendering import render
from .scene import Split, scenes

N_SCENES = 4096  # of a control, unless another number is asked for: all of their shards stay open

AGAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "edges": canny,
    "scribble": lambda image: F.max_pool2d(canny(image), 3, stride=1, padding=1),
    "colours": lambda image: color(image, grid=SQUARES, method="area"),
}
"""Conditions that a picture alone gives -> how they are taken from a sample."""


class Things(World):
    """The model of the things, their scenes and their scores: a `Source` of `zeroctl_core.train`.

    `work` is the folder of the build, which holds the package of pictures.
    """

    model_class: ClassVar[type[DemoModel]] = ThingsModel

    def __init__(self, folder: Path = WEIGHTS, *, work: Path = WORK, parts: DemoModel | None = None) -> None:
        super().__init__(folder, parts=parts)
        self.work = work

    @property
    def conditions(self) -> Sequence[str]:
        return tuple(CONDITIONS)

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> ControlData:
        return prepared(
            self,
            condition,
            seed=seed,
            count=N_SCENES if count is None else count,
            folder=(cache or self.work / "latents") / f"things-{seed}",
            package=self.work,
        )

    @torch.no_grad()
    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """How well samples of held-out scenes with their captions follow."""
        return self.score_on("held_out", net, condition, n=n, seed=seed, steps=steps)

    @torch.no_grad()
    def score_on(
        self,
        split: Split,
        net: nn.Module,
        condition: str,
        *,
        n: int,
        seed: int,
        steps: int,
        prompt: str | None = None,
        strength: float = 1.0,
        batch: int = 32,
    ) -> dict[str, float]:
        """Scores of samples of a split, with their captions or one prompt for all; `follow` is the one to watch.

        Lines: F1 of the annotator's lines of sample and condition; colours: 1 - the mean distance of the squares;
        the others: IoU of the cells in which the judge sees a thing.
        """
        totals: dict[str, float] = {}
        for start in range(0, n, batch):
            world = scenes(seed, start, min(batch, n - start), split)
            truth = render(world, read_cutouts(emoji_path(self.work)))
            condition_maps = CONDITIONS[condition](truth)
            prompts = [caption(one) if prompt is None else prompt for one in world]
            unit = ControlUnit(cast(Net, net), condition_maps, strength=strength)
            pictures = control_samples(self.model, [unit], prompts, seed * 100_000 + start, steps=steps)
            for key, value in self._compare(condition, pictures, condition_maps, truth.number).items():
                totals[key] = totals.get(key, 0.0) + value * len(world) / n
        return totals

    def _compare(self, condition: str, pictures: Tensor, condition_maps: Tensor, number: Tensor) -> dict[str, float]:
        if condition not in AGAIN:
            iou = covered_iou(load_things_judge(self.folder), pictures, number)
            return {"follow": iou, "iou": iou}
        again = AGAIN[condition](pictures)
        if condition == "colours":
            return {"follow": 1 - float((again - condition_maps).square().sum(dim=1).sqrt().mean())}
        f1 = float(line_score(again, condition_maps).mean())
        return {"follow": f1, "line_f1": f1}


def source(weights: Path | None = None) -> Things:
    """What `python -m zeroctl_core.train --source` with this module's name trains on."""
    return Things(WEIGHTS if weights is None else weights)
