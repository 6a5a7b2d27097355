"""Base architectures: one family of models a file, recognised by what a file holds and never by its name.

A base file reads the spec from the shapes itself, so cut-down nets of a family need no entry of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from ..connections import Connection
from ..network.spec import EncoderSpec
from ..registry import Registry, import_files_of

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

    def with_spec(self, spec: EncoderSpec) -> Base:
        """A member of this family with another spec: a cut-down net, or an inpaint base with 9 input channels."""
        return replace(self, spec=spec)


BASES: Registry[Base] = Registry("base")


def recognise(shapes: Shapes) -> Base | None:
    """The base that these keys and shapes belong to, with the spec read from them; None when no family claims them.

    Raises `ValueError` when a family claims them but they fit no spec at all.
    """
    claims = [base for base in BASES.values() if base.detect(shapes)]
    if len(claims) > 1:
        raise ValueError(f"several bases claim these keys: {', '.join(base.name for base in claims)}")
    if not claims:
        return None
    return claims[0].with_spec(claims[0].read_spec(shapes))


import_files_of(__name__, __path__)
