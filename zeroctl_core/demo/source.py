"""The embedded world as what a control is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from ..control.unit import ControlUnit, Net
from ..network.noise_levels import STABLE_DIFFUSION
from ..network.unet import UNet
from ..sampling import Prediction
from ..train.data import ControlData, LeftOut, Prompts
from ..train.fingerprint import fingerprint
from ..train.following import Ends, following_figures
from .autoencoder import SCALE
from .condition_scores import CONDITION_SCORES
from .conditions import CONDITIONS
from .data import world_data
from .following import follow_scores
from .model import WEIGHTS, DemoModel
from .scoring import control_samples
from .world import render, scenes

N_SCENES = 8192  # of a seed, unless another number is asked for


class World:
    """The embedded model, scenes of the world and their scores: a `Source` of `zeroctl_core.train`."""

    prediction: Prediction = "eps"
    schedule = STABLE_DIFFUSION
    model_class: ClassVar[type[DemoModel]] = DemoModel

    def __init__(self, folder: Path = WEIGHTS, *, parts: DemoModel | None = None) -> None:
        self.folder, self._parts = folder, parts
        self._known_ends: dict[tuple[str, int, int, int], tuple[Ends, Tensor]] = {}

    @cached_property
    def model(self) -> DemoModel:
        """The given parts, or those of the folder, read at the first use. Raises what `DemoModel.load` does."""
        return self._parts or self.model_class.load(self.folder)

    @property
    def unet(self) -> UNet:
        return self.model.unet

    @property
    def conditions(self) -> Sequence[str]:
        return tuple(CONDITIONS)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, 8h, 8w] in 0..1 -> mean and deviation of their latents, [B, 4, h, w]."""
        mean, log_variance = self.model.autoencoder.distribution(pictures)
        return mean * SCALE, (log_variance / 2).exp() * SCALE

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, 4, h, w] -> pictures [B, 3, 8h, 8w] in 0..1."""
        return self.model.picture(latents)

    @property
    def encoders(self) -> tuple[str, str]:
        return fingerprint(self.model.autoencoder), fingerprint(self.model.text)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        """Contexts [B, T, 64]; this base takes no `y`."""
        return Prompts(self.model.context(prompts))

    def left_out(self, prompt: str) -> LeftOut:
        """Words that are not in the world's language, and those beyond its last place."""
        tokens = self.model_class.tokens(prompt)
        return LeftOut(tokens.unknown, tokens.cut)

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> ControlData:
        return world_data(condition, seed, N_SCENES if count is None else count, self.model, cache)

    @torch.no_grad()
    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """`following_figures` of held-out scenes, where a picture shows the condition again, and `follow_scores` by
        what the world knows of them."""
        world = scenes(seed, 0, n, "held_out")
        truth = render(world)
        image, prompts = CONDITIONS[condition](truth), [one.caption for one in world]
        pictures = self._samples([ControlUnit(cast(Net, net), image)], prompts, seed, steps)
        witness = follow_scores(pictures, world)
        if condition not in CONDITION_SCORES:
            return witness
        compare, key = CONDITION_SCORES[condition], (condition, n, seed, steps)
        if key not in self._known_ends:
            without = self._samples([], prompts, seed, steps)
            true = self.model.autoencoder.decode(self.model.autoencoder.encode(truth.image)).clamp(0, 1)
            self._known_ends[key] = Ends(compare(without, image), compare(true, image)), without
        ends, without = self._known_ends[key]
        others = compare(pictures, image.roll(1, dims=0))
        return {**following_figures(compare(pictures, image), others, ends, pictures, without), **witness}

    def _samples(self, units: Sequence[ControlUnit], prompts: Sequence[str], seed: int, steps: int) -> Tensor:
        return control_samples(self.model, units, prompts, seed * 100_000, steps=steps)


def source(weights: Path | None = None) -> World:
    """What `python -m zeroctl_core.train` trains on by default, with the weights of a folder."""
    return World(WEIGHTS if weights is None else weights)
