"""The world as training data: latents, prompts and conditions by number."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ..files.streamed_safetensors import n_bytes_of, stream_safetensors
from ..files.written_whole import written_whole
from ..train.data import ControlBatch, Prompts
from ..train.fingerprint import fingerprint
from ..train.surprise import Surprise
from .autoencoder import SCALE, Autoencoder
from .conditions import CONDITIONS
from .model import DemoModel
from .world import render, scene, scenes

CHUNK = 64  # scenes that are drawn and encoded at once: always the same ones together, so that every bit repeats


def latents_of(autoencoder: Autoencoder, seed: int, count: int, cache: Path | None = None) -> Tensor:
    """`encoded` training scenes 0..count-1 of a seed."""

    def pictures(start: int) -> Tensor:
        return render(scenes(seed, start, CHUNK)).image

    return encoded(autoencoder, pictures, f"latents-{seed}", count, cache)


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


def world_data(condition: str, seed: int, count: int, model: DemoModel, cache: Path | None = None) -> SceneData:
    """Scenes 0..count-1 of the training split."""
    draw = CONDITIONS[condition]
    return SceneData(
        f"world {condition} seed {seed} count {count}",
        latents_of(model.autoencoder, seed, count, cache),
        [scene(seed, index).caption for index in range(count)],
        lambda rows: draw(render([scene(seed, row) for row in rows])),
        model,
    )
