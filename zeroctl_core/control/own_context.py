"""What a control reads in the place of the prompt: tokens of its own, for either side of the guidance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .rows import Rows


@dataclass(frozen=True, eq=False)
class OwnContext:
    """Tokens [n, T, D] for the rows with the prompt, and those for the others; sample r reads number r mod n.

    `uncond=None` gives both sides the same. The two may have different numbers of tokens.

    Raises `ValueError` for tensors of another shape and for two widths.
    """

    cond: Tensor
    uncond: Tensor | None = None

    def __post_init__(self) -> None:
        for tokens in (self.cond, self.uncond):
            if tokens is not None and (tokens.ndim != 3 or tokens.numel() == 0):
                raise ValueError(f"the tokens have the shape {tuple(tokens.shape)}; expected [n, T, D]")
        if self.uncond is not None and self.uncond.shape[-1] != self.width:
            raise ValueError(
                f"the tokens of the two sides are {self.width} and {self.uncond.shape[-1]} numbers wide; both are read "
                "by one net"
            )

    @property
    def width(self) -> int:
        return self.cond.shape[-1]

    def of_rows(self, rows: Rows, like: Tensor) -> Tensor:
        """The tokens of each row [B, T, D], on the device and in the dtype of `like`.

        Where two rows have different numbers of tokens, each sequence is repeated: attention gives the same.
        """
        sides = {"cond": self.cond, "uncond": self.cond if self.uncond is None else self.uncond}
        single = [sides[role][sample % len(sides[role])] for role, sample in zip(rows.roles, rows.images, strict=True)]
        longest = math.lcm(*(len(tokens) for tokens in single))
        repeated = [tokens.repeat(longest // len(tokens), 1) for tokens in single]
        return torch.stack(repeated).to(like.device, like.dtype)

    def equals(self, other: OwnContext) -> bool:
        """Whether every row reads the same."""
        if self is other:
            return True
        sides = ((self.cond, other.cond), (self.uncond, other.uncond))
        return all(
            one is two or (one is not None and two is not None and one.device == two.device and torch.equal(one, two))
            for one, two in sides
        )
