"""Where the factor of a unit is 0, nothing acts: strength x weight x schedule x branch x mask, whichever of them is 0.

The reference computes the factor on every row and connection and looks whether anything is left of it.
"""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from zeroctl_core import (
    Connection,
    ConnectionWeights,
    ControlStack,
    ControlUnit,
    Crop,
    Residuals,
    Rows,
    Run,
    Schedule,
)
from zeroctl_core.canvas import prepared_mask
from zeroctl_core.control.acting import Support, rows_acted_on
from zeroctl_core.control.run import Cache, mask_of_rows
from zeroctl_core.network.noise_levels import sd_percent_to_sigma

SIDE = 8  # of the latent, in cells
CANVAS = torch.Size((8 * SIDE, 8 * SIDE))
CONNECTIONS = (Connection("skip", 4, 1), Connection("skip", 4, 4), Connection("middle", 4, 8))

STRENGTHS = (1.0, 0.0, -2.0)
WEIGHTS = ((1.0, 1.0, 1.0), (0.0, 0.0, 0.3), (0.0, 0.0, 0.0))
BRANCHES = ("both", "cond", "uncond")

ROWS = Rows(("uncond", "uncond", "cond", "cond"), (0, 1, 0, 1), (None,) * 4)


class CountingNet:
    """Adds what it is given; counts its rows and the pictures that it encodes."""

    class base:
        name = "fake"
        connections = CONNECTIONS
        condition_channels = 3

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.encoded = 0

    def encode(self, picture: Tensor) -> Tensor:
        self.encoded += 1
        return picture[..., ::8, ::8]

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Tensor, y: Tensor | None) -> Residuals:
        self.runs.append(x.shape[0])
        return Residuals.of([x[..., :: c.downsample, :: c.downsample] + 3.0 for c in CONNECTIONS])


def picture() -> Tensor:
    return torch.rand(1, 3, *CANVAS, generator=torch.Generator().manual_seed(2))


def run() -> Run:
    return Run(sd_percent_to_sigma, [14.0, 5.0, 0.0])


def dot(*places: tuple[int, int, int], n: int = 2, side: int = 64) -> Tensor:
    """Masks of zeros but for a value at (mask, y, x) each."""
    mask = torch.zeros(n, 1, side, side)
    for which, y, x in places:
        mask[which, 0, y, x] = 0.01
    return mask


MASKS = {
    "none": None,
    "ones": torch.ones(1, 1, 64, 64),
    "zeros": torch.zeros(1, 1, 64, 64),
    "a dot in the second": dot((1, 0, 0)),
    "dots": dot((0, 63, 63), (1, 31, 32)),
    "larger": dot((0, 100, 127), side=128),
}
SEEN = {
    "samples": ROWS,
    "the first sample": Rows(("uncond", "cond"), (0, 0), (None, None)),
    "crops": Rows(("cond", "uncond", "cond"), (0, 1, 1), (Crop(0, 0, 4, 4), Crop(3, 4, 4, 4), Crop(4, 4, 4, 4))),
}


def factor_is_left(weights: tuple[float, ...], branches: str, mask: Tensor | None, rows: Rows) -> tuple[int, ...]:
    """The rows where the product of weight, branch and shrunk mask is not 0 somewhere at some connection."""
    left = []
    for row in rows.seen_by(branches):
        one = rows.pick([row])
        cells = SIDE if one.crops[0] is None else one.crops[0].h
        for weight, connection in zip(weights, CONNECTIONS, strict=True):
            size = max(cells // connection.downsample, 1)
            factor = torch.full((1, 1, size, size), weight)
            if mask is not None:
                factor = factor * mask_of_rows(mask, CANVAS, one, factor, Cache())
            if factor.any() and row not in left:
                left.append(row)
    return tuple(left)


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())
@pytest.mark.parametrize("rows", SEEN.values(), ids=SEEN.keys())
def test_a_unit_acts_on_the_rows_where_something_is_left_of_its_factor(mask, rows):
    support = None if mask is None else Support(mask, (CANVAS[0], CANVAS[1]))
    for strength, weights, branches in itertools.product(STRENGTHS, WEIGHTS, BRANCHES):
        scaled = tuple(strength * weight for weight in weights)
        assert rows_acted_on(scaled, branches, support, rows) == factor_is_left(scaled, branches, mask, rows)


@pytest.mark.parametrize(
    "unit",
    [
        {"mask": torch.zeros(1, 1, 64, 64)},
        {"mask": torch.zeros(3, 1, 7, 5), "strength": -2.0},
        {"mask": dot((1, 5, 5)), "branches": "cond"},
        {"weights": ConnectionWeights.uniform(3, 0.0)},
        {"schedule": Schedule(curve="0@0, 0@1")},
        {"strength": 0.0, "mask": torch.ones(1, 1, 64, 64)},
    ],
    ids=["mask", "masks", "another row's mask", "weights", "curve", "strength"],
)
def test_no_network_runs_and_no_picture_is_encoded_where_the_factor_is_0(unit):
    net, x = CountingNet(), torch.randn(2, 4, 8, 8)
    stack = ControlStack([ControlUnit(net, picture(), **unit)])
    rows = Rows(("uncond", "cond"), (0, 0), (None, None))
    assert stack.acting(5.0, run(), rows) == ()
    assert stack(x, torch.ones(2), torch.ones(2, 3, 4), sigma=5.0, run=run(), rows=rows) is None
    assert net.runs == [] and net.encoded == 0


def test_rows_whose_mask_is_0_are_not_computed_and_the_others_are_as_before():
    net, x = CountingNet(), torch.randn(4, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mask = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    mask[0] = 0.0
    args = x, torch.ones(4), torch.ones(4, 3, 4)
    out = ControlStack([ControlUnit(net, picture(), mask=mask)])(*args, rows=ROWS)
    assert net.runs == [2]
    whole = ControlStack([ControlUnit(net, picture(), mask=mask + (mask == 0) * 1e-30)])(*args, rows=ROWS)
    for part, all_rows in zip(out, whole, strict=True):
        torch.testing.assert_close(part, all_rows, rtol=1e-5, atol=1e-6)


def test_an_area_outside_of_the_mask_is_left_alone_and_the_next_area_is_not():
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 40:] = 1.0
    stack = ControlStack([ControlUnit(CountingNet(), picture(), mask=mask)])
    left, right = (Rows(("cond",), (0,), (Crop(0, x, 8, 4),)) for x in (0, 4))
    assert (stack.acting(None, None, left), stack.acting(None, None, right)) == ((), (0,))


def test_a_mask_that_crop_cuts_away_leaves_nothing():
    mask = torch.zeros(1, 64, 128)
    mask[..., :20] = 1.0
    on_canvas = prepared_mask(mask, image_size=(64, 128), canvas_size=(64, 64), mode="crop")
    unit = ControlUnit(CountingNet(), picture(), mask=on_canvas)
    assert ControlStack([unit]).acting(None, None, ROWS) == ()
    stretched = prepared_mask(mask, image_size=(64, 128), canvas_size=(64, 64), mode="stretch")
    assert ControlStack([ControlUnit(CountingNet(), picture(), mask=stretched)]).acting(None, None, ROWS) == (0,)
