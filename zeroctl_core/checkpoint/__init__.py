"""A ControlNet's file: loaded strictly, saved whole."""

from .loading import CheckpointError, load_controlnet
from .saving import save_controlnet

__all__ = ["CheckpointError", "load_controlnet", "save_controlnet"]
