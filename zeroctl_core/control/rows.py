"""What the rows of a batch are: which side of the guidance, which sample, which crop of the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Branches = Literal["both", "cond", "uncond"]

ROLES = ("cond", "uncond")
BRANCHES: tuple[Branches, ...] = get_args(Branches)


@dataclass(frozen=True)
class Crop:
    """The part of the canvas that a latent is: top left corner and size in latent cells (8 pixels each)."""

    y: int
    x: int
    h: int
    w: int

    def __post_init__(self) -> None:
        if self.y < 0 or self.x < 0 or self.h < 1 or self.w < 1:
            raise ValueError(f"{self} is not inside any canvas; y and x start at 0, h and w at 1, in latent cells")


@dataclass(frozen=True)
class Rows:
    """One entry for each row of a batch.

    `roles` says on which side of classifier-free guidance a row stands, `images` which sample of the run it is
    (sample r uses condition image and mask r mod n), `crops` which part of the canvas its latent is (None: all of it).

    Raises `ValueError` for tuples of different lengths, an unknown role or a negative sample.
    """

    roles: tuple[str, ...]
    images: tuple[int, ...]
    crops: tuple[Crop | None, ...]

    def __post_init__(self) -> None:
        if not len(self.roles) == len(self.images) == len(self.crops):
            raise ValueError(
                f"roles, images and crops have the lengths {len(self.roles)}, {len(self.images)} and "
                f"{len(self.crops)}; give one of each for every row of the batch"
            )
        for role in self.roles:
            if role not in ROLES:
                raise ValueError(f"a row has the role {role!r}; expected one of {', '.join(ROLES)}")
        if min(self.images, default=0) < 0:
            raise ValueError(f"rows name the samples {self.images}; a sample is counted from 0")

    def __len__(self) -> int:
        return len(self.roles)

    def seen_by(self, branches: Branches) -> tuple[int, ...]:
        """The rows that a unit with these branches acts on."""
        return tuple(row for row, role in enumerate(self.roles) if branches in ("both", role))

    def pick(self, rows: Sequence[int]) -> Rows:
        """These rows alone."""
        return Rows(
            tuple(self.roles[row] for row in rows),
            tuple(self.images[row] for row in rows),
            tuple(self.crops[row] for row in rows),
        )
