"""A ControlNet's file: loaded strictly, saved whole."""

from .loading import CheckpointError, load_controlnet
from .of_model import load_of_model
from .saving import save_control_lora, save_controlnet

__all__ = ["CheckpointError", "load_controlnet", "load_of_model", "save_control_lora", "save_controlnet"]
