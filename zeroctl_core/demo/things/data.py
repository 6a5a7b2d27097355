"""Scenes of the things as samples of a preparation: drawn when they are encoded, and known by their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ...train.prepare.cache import CachedData
from ...train.prepare.keys import key_of
from ...train.prepare.preparing import Drawing, prepare
from ...train.prepare.sample import Sample
from ...train.source import TrainingBase
from ..world import SIZE
from .captions import damaged_caption
from .conditions import training_condition
from .pictures import SHA256, emoji_path, read_cutouts
from .rendering import Rendering, render
from .scene import scene

DRAWN_BY = 1
"""Of what is drawn for the same numbers: a change of scenes, pictures or conditions makes every cache anew."""


@dataclass(frozen=True)
class ScenePicture:
    """A training scene, drawn when it is read: `what` names the picture or the condition."""

    what: str
    seed: int
    index: int
    emoji: Path
    draw: Callable[[Rendering], Tensor]

    @property
    def key(self) -> str:
        return key_of("things", [DRAWN_BY, SHA256, self.what, self.seed, self.index])

    def read(self) -> Tensor:
        return self.draw(render([scene(self.seed, self.index)], read_cutouts(self.emoji)))[0]


def sample_of(condition: str, seed: int, index: int, emoji: Path) -> Sample:
    text = damaged_caption(scene(seed, index), np.random.Generator(np.random.Philox(key=[seed, index])))
    return Sample(
        name=f"{seed}-{index:06}",
        picture=ScenePicture("picture", seed, index, emoji, lambda rendering: rendering.image),
        condition=ScenePicture(
            condition, seed, index, emoji, lambda rendering: training_condition(condition, rendering)
        ),
        caption=text,
    )


def prepared(base: TrainingBase, condition: str, *, seed: int, count: int, folder: Path, package: Path) -> CachedData:
    """Training scenes 0..count-1 of a seed, encoded into a folder by the preparation of `zeroctl_core.train`.

    Conditions share the folder: the pictures are encoded for the first of them.
    """
    emoji = emoji_path(package)
    samples = [sample_of(condition, seed, index, emoji) for index in range(count)]
    index = prepare(samples, Drawing(size=(SIZE, SIZE)), base, folder, held_out=0)
    return CachedData(folder, index)
