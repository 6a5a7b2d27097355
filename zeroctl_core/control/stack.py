"""Several controls as one: the sum of what their units add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..residuals import Residuals
from .rows import Rows
from .run import Kept, Key, Run, feature_of_rows, mask_of_rows
from .unit import ControlUnit

Acting = tuple[ControlUnit, tuple[float, ...]]
"""A unit and its weight at each connection, strength and schedule included."""


@dataclass(frozen=True, eq=False)
class ControlStack:
    """An ordered tuple of units; their residuals add, without further weights (arXiv 2302.05543, 3.4).

    Units with the same network and an equal image share one run of the network, which is made only for the rows that
    one of them acts on.

    Raises `ValueError` for units whose networks have different connections.
    """

    units: Sequence[ControlUnit]
    _groups: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    """The places of the units that share one run of their network."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))
        groups: list[list[int]] = []
        for index, unit in enumerate(self.units):
            first, here = self.units[0].net.base, unit.net.base
            if first.connections != here.connections:
                raise ValueError(
                    f"controls for {first.name} ({len(first.connections)} connections) and for {here.name} "
                    f"({len(here.connections)}) do not fit the same model; stack controls of one family"
                )
            for group in groups:
                if self.units[group[0]].shares_network_run(unit):
                    group.append(index)
                    break
            else:
                groups.append([index])
        object.__setattr__(self, "_groups", tuple(tuple(group) for group in groups))

    def __call__(
        self,
        x: Tensor,
        t: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        sigma: float | None = None,
        run: Run | None = None,
        rows: Rows | None = None,
    ) -> Residuals | None:
        """What the stack adds to a UNet at x [B, 4, h, w], t [B], context [B, T, C], y [B, adm]; None if nothing acts.

        `sigma` is the noise level that schedules are asked at; without it they are open. `run` keeps what stays the
        same during a sampling run; without it everything is computed anew. `rows` says what each row is; without it
        row r is sample r of the whole canvas.

        Raises `ValueError` for a unit with a schedule at a sigma without a run, for a unit on one branch without rows,
        for rows that are not x's, and for a condition image that is not 8 times its canvas.
        """
        if rows is None:
            rows = self._plain_rows(x.shape[0])
        elif len(rows) != x.shape[0]:
            raise ValueError(f"{len(rows)} rows are described, the batch has {x.shape[0]}; describe each row once")
        features: dict[Key, Kept] = {} if run is None else run.features
        masks: dict[Key, Kept] = {} if run is None else run.masks

        weights = self._acting_weights(sigma, run, rows)
        total: list[Tensor] | None = None
        for group in self._groups:
            acting = [(self.units[index], weights[index]) for index in group if index in weights]
            needed = sorted({row for unit, _ in acting for row in rows.seen_by(unit.branches)})
            if not needed:
                continue
            net, image = acting[0][0].net, self.units[group[0]].condition_image
            at = _index(needed)
            picked = rows.pick(needed)
            residuals: Residuals = net(
                x[at],
                t[at],
                context[at],
                feature=feature_of_rows(net, image, picked, x, features),
                y=None if y is None else y[at],
            )
            maps = []
            for place, residual in enumerate(residuals):
                factor = _factor(acting, place, picked, image.shape[-2:], residual, masks)
                maps.append(_times(residual, factor))
            total = _added(total, maps, at, x.shape[0])
        return None if total is None else Residuals.of(total)

    @property
    def needs_sigma(self) -> bool:
        """Whether a schedule depends on the noise level; else a call without `sigma` is the same, and saves whoever
        holds it on a device the read-back."""
        return any(unit.schedule is not None and not unit.schedule.open_throughout for unit in self.units)

    def acting(self, sigma: float | None, run: Run | None, rows: Rows) -> tuple[int, ...]:
        """The places of the units that act in a call with these arguments: some weight is not 0, some row is theirs.

        Reads no tensor. Raises `ValueError` for a unit with a schedule at a sigma without a run.
        """
        return tuple(self._acting_weights(sigma, run, rows))

    def _acting_weights(self, sigma: float | None, run: Run | None, rows: Rows) -> dict[int, tuple[float, ...]]:
        """Place of each unit that acts -> its weight at each connection."""
        weights = {index: _weights(unit, sigma, run) for index, unit in enumerate(self.units)}
        return {
            index: values
            for index, values in weights.items()
            if any(values) and rows.seen_by(self.units[index].branches)
        }

    def _plain_rows(self, batch: int) -> Rows:
        for unit in self.units:
            if unit.branches != "both":
                raise ValueError(
                    f"a unit acts on {unit.branches} only, and the call does not say which rows these are; "
                    "pass rows=Rows(roles, images, crops)"
                )
        return Rows(("cond",) * batch, tuple(range(batch)), (None,) * batch)


def _weights(unit: ControlUnit, sigma: float | None, run: Run | None) -> tuple[float, ...]:
    if unit.schedule is None or sigma is None:
        return unit.scaled_weights(1.0)
    if run is None:
        raise ValueError(
            "a unit has a schedule and the call a sigma, but no run; pass run=Run(percent_to_sigma, sigmas), "
            "or leave out sigma to have every schedule open"
        )
    return unit.scaled_weights(run.strength(unit.schedule, sigma))


def _factor(
    acting: list[Acting], place: int, rows: Rows, canvas: torch.Size, residual: Tensor, masks: dict[Key, Kept]
) -> float | Tensor:
    """The sum over units of weight, branch and mask at one connection: a number, or a tensor that broadcasts to it.

    Adding the factors and not the products makes two half controls equal one to the bit.
    """
    factor: float | Tensor = 0.0
    for unit, weights in acting:
        share: float | Tensor = weights[place]
        seen = rows.seen_by(unit.branches)
        if len(seen) < len(rows):
            on_row = [weights[place] if row in seen else 0.0 for row in range(len(rows))]
            share = torch.tensor(on_row, device=residual.device, dtype=residual.dtype).reshape(-1, 1, 1, 1)
        if unit.mask is not None:
            share = mask_of_rows(unit.mask, canvas, rows, residual, masks) * share
        factor = factor + share
    return factor


def _times(residual: Tensor, factor: float | Tensor) -> Tensor:
    if isinstance(factor, float) and factor == 1.0:
        return residual  # the network's own, which is nobody else's
    if isinstance(factor, float) and factor == 0.0:
        return torch.zeros_like(residual)  # 0 times an overflow in fp16 would be NaN
    return residual * factor


def _index(rows: list[int]) -> slice | list[int]:
    """Neighbouring rows as a slice: a view, without a copy of the indices to the device."""
    if rows == list(range(rows[0], rows[-1] + 1)):
        return slice(rows[0], rows[-1] + 1)
    return rows


def _added(total: list[Tensor] | None, maps: list[Tensor], at: slice | list[int], batch: int) -> list[Tensor]:
    """The sum so far plus maps for some rows; rows that nothing acts on are 0."""
    if maps[0].shape[0] == batch:
        return maps if total is None else [sum_ + map_ for sum_, map_ in zip(total, maps, strict=True)]
    added = []
    for place, map_ in enumerate(maps):
        full = map_.new_zeros(batch, *map_.shape[1:]) if total is None else total[place].clone()
        full[at] += map_
        added.append(full)
    return added
