"""How large everything is: Stable Diffusion's own sizes on a card, cut widths to try the run on a CPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch


@dataclass(frozen=True, kw_only=True)
class Sizes:
    device: str
    preset: str  # of the injection's networks
    pixels: int  # side of a picture
    rounds: int  # of the injection
    steps: int  # of a sampling run
    training_batch: int
    training_steps: int  # measured, after two that are not

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def torch_device(self) -> torch.device:
        return torch.device(self.device)

    @property
    def is_cut(self) -> bool:
        return self.preset != "sd15"


ON_A_CARD = Sizes(device="cuda", preset="sd15", pixels=512, rounds=5, steps=12, training_batch=4, training_steps=10)
DRY = Sizes(device="cpu", preset="narrow", pixels=64, rounds=1, steps=2, training_batch=2, training_steps=2)
DRY_IN_A_HOST = Sizes(device="cpu", preset="thin", pixels=64, rounds=1, steps=2, training_batch=2, training_steps=2)
