"""The places where a control is injected, and one weight for each of them.

The order is always shallow to deep, the middle last.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Connection:
    """One place of injection.

    `downsample` counts latent cells a side that one cell of this connection covers: 1, 2, 4, 8 on SD,
    1, 2, 4 on SDXL, whatever the size of the picture. An `input` is added to what a block of the encoder gives, and so
    to its skip and to all that follows; `block` is that block's number, None for the other stages.
    """

    stage: Literal["skip", "middle", "input"]
    channels: int
    downsample: int
    block: int | None = None


def fits(control: Sequence[Connection], unet: Sequence[Connection]) -> bool:
    """Whether the places of a control are those of a UNet, or of a control with all of them: its skips and its middle.

    An adapter has some of them, a ControlNet all.
    """
    *skips, middle = unet
    own_skips = [connection for connection in control if connection.stage == "skip"]
    if own_skips and own_skips != skips:
        return False
    for connection in control:
        if connection.stage == "skip":
            continue
        if connection.block is not None and connection.block >= len(skips):
            return False
        place = middle if connection.block is None else skips[connection.block]
        if (place.channels, place.downsample) != (connection.channels, connection.downsample):
            return False
    return True


LARGEST_WEIGHT = 1000.0
"""Of either sign. Far smaller ones ruin every picture, far larger ones overflow to a black one."""


LONGEST_ENTRY = 100
"""Characters of an entry that stand in a message."""


@dataclass(frozen=True)
class ConnectionWeights:
    """One finite weight a connection, shallow to deep, the middle last.

    Raises `ValueError` for no weight at all, and for one that is not finite or beyond `LARGEST_WEIGHT`.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(float(value) for value in self.values))
        if not self.values:
            raise ValueError("connection weights are missing; give one number a connection (13 for SD, 10 for SDXL)")
        for place, value in enumerate(self.values, start=1):
            if not math.isfinite(value):
                raise ValueError(f"connection weight {place} of {len(self.values)} is {value}; give a finite number")
            if abs(value) > LARGEST_WEIGHT:
                raise ValueError(
                    f"connection weight {place} of {len(self.values)} is {value:g}; give a number from "
                    f"{-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}"
                )

    @classmethod
    def uniform(cls, n_connections: int, value: float = 1.0) -> ConnectionWeights:
        """The same weight at every connection."""
        return cls((value,) * n_connections)

    @classmethod
    def parse(cls, text: str, n_connections: int | None = None) -> ConnectionWeights:
        """Read `"1, .5, .25, ..."`: one number a connection, separated by commas; line breaks are spaces.

        `n_connections` is how many there must be; None takes any number of them, where no net says it.

        Raises `ValueError` for a wrong count, for what is not a number, and for what is not finite or too large.
        """
        count = "one number a connection" if n_connections is None else f"{n_connections} numbers"
        values = []
        for place, entry in enumerate(text.split(","), start=1):
            try:
                values.append(float(entry))
            except ValueError:
                fault = f"{entry.strip()[:LONGEST_ENTRY]!r} is not a number" if entry.strip() else "nothing is written"
                raise ValueError(
                    f"custom weights: {fault} at place {place}; write {count}, separated by commas, shallow to deep "
                    "and the middle last, such as 1, 0.5, 0.25"
                ) from None
        if n_connections is not None and len(values) != n_connections:
            raise ValueError(
                f"expected {n_connections} numbers as custom weights, one a connection, shallow to deep and the middle "
                f"last; got {len(values)}"
            )
        return cls(tuple(values))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float]:
        return iter(self.values)

    def __getitem__(self, index: int) -> float:
        return self.values[index]
