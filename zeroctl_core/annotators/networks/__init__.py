"""The networks of annotators of kind `model`, one architecture a file. `run_net` feeds them, `loading` fills them."""

from __future__ import annotations

from ...registry import import_files_of
from .network import NETWORKS, Network

import_files_of(__name__, __path__)

__all__ = ["NETWORKS", "Network"]
