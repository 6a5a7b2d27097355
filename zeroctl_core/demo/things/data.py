"""Scenes of the things as training data: those with pictures prepared in a folder, drawn shapes encoded into memory."""

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
from ..data import CHUNK, SceneData, encoded
from ..model import DemoModel
from ..world import SIZE
from .captions import damaged_caption
from .conditions import training_condition
from .pictures import SHA256, read_cutouts
from .rendering import Rendering, render
from .scene import Scene, scene, scenes

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


def said_of(one: Scene, seed: int, index: int) -> str:
    """What training says of a scene, the same every time."""
    return damaged_caption(one, np.random.Generator(np.random.Philox(key=[seed, index])))


def sample_of(condition: str, seed: int, index: int, emoji: Path) -> Sample:
    return Sample(
        name=f"{seed}-{index:06}",
        picture=ScenePicture("picture", seed, index, emoji, lambda rendering: rendering.image),
        condition=ScenePicture(
            condition, seed, index, emoji, lambda rendering: training_condition(condition, rendering)
        ),
        caption=said_of(scene(seed, index), seed, index),
    )


def prepared(base: TrainingBase, condition: str, *, seed: int, count: int, folder: Path, package: Path) -> CachedData:
    """Training scenes 0..count-1 of a seed, encoded into a folder by the preparation of `zeroctl_core.train`.

    Conditions share the folder: the pictures are encoded for the first of them.
    """
    samples = [sample_of(condition, seed, index, package) for index in range(count)]
    index = prepare(samples, Drawing(size=(SIZE, SIZE)), base, folder, held_out=0)
    return CachedData(folder, index)


def drawn_data(condition: str, seed: int, count: int, model: DemoModel, cache: Path | None = None) -> SceneData:
    """Training scenes 0..count-1 of drawn shapes, which need no package."""
    world = scenes(seed, 0, count, shapes_only=True)

    def pictures(start: int) -> Tensor:
        return render(scenes(seed, start, CHUNK, shapes_only=True)).image

    return SceneData(
        f"drawn things {condition} seed {seed} count {count} version {DRAWN_BY}",
        encoded(model.autoencoder, pictures, f"latents-drawn-{seed}", count, cache),
        [said_of(one, seed, index) for index, one in enumerate(world)],
        lambda rows: training_condition(condition, render([world[row] for row in rows])),
        model,
    )
