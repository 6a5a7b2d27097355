"""Stage 4: the controls, each trained by `zeroctl_core.train`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .stage import Stage

CONTROLS = ("edges", "normals", "mask", "edges_paper", "depth")


def control_stages() -> dict[str, Callable[[], Stage[Any]]]:
    """Name of the stage -> how to make it; `edges_paper` has the condition encoder of the paper's text."""
    return {f"control-{name}": functools.partial(control_stage, name) for name in CONTROLS}


def control_stage(name: str) -> Stage[Any]:
    from .control import make_stage  # reads the training core

    return make_stage(name)
