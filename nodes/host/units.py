"""What the sockets ZEROCTL_STACK, ZEROCTL_WEIGHTS and ZEROCTL_SCHEDULE carry: values, nothing loaded or computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from zeroctl_core import MODES, RULES, Connection, ConnectionWeights, Schedule

__all__ = ["Unit", "UnitStack", "WeightsChoice", "check_image", "check_mask", "check_number", "switch"]


@dataclass(frozen=True)
class WeightsChoice:
    """A weighting rule by name, or numbers as text; resolved against a net at Apply.

    `custom`, where it is not empty, wins over `rule`. `base` other than "auto" names the only family it is meant for.
    """

    rule: str = "uniform"
    base: str = "auto"
    custom: str = ""

    @property
    def name(self) -> str:
        return "custom" if self.custom.strip() else self.rule

    def resolve(self, connections: Sequence[Connection]) -> ConnectionWeights:
        """One number a connection.

        Raises:
            ValueError: `custom` has another count than the net has connections.
        """
        if self.custom.strip():
            return ConnectionWeights.parse(self.custom, len(connections))
        return ConnectionWeights(tuple(RULES[self.rule](connections)))


@dataclass(frozen=True)
class Unit:
    """One configured control, as the node `ZeroctlControl` was filled in.

    control_net: any CONTROL_NET of the host. image: [B, C, H, W], 0..1 (inpaint: -1..1), at its own size.
    mask: [B, H, W] in 0..1, 1 where the control acts; it covers the same extent as the image. None: everywhere.
    weights: None means the rule of `mode`. branches: resolved, never "from mode".
    """

    control_net: Any
    image: Tensor
    strength: float = 1.0
    mode: str = "balanced"
    branches: str = "both"
    schedule: Schedule = Schedule()
    weights: WeightsChoice | None = None
    resize: str = "crop"
    mask: Tensor | None = None
    mask_feather: float = 0.0
    mask_invert: bool = False
    vae: Any = None
    enabled: bool = True
    notes: tuple[str, ...] = ()

    @property
    def active(self) -> bool:
        """Whether this unit can ever act, whatever the run."""
        return self.enabled and self.strength != 0.0

    @property
    def weighting(self) -> WeightsChoice:
        """The weights socket when it is connected, else the rule of the mode."""
        return self.weights or WeightsChoice(MODES[self.mode][0])


UnitStack = tuple[Unit, ...]


def switch(stack: UnitStack, enabled: bool) -> UnitStack:
    """The stack with every unit switched off unless `enabled`."""
    return stack if enabled else tuple(replace(unit, enabled=False) for unit in stack)


def check_number(name: str, value: float) -> float:
    """Return `value` when it is an ordinary number: NaN passes every comparison with a minimum and a maximum.

    Raises:
        ValueError: NaN or infinity.
    """
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}, expected an ordinary number.")
    return value


def check_image(image: Tensor, name: str = "image", channels: tuple[int, ...] = (3,)) -> Tensor:
    """A host IMAGE [B, H, W, C], of the input `name`, as [B, C, H, W].

    Raises:
        ValueError: not an image batch, nothing in it, another number of channels, or values that are not finite.
    """
    if not isinstance(image, Tensor) or image.ndim != 4:
        given = f"shape {tuple(image.shape)}" if isinstance(image, Tensor) else type(image).__name__
        raise ValueError(
            f"{name} must be an IMAGE [B, H, W, 3]; got {given}. Connect the output of an image or annotator node."
        )
    if image.numel() == 0 or not image.is_floating_point():
        raise ValueError(
            f"{name} has the shape {tuple(image.shape)} and holds {str(image.dtype).removeprefix('torch.')} values, "
            "expected at least one picture with values in 0..1. Look at the node that made it."
        )
    if image.shape[-1] not in channels:
        what = " (with alpha)" if image.shape[-1] == 4 else ""
        expected = "3 (RGB)" if channels == (3,) else "3 (RGB) or 4 (with alpha)"
        raise ValueError(
            f"{name} has {image.shape[-1]} channels{what}, expected {expected}. Put it over a background, or convert "
            "it, before it comes here."
        )
    if not torch.isfinite(image).all():
        bad = int((~torch.isfinite(image)).sum())
        raise ValueError(
            f"{name} has {bad} values that are not finite (NaN or infinity), expected 0..1. "
            "Look at the node that made it: an annotator on a constant picture may divide by zero."
        )
    return image.movedim(-1, 1)


def check_mask(mask: Tensor | None, one: str = "the control acts") -> Tensor | None:
    """A host MASK [B, H, W] (or [H, W]) as [B, H, W]. `one` says what 1 means.

    Raises:
        ValueError: another shape, values that are not finite, or outside 0..1.
    """
    if mask is None:
        return None
    mask = mask.unsqueeze(0) if mask.ndim == 2 else mask
    if mask.ndim != 3 or mask.numel() == 0:
        raise ValueError(f"mask must be a MASK [B, H, W]; got the shape {tuple(mask.shape)}.")
    if not torch.isfinite(mask).all():
        raise ValueError("mask has values that are not finite (NaN or infinity), expected 0..1.")
    low, high = float(mask.min()), float(mask.max())
    if low < 0.0 or high > 1.0:
        raise ValueError(f"mask has values in {low:g}..{high:g}, expected 0..1 (1: {one}). Rescale it first.")
    return mask
