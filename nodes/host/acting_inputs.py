"""The inputs that say how strongly, when and for whom one control acts: the same on every node that makes one."""

from __future__ import annotations

from typing import Any

from zeroctl_core import MODES
from zeroctl_core.canvas import RESIZE_MODES

from .schema import io

__all__ = ["acting_inputs"]


def acting_inputs() -> list[Any]:
    """`strength`, `start`, `end`, `mode` and `resize`, in the order of their widgets."""
    return [
        io.Float.Input(
            "strength",
            default=1.0,
            min=-10.0,
            max=10.0,
            step=0.01,
            tooltip="Multiplies everything that the control adds. 0 switches it off; negative turns it round.",
        ),
        io.Float.Input(
            "start",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.001,
            tooltip="Share of the training timesteps at which it begins, as ComfyUI counts.",
        ),
        io.Float.Input(
            "end",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.001,
            tooltip="Share of the training timesteps at which it ends, as ComfyUI counts.",
        ),
        io.Combo.Input(
            "mode",
            options=list(MODES),
            default="balanced",
            tooltip="Who sees the control and how it is weighted. balanced: everywhere the same. prompt: my "
            "prompt is more important. control: the control is more important. paper: 64/h, cond only.",
        ),
        io.Combo.Input(
            "resize",
            options=list(RESIZE_MODES),
            default="crop",
            tooltip="When the image has other proportions than the picture. crop: cut the middle out, as "
            "ComfyUI does. fit: show all of it with borders. stretch: pull it into shape.",
        ),
    ]
