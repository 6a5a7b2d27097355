"""One configured control: a network, its condition image, and how strongly, when and where it acts."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from ..canvas.mask import check_mask
from ..connections import Connection, ConnectionWeights
from ..residuals import Feature, Residuals
from .acting import Support
from .image_strengths import ImageStrengths
from .own_context import OwnContext
from .rows import BRANCHES, Branches, Rows
from .schedule import Schedule


class Family(Protocol):
    """What a unit asks of a base: its name, its connections with the middle last, the channels of its conditions."""

    @property
    def name(self) -> str: ...
    @property
    def connections(self) -> tuple[Connection, ...]: ...
    @property
    def condition_channels(self) -> int: ...


class Net(Protocol):
    """What a unit asks of a network; `ControlNet` is one, and so is whatever wraps it for a host.

    `encode` gives the feature of a condition, row by row, which the call gets again.
    """

    @property
    def base(self) -> Family: ...

    def encode(self, image: Tensor, /) -> Feature: ...

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, /, *, feature: Any, y: Tensor | None) -> Residuals: ...


@dataclass(frozen=True, eq=False)
class ControlUnit:
    """One control of a stack.

    `condition_image` is [n, C, H, W], C the channels that the network reads (3 for all published ones), and `mask`
    [m, 1, H, W] in 0..1, both in the coordinates of the canvas. Sample r of a batch uses image r mod n and mask
    r mod m. The mask may have any size. `weights=None` is uniform, `schedule=None` always open. `branches` says which
    side of classifier-free guidance sees the control. `image_strengths` multiplies the strength for each sample;
    `context` is read in the place of the prompt.
    `scan=False` looks at the shapes of image and mask alone: the values are checked. Where the mask is 0 is read in any
    case, so keep a mask on the CPU: it comes to the device at each size that it is asked for.

    Raises `ValueError` for unknown branches, a strength or an image that is not finite, an image or a mask of another
    shape, and for a number of weights that is not the network's.
    """

    net: Net
    condition_image: Tensor
    _: KW_ONLY
    strength: float = 1.0
    weights: ConnectionWeights | None = None
    schedule: Schedule | None = None
    branches: Branches = "both"
    mask: Tensor | None = None
    image_strengths: ImageStrengths | None = None
    context: OwnContext | None = None
    scan: bool = True
    support: Support | None = field(init=False, repr=False, default=None)
    """Where the mask is not 0; None: everywhere."""

    def __post_init__(self) -> None:
        if self.branches not in BRANCHES:
            raise ValueError(f"branches {self.branches!r} are not known; use one of {', '.join(BRANCHES)}")
        if not math.isfinite(self.strength):
            raise ValueError(f"the strength is {self.strength}; give a finite number")
        image, channels = self.condition_image, self.net.base.condition_channels
        if image.ndim != 4 or image.shape[0] < 1 or image.shape[1] != channels:
            raise ValueError(
                f"the condition image has the shape {tuple(image.shape)}; this {self.net.base.name} control reads "
                f"[n, {channels}, H, W] with at least one image"
            )
        if self.scan and not image.is_meta and not torch.isfinite(image).all():  # on meta there are no values
            raise ValueError("the condition image has values that are not finite (NaN or infinity); check its source")
        n_connections = len(self.net.base.connections)
        if self.weights is not None and len(self.weights) != n_connections:
            raise ValueError(
                f"expected {n_connections} weights for a {self.net.base.name} control, one a connection, shallow to "
                f"deep and the middle last; got {len(self.weights)}"
            )
        if self.mask is not None:
            check_mask(self.mask, self.scan)
            if not self.mask.is_meta:
                object.__setattr__(self, "support", Support(self.mask, (image.shape[-2], image.shape[-1])))

    def scaled_weights(self, strength: float) -> tuple[float, ...]:
        """The weight of each connection times this unit's strength times a schedule's."""
        factor = self.strength * strength
        if self.weights is None:
            return (factor,) * len(self.net.base.connections)
        return tuple(factor * weight for weight in self.weights)

    def row_strengths(self, rows: Rows) -> tuple[float, ...]:
        """Of each row: 0 on a side that does not see the control, else the strength of its sample."""
        visible = set(rows.seen_by(self.branches))
        own = (1.0,) * len(rows) if self.image_strengths is None else self.image_strengths.of(rows.images)
        return tuple(strength if row in visible else 0.0 for row, strength in enumerate(own))

    def shares_network_run(self, other: ControlUnit) -> bool:
        """Whether one run of the network serves both units: the same network on an equal image, with equal tokens."""
        mine, theirs = self.condition_image, other.condition_image
        if self.net is not other.net or (self.context is None) != (other.context is None):
            return False
        if self.context is not None and other.context is not None and not self.context.equals(other.context):
            return False
        if mine is theirs or mine.is_meta:
            return mine is theirs
        return mine.shape == theirs.shape and mine.device == theirs.device and torch.equal(mine, theirs)
