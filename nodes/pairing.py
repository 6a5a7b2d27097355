"""What each annotator of ControlNet draws, for the list of files that fit it."""

from __future__ import annotations

from collections.abc import Mapping

from .host.pairing.files import Condition
from .node_classes import ANNOTATOR_NODES

__all__ = ["conditions"]


def conditions() -> Mapping[str, Condition]:
    """By the name of the annotator."""
    return {name: Condition(node.net_names, node.union_type) for name, node in ANNOTATOR_NODES.items()}
