"""How weights are moved: the numbers of AdamW, of the learning rate and of the moving average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from .ranges import check_at_least, check_number, check_positive

Decay = Literal["constant", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Optimisation:
    """How weights are moved.

    Raises `ValueError` for a number that is not finite or out of its range.
    """

    steps: int  # of the optimiser
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    weight_decay: float = 0.01  # decoupled, as in AdamW
    matrix_rate: float | None = None  # of Muon, which then moves the matrices between layers; None: AdamW moves all
    warmup_steps: int = 50  # over which the learning rate rises from 0
    decay: Decay = "constant"  # of the learning rate after the warm-up, to 0 at the last step
    clip_norm: float = 1.0  # L2 norm of all gradients together
    ema_decay: float | None = None  # of the moving average of the weights; None: no average is kept
    checkpoint_every: int = 250  # steps

    def __post_init__(self) -> None:
        for name in ("steps", "checkpoint_every"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("weight_decay", "warmup_steps"):
            check_at_least(name, getattr(self, name), 0)
        for name in ("learning_rate", "clip_norm"):
            check_positive(name, getattr(self, name))
        for beta in self.betas:
            check_number("betas", beta, 0 <= beta < 1, "two numbers of 0 to below 1")
        if self.matrix_rate is not None:
            check_positive("matrix_rate", self.matrix_rate)
        if self.ema_decay is not None:
            check_number("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "0 to below 1, or none")
        if self.decay not in get_args(Decay):
            raise ValueError(f"decay is {self.decay!r}; expected {' or '.join(get_args(Decay))}")

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, 2..."""
        return self.learning_rate * self.share(step)

    def share(self, step: int) -> float:
        """The share of the learning rates that step 0, 1, 2... takes."""
        share = min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay == "cosine":
            share *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return share
