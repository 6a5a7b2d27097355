"""The stages in which the embedded model is made, one a file. Each reads the files of those before it."""

from __future__ import annotations

from typing import Any

from .autoencoder import AUTOENCODER
from .base import BASE
from .judge import JUDGE
from .stage import Stage

STAGES: tuple[Stage[Any], ...] = (AUTOENCODER, JUDGE, BASE)
"""In their order; the controls follow, by `zeroctl_core.train`."""
