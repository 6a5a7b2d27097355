"""What is not finite is noticed, whichever unit adds it at whichever connection, and nothing is read before the end."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from readbacks import Transfers

from zeroctl_core import BASES, ConnectionWeights, ControlStack, ControlUnit, Residuals, Run
from zeroctl_core.control.overflow import Overflow
from zeroctl_core.network.noise_levels import sd_percent_to_sigma

WIDTHS = [connection.channels for connection in BASES["tiny"].connections]


@dataclasses.dataclass(eq=False)
class Net:
    """Adds ones, and `odd` in one value at a connection."""

    odd: float = 1.0
    place: int = 0
    base = dataclasses.make_dataclass("Base", ["name", "connections", "condition_channels"])(
        "tiny", BASES["tiny"].connections, 3
    )

    def encode(self, image: torch.Tensor) -> torch.Tensor:
        return image[:, :1, ::8, ::8]

    def __call__(self, x: torch.Tensor, *args: object, **kwargs: object) -> Residuals:
        maps = [torch.ones(x.shape[0], width, 4, 4, dtype=torch.float16) for width in WIDTHS]
        maps[self.place][0, 0, 1, 2] = self.odd
        return Residuals.of(maps)


def overflowed(*units: ControlUnit, steps: int = 2) -> set[int]:
    run = Run(sd_percent_to_sigma, [])
    x = torch.zeros(1, 4, 8, 8)
    for _ in range(steps):
        with Transfers() as transfers:
            run.overflow.begin(x)
            ControlStack(units)(x, torch.ones(1), torch.zeros(1, 1, 1), run=run)
        assert not transfers.read_backs
    return run.overflow.units()


def unit(net: Net, **settings: object) -> ControlUnit:
    return ControlUnit(net, torch.ones(1, 3, 64, 64), **settings)


@pytest.mark.parametrize("place", [0, 5, len(WIDTHS) - 1])
@pytest.mark.parametrize("odd", [math.inf, -math.inf, math.nan])
def test_the_unit_whose_network_gives_it(odd, place):
    assert overflowed(unit(Net()), unit(Net(odd, place)), unit(Net())) == {1}


def test_the_unit_whose_weight_makes_it():
    weights = ConnectionWeights((1.0,) * (len(WIDTHS) - 1) + (1000.0,))
    assert overflowed(unit(Net(), strength=10.0), unit(Net(100.0, -1), weights=weights)) == {1}


def test_nothing_where_the_weight_or_the_mask_takes_it_away():
    weights = ConnectionWeights((0.0,) + (1.0,) * (len(WIDTHS) - 1))
    assert overflowed(unit(Net(math.inf), weights=weights)) == set()
    assert overflowed(unit(Net(math.inf), mask=torch.zeros(1, 1, 64, 64))) == set()


def test_large_finite_values_of_many_steps_are_finite():
    watch = Overflow()
    for _ in range(1000):
        watch.begin(torch.zeros(1))
        watch.watch((0,), [torch.full((10**4,), 65504.0, dtype=torch.float16)])
    assert watch.units() == set()
    watch.watch((0, 2), [torch.tensor([math.inf, -math.inf])])
    assert watch.units() == {0, 2}


def test_only_the_first_is_named_of_what_spoils_all_that_follows():
    watch, spoilt = Overflow(), torch.tensor([math.nan])
    for x, one, other in ((0, 0, 0), (0, 0, math.inf), (spoilt, spoilt, spoilt)):
        watch.begin(torch.zeros(1) + x)
        watch.watch((0,), [torch.zeros(1) + one])
        watch.watch((1,), [torch.zeros(1) + other])
    assert watch.units() == {1}


def test_no_control_is_named_where_the_sample_itself_was_not_finite():
    watch = Overflow()
    for x in (0.0, math.nan):
        watch.begin(torch.tensor([x]))
        watch.watch((0,), [torch.tensor([x])])
    assert watch.units() == set()
