"""zeroctl_core: ControlNet (arXiv 2302.05543) for latent diffusion UNets, independent of any host."""

from .bases import BASES
from .checkpoint import CheckpointError, load_controlnet, save_controlnet
from .connections import Connection, ConnectionWeights
from .control.rows import Crop, Rows
from .control.run import Run
from .control.schedule import Schedule
from .control.stack import ControlStack
from .control.unit import ControlUnit
from .network.condition_encoder import ConditionEncoder
from .network.controlnet import ControlNet
from .network.ops import Ops
from .network.unet import UNet
from .network.zero_convolution import ControlledBlock, zero_conv
from .registry import Registry
from .residuals import Residuals
from .version import __version__
from .weighting import MODES, RULES

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
