"""The embedded world as what a control is trained on."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..control.unit import Net
from ..network.unet import UNet
from ..train.objective import STABLE_DIFFUSION, Prediction
from .autoencoder import SCALE
from .conditions import CONDITIONS
from .data import WorldData
from .model import WEIGHTS, DemoModel
from .scoring import score_control


class World:
    """The embedded model, scenes of the world and their scores: a `Source` of `zeroctl_core.train`."""

    prediction: Prediction = "eps"
    schedule = STABLE_DIFFUSION

    def __init__(self, folder: Path = WEIGHTS) -> None:
        self.folder = folder

    @cached_property
    def model(self) -> DemoModel:
        """Read at the first use. Raises what `DemoModel.load` does."""
        return DemoModel.load(self.folder)

    @property
    def unet(self) -> UNet:
        return self.model.unet

    @property
    def conditions(self) -> Sequence[str]:
        return tuple(CONDITIONS)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, 8h, 8w] in 0..1 -> latents [B, 4, h, w]."""
        return self.model.autoencoder.encode(pictures) * SCALE

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, 4, h, w] -> pictures [B, 3, 8h, 8w] in 0..1."""
        return self.model.picture(latents)

    def encode_prompts(self, prompts: Sequence[str]) -> tuple[Tensor, None]:
        """Contexts [B, 12, 64]; this base takes no `y`."""
        return self.model.context(prompts), None

    def data(self, condition: str, *, seed: int, count: int, cache: Path | None) -> WorldData:
        return WorldData(condition, seed, count, self.model, cache)

    @torch.no_grad()
    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """`follow_scores` of held-out scenes, `follow` is the IoU; the sampler works on the CPU."""
        model = self.model
        if next(model.unet.parameters()).device.type != "cpu":
            model = DemoModel(copy.deepcopy(model.unet).cpu(), model.text, model.autoencoder)
            net = copy.deepcopy(net).cpu()
        return score_control(model, cast(Net, net), condition, n=n, seed=seed, steps=steps)


def source(weights: Path | None = None) -> World:
    """What `python -m zeroctl_core.train` trains on by default, with the weights of a folder."""
    return World(WEIGHTS if weights is None else weights)
