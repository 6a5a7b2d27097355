"""What the sockets ZEROCTL_STACK, ZEROCTL_WEIGHTS and ZEROCTL_SCHEDULE carry: values, nothing loaded or computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from zeroctl_core import MODES, RULES, Connection, ConnectionWeights, Schedule
from zeroctl_core.control.image_strengths import ImageStrengths
from zeroctl_core.control.own_context import OwnContext
from zeroctl_core.control.rows import Branches
from zeroctl_core.files.plural import plural
from zeroctl_core.network.union_controlnet import UNION_TYPES

__all__ = ["REPAINT", "UnionCondition", "Unit", "UnitStack", "WeightsChoice", "numbered", "switch", "without_control"]


REPAINT = UNION_TYPES.index("repaint")


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

        Raises `ValueError` for numbers that cannot be read, and for another count than the net has connections.
        """
        if self.custom.strip():
            return ConnectionWeights.parse(self.custom, len(connections))
        return ConnectionWeights(tuple(RULES[self.rule](connections)))


@dataclass(frozen=True, kw_only=True)
class UnionCondition:
    """One condition of a union ControlNet, as the node Union Condition was filled in.

    type: its number in `UNION_TYPES`. image: [B, 3, H, W]; None: the image of the control. note: on its values.
    """

    type: int
    strength: float = 1.0
    image: Tensor | None = None
    note: str = ""

    def with_hole(self) -> UnionCondition:
        """Of the type repaint, a hole to inpaint is black for these nets, where plain ones read -1."""
        if self.type != REPAINT or self.image is None:
            return self
        return replace(self, image=self.image.clamp(min=0.0))


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One configured control, as the node ControlNet Control was filled in.

    control_net: any CONTROL_NET of the host. image: [B, C, H, W], 0..1 (inpaint: -1..1), at its own size.
    mask: [B, H, W] in 0..1, 1 where the control acts; it covers the same extent as the image. None: everywhere.
    weights: None means the rule of `mode`. branches: resolved, never "from mode".
    Image and mask have been checked, see `inputs`: nothing behind the nodes scans their values again.
    image_strengths: of each latent of a batch, times `strength`; None: 1. context: read in the place of the prompt.
    number: among all controls of a MODEL, see `numbered`; 0 before Apply.
    made_by: title of the node of the canvas that was filled in. node: id of the one that put it into the MODEL.
    """

    control_net: Any
    image: Tensor
    strength: float = 1.0
    mode: str = "balanced"
    branches: Branches = "both"
    schedule: Schedule = Schedule()
    weights: WeightsChoice | None = None
    resize: str = "crop"
    mask: Tensor | None = None
    mask_feather: float = 0.0
    mask_invert: bool = False
    vae: Any = None
    union: tuple[UnionCondition, ...] = ()
    image_strengths: ImageStrengths | None = None
    context: OwnContext | None = None
    enabled: bool = True
    notes: tuple[str, ...] = ()
    number: int = 0
    made_by: str = "ControlNet Control"
    node: str = ""

    @property
    def title(self) -> str:
        """The control in messages and reports: `control 2`."""
        return f"control {self.number}"

    @property
    def active(self) -> bool:
        """Whether this unit can ever act, whatever the run."""
        return self.enabled and self.strength != 0.0

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Its condition image, and those that it has beside it where its net is a union."""
        return (self.image, *(condition.image for condition in self.union if condition.image is not None))

    @property
    def per_sample(self) -> str:
        """What differs from sample to sample of a batch, in words: `6 condition images`; empty where nothing does."""
        images, masks = max(map(len, self.images)), 0 if self.mask is None else self.mask.shape[0]
        if images > 1:
            return plural(images, "condition image")
        if self.image_strengths is not None and len(self.image_strengths) > 1:
            return f"strengths of {len(self.image_strengths)} latents"
        return plural(masks, "mask") if masks > 1 else ""

    @property
    def weighting(self) -> WeightsChoice:
        """The weights socket when it is connected, else the rule of the mode."""
        return self.weights or WeightsChoice(MODES[self.mode][0])


UnitStack = tuple[Unit, ...]


def without_control(schedule: Schedule) -> str:
    """What a window in sigma leaves out that ends at 1: the default of the input `end`, a share in all other units."""
    if schedule.unit != "sigma" or schedule.end != 1.0:
        return ""
    return (
        "end 1 is a noise level here: steps below sigma 1, on Stable Diffusion the last third of the timesteps, are "
        "without control. Set end to 0 to act down to the last step."
    )


def numbered(stack: UnitStack, first: int, node: str = "") -> UnitStack:
    """The stack with its units numbered from `first`, those that are switched off too. node: see `Unit`.

    Apply numbers a stack once; reports, errors and notices name a control by this number from then on.
    """
    return tuple(replace(unit, number=number, node=node) for number, unit in enumerate(stack, first))


def switch(stack: UnitStack, enabled: bool) -> UnitStack:
    """The stack with every unit switched off unless `enabled`."""
    return stack if enabled else tuple(replace(unit, enabled=False) for unit in stack)
