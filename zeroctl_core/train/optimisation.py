"""How weights are moved: the numbers of AdamW, of the learning rate and of the moving average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Optimisation:
    """How weights are moved."""

    steps: int  # of the optimiser
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    weight_decay: float = 0.01  # decoupled, as in AdamW
    warmup_steps: int = 50  # over which the learning rate rises from 0
    decay: Literal["constant", "cosine"] = "constant"  # of the learning rate after the warm-up, to 0 at the last step
    clip_norm: float = 1.0  # L2 norm of all gradients together
    ema_decay: float | None = None  # of the moving average of the weights; None: no average is kept
    checkpoint_every: int = 250  # steps

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, 2..."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return rate
