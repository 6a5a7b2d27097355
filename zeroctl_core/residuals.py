"""What a control adds to the UNet: one feature map a connection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .canvas.by_area import resize_by_area
from .connections import ConnectionWeights

Feature = Tensor | tuple[Tensor, ...]
"""What a net makes of a condition, once a run: a map, or several."""


def times(residual: Tensor, factor: float | Tensor) -> Tensor:
    """The product, and 0 wherever the factor is 0: an overflow (infinity) times 0 would be NaN.

    residual [B, C, h, w], factor a number or a tensor that broadcasts to it. A factor of 1 hands the residual on.
    """
    if isinstance(factor, Tensor):
        return (residual * factor).masked_fill_(factor == 0, 0.0)
    if factor == 1.0:
        return residual
    return residual * factor if factor else torch.zeros_like(residual)


@dataclass(frozen=True)
class Residuals:
    """The feature maps that a control adds to the skips (shallow to deep) and to the middle, [B, C_i, h_i, w_i] each.

    An adapter has no skips: it adds to what blocks of the encoder give, `inputs` by the number of the block, and maybe
    to the middle. No method changes a tensor. A map that stays as it is, by a weight of 1 or in `to`, is handed on and
    not copied.
    Source: the outputs of the zero convolutions in Eq. 2 of arXiv 2302.05543.
    """

    skips: tuple[Tensor, ...]
    middle: Tensor | None
    inputs: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "skips", tuple(self.skips))
        object.__setattr__(self, "inputs", dict(sorted(self.inputs.items())))

    @classmethod
    def of(cls, maps: Sequence[Tensor]) -> Residuals:
        """From all maps of a ControlNet in one sequence, the middle last."""
        return cls(tuple(maps[:-1]), maps[-1])

    def __iter__(self) -> Iterator[Tensor]:
        """All maps, in the order of the connections: the middle last."""
        yield from self.inputs.values()
        yield from self.skips
        if self.middle is not None:
            yield self.middle

    def __len__(self) -> int:
        return len(self.inputs) + len(self.skips) + (self.middle is not None)

    def _with(self, maps: Sequence[Tensor]) -> Residuals:
        """Other maps in the same places."""
        first = len(self.inputs)
        inputs = dict(zip(self.inputs, maps[:first], strict=True))
        if self.middle is None:
            return Residuals(tuple(maps[first:]), None, inputs)
        return Residuals(tuple(maps[first:-1]), maps[-1], inputs)

    @property
    def batch(self) -> int:
        return next(iter(self)).shape[0]

    def scaled(self, weights: ConnectionWeights | Sequence[float | Tensor]) -> Residuals:
        """Each map times its weight: a number, or a tensor that broadcasts to the map.

        Raises `ValueError` when the number of weights is not the number of maps.
        """
        if len(weights) != len(self):
            raise ValueError(
                f"expected {len(self)} weights, one a connection, shallow to deep and the middle last; "
                f"got {len(weights)}"
            )
        return self._with([times(residual, weight) for residual, weight in zip(self, weights, strict=True)])

    def __add__(self, other: Residuals) -> Residuals:
        """The sum, map by map: composed controls need no further weights (arXiv 2302.05543, 3.4).

        Where only one of them adds something, it is handed on. Raises `ValueError` for another number of skips or
        another shape; nothing is broadcast.
        """
        if not isinstance(other, Residuals):
            return NotImplemented
        if self.skips and other.skips and len(other.skips) != len(self.skips):
            raise ValueError(
                f"residuals at {len(self)} connections cannot be added to those at {len(other)}; "
                "use controls that were trained for the same family of models"
            )
        both = zip(self.skips, other.skips, strict=True) if self.skips and other.skips else ()
        skips = [_sum(one, two, f"connection {place}") for place, (one, two) in enumerate(both)]
        inputs = {**self.inputs, **other.inputs}
        for block in self.inputs.keys() & other.inputs.keys():
            inputs[block] = _sum(self.inputs[block], other.inputs[block], f"block {block} of the encoder")
        middle = other.middle if self.middle is None else self.middle
        if self.middle is not None and other.middle is not None:
            middle = _sum(self.middle, other.middle, f"connection {len(self) - 1}")
        return Residuals(tuple(skips) or self.skips or other.skips, middle, inputs)

    def masked(self, mask: Tensor) -> Residuals:
        """Each map times the mask, [1 or B, 1, H, W] in 0..1 of any size, brought to the map's size by area.

        Raises `ValueError` for a mask of another shape.
        """
        if mask.ndim != 4 or mask.shape[1] != 1 or mask.shape[0] not in (1, self.batch):
            raise ValueError(
                f"a mask has the shape {tuple(mask.shape)}; expected [1 or {self.batch}, 1, H, W]: "
                "one mask, or one for each row of the batch"
            )
        by_size: dict[torch.Size, Tensor] = {}
        for residual in self:
            size = residual.shape[-2:]
            if size not in by_size:
                # in float32: bf16 would round the share of a cell that is covered
                by_size[size] = resize_by_area(mask.float(), *size).to(residual.device, residual.dtype)
        return self.scaled([by_size[residual.shape[-2:]] for residual in self])

    def on_rows(self, rows: slice | Tensor, batch: int) -> Residuals:
        """As these rows of a larger batch, whose other rows are 0."""
        if self.batch == batch:
            return self
        maps = []
        for residual in self:
            padded = residual.new_zeros(batch, *residual.shape[1:])
            padded[rows] = residual
            maps.append(padded)
        return self._with(maps)

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None, non_blocking: bool = False
    ) -> Residuals:
        """On another device or in another dtype."""
        return self._with([residual.to(device, dtype, non_blocking=non_blocking) for residual in self])


def _sum(one: Tensor, two: Tensor, place: str) -> Tensor:
    if one.shape != two.shape:
        raise ValueError(
            f"residuals at {place} have the shapes {tuple(one.shape)} and {tuple(two.shape)}; "
            "they must be the same to be added: same family of models, same latent, same batch"
        )
    return one + two
