"""The world as training data: scenes with pictures prepared in a folder, shapes encoded into memory."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..files.streamed_safetensors import n_bytes_of, stream_safetensors
from ..files.written_whole import written_whole
from ..train.data import ControlBatch, Prompts
from ..train.fingerprint import fingerprint
from ..train.prepare.cache import CachedData
from ..train.prepare.keys import key_of
from ..train.prepare.preparing import Drawing, prepare
from ..train.prepare.sample import Sample
from ..train.source import TrainingBase
from ..train.surprise import Surprise
from .autoencoder import SCALE, Autoencoder
from .captions import damaged_caption
from .conditions import training_condition
from .model import DemoModel
from .pictures import SHA256, read_cutouts
from .rendering import Rendering, render
from .scene import SIZE, Scene, scene, scenes

CHUNK = 64  # scenes that are encoded at once: always the same ones together, so that every bit repeats

DRAWN_BY = 1
"""Of what is drawn for the same numbers: a change of scenes, pictures or conditions makes every cache anew."""


@torch.no_grad()
def encoded(
    autoencoder: Autoencoder, pictures: Callable[[int], Tensor], name: str, count: int, cache: Path | None = None
) -> Tensor:
    """Latents of pictures 0..count-1, times `SCALE`: [count, 4, 16, 16]. `pictures(n)` draws `CHUNK` of them from n on.

    `cache` is a folder that keeps them under `name` and what else they depend on. A file there that does not hold what
    was written is warned of, and the pictures are encoded anew.
    """
    path = None if cache is None else cache / f"{name}-{count}-{fingerprint(autoencoder)}.safetensors"
    if path is not None and path.exists():
        try:
            return _read_latents(path)
        except (OSError, KeyError, ValueError, safetensors.SafetensorError) as error:
            warnings.warn(f"{path} is damaged ({error}); the pictures are encoded anew", Surprise, stacklevel=2)
    parts = []
    for start in range(0, count, CHUNK):
        images = pictures(start).contiguous(memory_format=torch.channels_last)
        parts.append(autoencoder.encode(images).contiguous() * SCALE)
    latents = torch.cat(parts)[:count].contiguous()
    if path is not None:
        tensors = {"latents": latents}
        with written_whole(path, n_bytes_of(tensors)) as part:
            stream_safetensors(part, tensors, {"sha256": _digest(latents)})
    return latents


def _read_latents(path: Path) -> Tensor:
    """Raises one of several errors for a file that does not hold what was written."""
    with safetensors.safe_open(path, framework="pt") as file:
        latents = file.get_tensor("latents").clone()
        digest = (file.metadata() or {}).get("sha256")
    if digest != _digest(latents):
        raise ValueError("it does not hold what was written")
    return latents


def _digest(latents: Tensor) -> str:
    """Of the values, their type and their shape."""
    return hashlib.sha256(f"{latents.dtype} {tuple(latents.shape)}".encode() + latents.numpy().tobytes()).hexdigest()


class SceneData:
    """Scenes for a ControlNet, the `ControlData` of `zeroctl_core.train`: their latents and captions in memory, every
    condition drawn anew. `draw` gets scene numbers."""

    def __init__(
        self, name: str, latents: Tensor, captions: Sequence[str], draw: Callable[[list[int]], Tensor], model: DemoModel
    ) -> None:
        self.name, self._latents, self._draw = name, latents, draw
        numbers = {caption: row for row, caption in enumerate(dict.fromkeys(captions))}
        self._captions = [numbers[caption] for caption in captions]
        self._contexts = model.context(list(numbers))
        self.empty = Prompts(model.context([""]))

    def __len__(self) -> int:
        return len(self._captions)

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        rows = list(indices)
        return ControlBatch(
            latent=self._latents[rows],
            prompts=Prompts(self._contexts[[self._captions[row] for row in rows]]),
            condition=self._draw(rows),
        )


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
        return key_of("demo", [DRAWN_BY, SHA256, self.what, self.seed, self.index])

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
        f"shapes {condition} seed {seed} count {count} version {DRAWN_BY}",
        encoded(model.autoencoder, pictures, f"latents-{seed}", count, cache),
        [said_of(one, seed, index) for index, one in enumerate(world)],
        lambda rows: training_condition(condition, render([world[row] for row in rows])),
        model,
    )
