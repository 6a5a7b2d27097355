"""A base: a family of networks, its spec, and how its files are recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..connections import Connection
from .spec import EncoderSpec

Shapes = Mapping[str, tuple[int, ...]]
"""Key in the LDM layout, without prefix -> shape; of a ControlNet or of a UNet."""


@dataclass(frozen=True)
class Base:
    """A family of models, or one member of it that differs in size: then the name is the family's."""

    name: str
    title: str  # what people call it
    spec: EncoderSpec
    detect: Callable[[Shapes], bool]
    read_spec: Callable[[Shapes], EncoderSpec]

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The places of injection, shallow to deep, the middle last."""
        return self.spec.connections

    @property
    def condition_channels(self) -> int:
        """Channels of the condition images that a control of this spec reads."""
        return self.spec.condition_channels

    def with_spec(self, spec: EncoderSpec) -> Base:
        """A member of this family with another spec: a cut-down net, or an inpaint base with 9 input channels."""
        return replace(self, spec=spec)
