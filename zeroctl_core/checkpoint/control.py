"""A control's file of any kind that this package has a network for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..files.weight_file import open_weight_file
from ..network.controlnet import ControlNet
from ..network.t2i_adapter import T2IAdapter
from .adapters import is_adapter, load_t2i_adapter
from .loading import load_controlnet

__all__ = ["load_control"]


def load_control(path: str | os.PathLike[str], **options: Any) -> ControlNet | T2IAdapter:
    """Load a ControlNet, a union or a T2I-Adapter, by what the file holds; options as of `load_controlnet`.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    if is_adapter(open_weight_file(Path(path))):
        return load_t2i_adapter(path, **options)
    return load_controlnet(path, **options)
