"""What a run is given: the locked base, and all that only its owner knows."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from ..network.unet import UNet
from ..sampling import Prediction
from .data import ControlData, LeftOut, Prompts

WORLD = "zeroctl_core.demo.source"
"""The source of the commands unless another is named: by its name, for this room knows no source."""


class TrainingBase(Protocol):
    """The locked UNet with its noise, and how pictures and prompts come to it and back.

    Weights are read when they are first used, so that a run can be checked before.
    """

    @property
    def unet(self) -> UNet:
        """The locked base."""
        ...

    @property
    def prediction(self) -> Prediction:
        """What the base predicts."""
        ...

    @property
    def schedule(self) -> str:
        """The noise that the base was trained with, a name of `noise_levels.SCHEDULES`."""
        ...

    @property
    def encoders(self) -> tuple[str, str]:
        """Digits that stand for the autoencoder and for the text encoder: other ones encode otherwise."""
        ...

    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, 8h, 8w] in 0..1 -> mean and deviation of their latents, [B, 4, h, w], a spread near 1."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, 4, h, w] of a spread near 1 -> pictures [B, 3, 8h, 8w], clamped to 0..1."""
        ...

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        """The contexts of prompts, and `y` where the base takes it."""
        ...


@runtime_checkable
class NamesLosses(Protocol):
    """A base that can say what of a prompt it does not see. A base need not."""

    def left_out(self, prompt: str) -> LeftOut:
        """What the tokenizer does not know, and what it cuts; without reading weights."""
        ...


@runtime_checkable
class TakesSizes(Protocol):
    """A base whose `y` is the pooled prompt and the sizes of the picture (SDXL); `encode_prompts` gives the pooled
    prompt alone. A base need not."""

    @property
    def takes_sizes(self) -> bool: ...


def takes_sizes(base: TrainingBase) -> bool:
    """Whether a base reads the sizes of pictures."""
    return isinstance(base, TakesSizes) and base.takes_sizes


class Source(TrainingBase, Protocol):
    """What a control is trained on: a base, its data and its score. The embedded world is one
    (`zeroctl_core.demo.source`)."""

    @property
    def conditions(self) -> Sequence[str]:
        """The names of what a control can follow; known before weights are read."""
        ...

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> ControlData:
        """`count` samples with their condition images, None: all; `cache` is a folder for what is slow to compute."""
        ...

    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """How well `n` samples follow their conditions with a control; `follow` in 0..1 is the score to watch.

        `net` is a ControlNet, or a module that is called like one; `steps` are those of the sampler.
        """
        ...


def load_source(name: str, weights: Path | None = None) -> Source:
    """The source of a module, by its dotted name: what its function `source(weights)` returns.

    Raises `ValueError` for a module that cannot be found or has no such function.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(f"there is no module {name!r} to train on") from error
    except (TypeError, ValueError) as error:  # "", "..x"
        raise ValueError(f"{name!r} is not the dotted name of a module") from error
    if not callable(make := getattr(module, "source", None)):
        raise ValueError(f"the module {name!r} has no function source(weights), so it is not a source to train on")
    return make(weights)
