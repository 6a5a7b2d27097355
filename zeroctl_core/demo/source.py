"""The embedded world as what a control is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from ..control.unit import Net
from ..network.unet import UNet
from ..sampling import Prediction
from ..train.data import ControlData, LeftOut, Prompts
from ..train.fingerprint import fingerprint
from ..train.objective import STABLE_DIFFUSION
from .autoencoder import SCALE
from .conditions import CONDITIONS
from .data import WorldData
from .model import WEIGHTS, DemoModel
from .scoring import score_control

N_SCENES = 8192  # of a seed, unless another number is asked for


class World:
    """The embedded model, scenes of the world and their scores: a `Source` of `zeroctl_core.train`."""

    prediction: Prediction = "eps"
    schedule = STABLE_DIFFUSION
    model_class: ClassVar[type[DemoModel]] = DemoModel

    def __init__(self, folder: Path = WEIGHTS, *, parts: DemoModel | None = None) -> None:
        self.folder, self._parts = folder, parts

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
        return WorldData(condition, seed, N_SCENES if count is None else count, self.model, cache)

    @torch.no_grad()
    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """`follow_scores` of held-out scenes, `follow` is the IoU."""
        return score_control(self.model, cast(Net, net), condition, n=n, seed=seed, steps=steps)


def source(weights: Path | None = None) -> World:
    """What `python -m zeroctl_core.train` trains on by default, with the weights of a folder."""
    return World(WEIGHTS if weights is None else weights)
