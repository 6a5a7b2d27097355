"""zeroctl_core: ControlNet (arXiv 2302.05543) for latent diffusion UNets, independent of any host."""

from .bases import BASES
from .checkpoint import CheckpointError, load_controlnet, save_controlnet
from .condition import ConditionEncoder
from .connections import Connection, ConnectionWeights
from .controlnet import ControlNet
from .ops import Ops
from .registry import Registry
from .residuals import Residuals
from .rows import Crop, Rows
from .run import Run
from .schedule import Schedule
from .stack import ControlStack
from .unet import UNet
from .unit import ControlUnit
from .version import __version__
from .weighting import MODES, RULES
from .zero_conv import ControlledBlock, zero_conv

__all__ = [
    "BASES",
    "MODES",
    "RULES",
    "CheckpointError",
    "ConditionEncoder",
    "Connection",
    "ConnectionWeights",
    "ControlNet",
    "ControlStack",
    "ControlUnit",
    "ControlledBlock",
    "Crop",
    "Ops",
    "Registry",
    "Residuals",
    "Rows",
    "Run",
    "Schedule",
    "UNet",
    "__version__",
    "load_controlnet",
    "save_controlnet",
    "zero_conv",
]
