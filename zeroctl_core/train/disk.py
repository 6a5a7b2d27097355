"""Is there room on the disk for what a run writes? Asked before it starts."""

from __future__ import annotations

import math
import shutil

from torch import nn

from .checkpointing import CHECKPOINTS, N_CHECKPOINTS
from .config import ControlConfig

FLOAT, HALF = 4, 2  # bytes


def space_of(config: ControlConfig, net: nn.Module) -> int:
    """Bytes of what a run of this net keeps at most at one time.

    A checkpoint holds the weights, the two moments of AdamW and the averages where they are kept, in float32; a new one
    stands beside the old ones before these are removed. The trained control is in float16, and so is the best one.
    """
    n = sum(parameter.numel() for parameter in net.parameters())
    checkpoint = n * FLOAT * (3 if config.ema_decay is None else 4)
    n_checkpoints = min(N_CHECKPOINTS + 1, math.ceil(config.steps / config.checkpoint_every))
    return n_checkpoints * checkpoint + 2 * n * HALF


def check_space(config: ControlConfig, net: nn.Module) -> None:
    """Raises `OSError` with the folder, what is needed and what is free where the disk cannot hold the run.

    What the run has written so far counts as free: it makes way for the new.
    """
    there = [path for path in (config.folder / CHECKPOINTS).rglob("*") if path.is_file()]
    free = shutil.disk_usage(config.folder).free + sum(path.stat().st_size for path in there)
    if (need := space_of(config, net)) > free:
        raise OSError(
            f"the disk of {config.folder} has {_size(free)} free, and this run needs {_size(need)} for its "
            "checkpoints and its control; make room there, or keep the runs on another disk",
        )


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"
