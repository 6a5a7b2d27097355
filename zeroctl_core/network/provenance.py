"""Where the weights of a network come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass(frozen=True, kw_only=True)
class CheckpointInfo:
    """A loaded file: for people who look, and for the header of a file that is saved from it."""

    path: Path
    layout: str  # "ldm" or "diffusers"
    dtype: torch.dtype  # of most of the parameters
    n_parameters: int
    metadata: Mapping[str, str] = field(default_factory=dict)  # of the safetensors header
    global_average_pooling: bool = False
    pooling_source: str | None = None  # what says so, such as "header" or "file name"; None: nothing does
    prefix: str = ""  # what stood before the control's keys in the file, such as "control_model."
    mapped: bool = False  # whether the weights were left in the file
    ignored: tuple[str, ...] = ()  # parts of the file that are not the control, such as "model.diffusion_model"
