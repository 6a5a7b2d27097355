"""`python -m benchmarks.control_pictures`: what controls do, for the help pages of their nodes.

Everything is a scene of the demo's world, its conditions, and samples of the embedded model; `weights.jpg` is bars.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.annotator_pictures import FOLDER, enlarged, image_of, write
from benchmarks.options import read_options
from zeroctl_core import BASES, RULES, Schedule
from zeroctl_core.control.unit import ControlUnit
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import WEIGHTS
from zeroctl_core.demo.showing import Demo
from zeroctl_core.demo.world import render, scenes

WORLD_SEED = 11
GAP = 8  # pixels between pictures, as beside each other in `write`
SHOWN_RULES = ("uniform", "resolution_normalised", "soft", "only_middle")
BARS = (260, 125)  # pixels: width and height of one chart


def below(*rows: Sequence[Tensor]) -> list[Tensor]:
    """Rows of pictures [1, 3, H, W] as columns, each as one picture with white between them, for `write`."""
    columns = []
    for column in zip(*rows, strict=True):
        gap = torch.ones(1, 3, GAP, column[0].shape[3])
        columns.append(torch.cat([column[0], *(part for one in column[1:] for part in (gap, one))], dim=2))
    return columns


def bars(rule: str) -> Tensor:
    """The weights of a rule for SD 1.5 as bars, shallow to deep, the middle last."""
    width, height = BARS
    chart = np.full((height, width, 3), 255, np.uint8)
    style = {"fontFace": cv2.FONT_HERSHEY_SIMPLEX, "lineType": cv2.LINE_AA}
    cv2.putText(chart, rule.replace("_", " "), (6, 17), fontScale=0.45, color=(40, 40, 40), thickness=1, **style)
    weights = RULES[rule](BASES["sd15"].connections)
    pitch = (width - 12) / len(weights)
    for place, weight in enumerate(weights):
        left, right = round(6 + place * pitch) + 1, round(6 + (place + 1) * pitch) - 2
        top = round(height - 4 - weight * (height - 30))
        cv2.rectangle(chart, (left, top), (right, height - 4), (100, 168, 224), -1)
    return image_of(chart)


class Pictures:
    """One held-out scene, its conditions, and samples with its caption from one noise."""

    def __init__(self, number: int) -> None:
        self.demo = Demo(WEIGHTS, seed=0)
        (self.scene,) = scenes(WORLD_SEED, number, 1, "held_out")
        self.truth = render([self.scene])

    def condition(self, name: str) -> Tensor:
        return CONDITIONS[name](self.truth)

    def unit(self, name: str, strength: float = 1.0, end: float = 1.0) -> ControlUnit:
        unit = self.demo.unit(name, self.condition(name))
        return replace(unit, strength=strength, schedule=Schedule(0.0, end))

    def sample(self, *units: ControlUnit) -> Tensor:
        return enlarged(self.demo.samples(units, [self.scene.caption]))

    def shown(self, name: str) -> Tensor:
        return enlarged(self.condition(name))


@dataclass(frozen=True)
class Options:
    out: Path = FOLDER
    """folder of the pictures"""

    scene: int = 2
    """which held-out scene"""


def main() -> None:
    options = read_options(Options, "control_pictures", __doc__)
    pictures, out = Pictures(options.scene), options.out
    edges, plain, controlled = pictures.shown("edges"), pictures.sample(), pictures.sample(pictures.unit("edges"))
    scene = enlarged(pictures.truth.image)
    write(out / "control_net.jpg", scene, edges, controlled)
    write(out / "apply.jpg", plain, controlled)
    half = pictures.sample(pictures.unit("edges", strength=0.4))
    write(out / "control.jpg", *below((edges, plain), (half, controlled)))
    early = [pictures.sample(pictures.unit("edges", end=end)) for end in (0.1, 0.3)]
    write(out / "schedule.jpg", *below((edges, early[0]), (early[1], controlled)))
    two = [pictures.unit(name) for name in ("edges", "normals")]
    both = pictures.sample(*two)
    write(out / "stack.jpg", *below((edges, controlled), (pictures.shown("normals"), both)))
    maps = [enlarged(CONDITIONS[name](pictures.truth)) for name in CONDITIONS]
    write(out / "demo_scene.jpg", *below((scene, *maps[:3]), maps[3:]))
    write(out / "weights.jpg", *below(*([bars(rule) for rule in row] for row in (SHOWN_RULES[:2], SHOWN_RULES[2:]))))


if __name__ == "__main__":
    main()
