"""What a ControlNet is trained on: latents, prompts and condition images by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from ..network.picture_sizes import with_sizes


@dataclass(frozen=True)
class Prompts:
    """What the text encoder makes of prompts."""

    context: Tensor  # [B, T, D]
    y: Tensor | None = None  # [B, Y], where the base takes it (SDXL); with `sizes` the pooled prompt alone
    sizes: Tensor | None = None  # [B, 6], of the pictures, as `PictureSizes`: they stay where a prompt is dropped

    @property
    def whole_y(self) -> Tensor | None:
        """y as the networks read it, with the sizes of the pictures behind the pooled prompt."""
        return self.y if self.y is None or self.sizes is None else with_sizes(self.y, self.sizes)


class LeftOut(NamedTuple):
    """What of a prompt the text encoder does not see, in words or pieces of words."""

    unknown: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()  # beyond the last place, in order


@dataclass(frozen=True)
class ControlBatch:
    """Samples as the networks take them.

    Raises `ValueError` for a condition outside 0..1: released trainers differ here, and a net that was trained in
    -1..1 follows nothing when it is given 0..1.
    """

    latent: Tensor  # [B, 4, h, w], the mean, scaled to a spread near 1
    prompts: Prompts  # the full ones
    condition: Tensor  # [B, 3, 8h, 8w] in 0..1
    deviation: Tensor | None = None  # [B, 4, h, w], of the latents; None: the mean stands for all of them

    def __post_init__(self) -> None:
        low, high = float(self.condition.min()), float(self.condition.max())
        if not 0.0 <= low <= high <= 1.0:
            raise ValueError(
                f"a condition image has values from {low:g} to {high:g}; expected 0..1. Divide bytes by 255, and "
                "undo a normalisation to -1..1 by (x + 1) / 2"
            )


class ControlData(Protocol):
    """A set of samples, numbered from 0. The same number is always the same sample."""

    @property
    def name(self) -> str:
        """Names the data for checkpoints: a run on other data is another run."""
        ...

    @property
    def empty(self) -> Prompts:
        """What the text encoder makes of the empty prompt, [1, ...]."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        """Samples by number. Another thread asks for the next ones while a step is computed."""
        ...
