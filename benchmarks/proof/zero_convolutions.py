"""The convolutions between copy and UNet, which start at 0."""

from __future__ import annotations

from torch import nn

from zeroctl_core import ControlNet


def zero_convolutions(net: ControlNet) -> list[nn.Conv2d]:
    """One a connection, the middle's last."""
    modules = [*net.zero_convs.modules(), *net.middle_block_out.modules()]
    return [module for module in modules if isinstance(module, nn.Conv2d)]
