"""The counted cost of a control against figures that were counted with other code."""

import pytest

from zeroctl_core import BASES, ControlNet, UNet
from zeroctl_core.bases.sdxl import MID, SMALL
from zeroctl_core.network.cost import flops, share_of_unet


@pytest.mark.parametrize(
    ("name", "side", "unet", "control"),
    [
        # GFLOP of the host's networks by torch's counter; the control's include a condition encoder of 14.7 and 58.8
        ("sd15", 64, 803.3, 283.3 - 14.7),
        ("sdxl", 128, 6761.0, 3020.0 - 58.8),
    ],
)
def test_counts_are_those_of_the_published_networks(name: str, side: int, unet: float, control: float) -> None:
    base = BASES[name]
    assert flops(base, UNet, side, side) / 1e9 == pytest.approx(unet, rel=2e-3)
    assert flops(base, ControlNet, side, side) / 1e9 == pytest.approx(control, rel=2e-3)


def test_cut_down_nets_cost_less() -> None:
    full = BASES["sdxl"]
    shares = [share_of_unet(full.with_spec(spec), full, 64, 64) for spec in (full.spec, MID, SMALL)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] == pytest.approx(0.44, abs=0.01) and shares[1] < 0.13
