"""The networks that annotators of kind `model` run. One architecture a file."""

from __future__ import annotations

from ...registry import import_files_of
from .network import NETWORKS, Network

import_files_of(__name__, __path__)

__all__ = ["NETWORKS", "Network"]
