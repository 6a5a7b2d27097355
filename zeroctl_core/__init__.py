"""zeroctl_core: ControlNet (arXiv 2302.05543) for latent diffusion UNets, independent of any host.

Public names are loaded on first use, so that importing the package costs no more than importing torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# at once, unlike the rest: loading a file later would put the file in the place of the function of the same name
from .zero_conv import ControlledBlock, zero_conv

if TYPE_CHECKING:
    from .bases import BASES as BASES
    from .checkpoint import CheckpointError as CheckpointError
    from .checkpoint import load_controlnet as load_controlnet
    from .checkpoint import save_controlnet as save_controlnet
    from .condition import ConditionEncoder as ConditionEncoder
    from .connections import Connection as Connection
    from .connections import ConnectionWeights as ConnectionWeights
    from .controlnet import ControlNet as ControlNet
    from .ops import Ops as Ops
    from .registry import Registry as Registry
    from .residuals import Residuals as Residuals
    from .schedule import Schedule as Schedule
    from .stack import ControlStack as ControlStack
    from .stack import ControlUnit as ControlUnit
    from .stack import Crop as Crop
    from .stack import Rows as Rows
    from .stack import Run as Run
    from .unet import UNet as UNet
    from .weighting import MODES as MODES
    from .weighting import RULES as RULES

__version__ = "0.1.0"

_HOME = {
    "BASES": "bases",
    "CheckpointError": "checkpoint",
    "ConditionEncoder": "condition",
    "Connection": "connections",
    "ConnectionWeights": "connections",
    "ControlNet": "controlnet",
    "ControlStack": "stack",
    "ControlUnit": "stack",
    "Crop": "stack",
    "MODES": "weighting",
    "Ops": "ops",
    "RULES": "weighting",
    "Registry": "registry",
    "Residuals": "residuals",
    "Rows": "stack",
    "Run": "stack",
    "Schedule": "schedule",
    "UNet": "unet",
    "load_controlnet": "checkpoint",
    "save_controlnet": "checkpoint",
}
"""Public name -> the file that holds it."""

__all__ = [*_HOME, "ControlledBlock", "zero_conv"]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
