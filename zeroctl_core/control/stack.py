"""Several controls as one: the sum of what their units add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from ..connections import fits
from ..residuals import Residuals
from .acting import rows_acted_on
from .rows import Rows
from .run import Cache, Run, factors_of_rows, feature_of_rows, index_of_rows, mask_of_rows
from .unit import ControlUnit


class _Acting(NamedTuple):
    """What a unit does in one call: its weight at each connection, schedule included, and the rows that it is for."""

    weights: tuple[float, ...]
    rows: tuple[int, ...]


WeightedUnit = tuple[ControlUnit, tuple[float, ...]]
"""A unit and its weight at each connection, strength and schedule included."""


@dataclass(frozen=True, eq=False)
class ControlStack:
    """An ordered tuple of units; their residuals add, without further weights (arXiv 2302.05543, 3.4).

    Units with the same network and an equal image share one run of the network, which is made only for the rows that
    one of them acts on: those where its factor, strength x weight x schedule x branch x mask, is not 0.

    Raises `ValueError` for units whose networks have different connections.
    """

    units: Sequence[ControlUnit]
    _groups: tuple[tuple[int, ...], ...] = field(init=False, repr=False)
    """The places of the units that share one run of their network."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "units", tuple(self.units))
        groups: list[list[int]] = []
        for index, unit in enumerate(self.units):
            here = unit.net.base
            for other in (earlier.net.base for earlier in self.units[:index]):
                one, two = other.connections, here.connections
                if one != two and not fits(one, two) and not fits(two, one):
                    raise ValueError(
                        f"controls for {other.name} ({len(one)} connections) and for {here.name} ({len(two)}) do not "
                        "fit the same model; stack controls of one family"
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
        row r is sample r of the whole canvas. No tensor is read back.

        Raises `ValueError` for a unit with a schedule at a sigma without a run, for a unit on one branch without rows,
        for rows that are not x's, and for a condition image that is not 8 times its canvas.
        """
        if rows is None:
            rows = self._plain_rows(x.shape[0])
        elif len(rows) != x.shape[0]:
            raise ValueError(f"rows has the length {len(rows)}, the batch {x.shape[0]}; describe each row once")
        cache = Cache() if run is None else run.cache
        acting = self._acting(sigma, run, rows)
        total: Residuals | None = None
        for group in self._groups:
            members = [index for index in group if index in acting]
            if not members:
                continue
            units = [(self.units[index], acting[index].weights) for index in members]
            visible = sorted({row for index in members for row in acting[index].rows})
            own_rows, at = rows.pick(visible), index_of_rows(visible, x.device, cache)
            net, image = units[0][0].net, self.units[group[0]].condition_image
            residuals = net(
                x[at],
                t[at],
                _context(units[0][0], context[at], own_rows, cache),
                feature=feature_of_rows(net, image, own_rows, x, cache),
                y=None if y is None else y[at],
            )
            factors = [
                _factor(units, place, rows=own_rows, canvas=image.shape[-2:], like=residual, cache=cache)
                for place, residual in enumerate(residuals)
            ]
            added = residuals.scaled(factors)
            if run is not None:
                run.overflow.watch(tuple(members), added)
            added = added.on_rows(at, x.shape[0])
            total = added if total is None else total + added
        return total

    @property
    def needs_sigma(self) -> bool:
        """Whether a schedule depends on the noise level.

        Where none does, a call without `sigma` gives the same, and nobody has to read the level back from a device.
        """
        return any(unit.schedule is not None and not unit.schedule.open_throughout for unit in self.units)

    def acting(self, sigma: float | None, run: Run | None, rows: Rows) -> tuple[int, ...]:
        """The places of the units that act in a call with these arguments: on some row their factor is not 0.

        Reads no tensor. Raises `ValueError` for a unit with a schedule at a sigma without a run.
        """
        return tuple(self._acting(sigma, run, rows))

    def _acting(self, sigma: float | None, run: Run | None, rows: Rows) -> dict[int, _Acting]:
        """By the place of the unit, without those that do not act."""
        acting = {}
        for index, unit in enumerate(self.units):
            weights = _weights(unit, sigma, run)
            own_rows = rows_acted_on(weights, unit.branches, unit.support, rows, unit.image_strengths)
            if own_rows:
                acting[index] = _Acting(weights, own_rows)
        return acting

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


def _context(unit: ControlUnit, prompt: Tensor, rows: Rows, cache: Cache) -> Tensor:
    """What the unit's net reads on these rows, [B, T, D]."""
    own = unit.context
    if own is None:
        return prompt
    return cache.get((own,), ("context", rows, prompt.device, prompt.dtype), lambda: own.of_rows(rows, prompt))


def _factor(
    units: Sequence[WeightedUnit], place: int, *, rows: Rows, canvas: torch.Size, like: Tensor, cache: Cache
) -> float | Tensor:
    """The sum over units of weight, branch, image's strength and mask at one connection.

    A number, or a tensor that broadcasts to `like`.

    Adding the factors and not the products makes two half controls equal one to the bit.
    """
    factor: float | Tensor = 0.0
    for unit, weights in units:
        share: float | Tensor = weights[place]
        of_rows = unit.row_strengths(rows)
        if any(strength != 1.0 for strength in of_rows):
            share = factors_of_rows(of_rows, like, cache) * share
        if unit.mask is not None:
            share = mask_of_rows(unit.mask, canvas, rows, like, cache) * share
        factor = factor + share
    return factor
