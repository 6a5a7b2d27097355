"""The stages in which the model of the things is made, one a file. Each reads the files of those before it."""

from __future__ import annotations

from typing import Any

from ...stages.stage import Stage
from .autoencoder import AUTOENCODER
from .base import BASE
from .controls import CONTROLS, control_stage
from .judge import JUDGE

_IN_ORDER: list[Stage[Any]] = [AUTOENCODER, JUDGE, BASE, *map(control_stage, CONTROLS)]

STAGES = {stage.name: stage for stage in _IN_ORDER}
"""Name -> stage, in their order."""
