"""The V3 nodes. No arithmetic here: a node file imports `.host` and `zeroctl_core` only."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from .host.annotators.roots import add_folder
from .host.help_pages import serve_help_pages
from .host.live.route import serve_previews
from .host.pairing.route import serve_pairing
from .host.schema import ComfyExtension, ComfyNode
from .host.shown import send_what_was_shown

FAMILIES = (
    "control_net",
    "annotate",
    "segment",
    "pose",
    "hint_size",
    "load",
    "weights",
    "schedule",
    "union",
    "stack",
    "legacy",
    "apply",
    "train",
    "training",
    "demo",
)

log = logging.getLogger("zeroctl")


def _wanted(name: str, settings: str) -> Any:
    from .live import wanted  # a family that fails to load costs its own nodes, and this the previews

    return wanted(name, settings)


def _conditions() -> Any:
    from .pairing import conditions

    return conditions()


class ZeroctlExtension(ComfyExtension):
    """Every node of the pack. A file that cannot be imported, or a schema that this host refuses, costs only its own
    nodes."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        add_folder()
        send_what_was_shown()
        serve_previews(_wanted)
        serve_help_pages()
        serve_pairing(_conditions)
        nodes: list[type[ComfyNode]] = []
        for family in FAMILIES:
            try:
                family_nodes = importlib.import_module(f".{family}", __package__).NODES
            except Exception:
                log.exception("[zeroctl] the nodes of the family %r cannot be loaded on this host", family)
                continue
            for node in family_nodes:
                try:
                    node.GET_SCHEMA()
                except Exception:
                    log.exception("[zeroctl] the node %s cannot be loaded on this host", node.__name__)
                    continue
                nodes.append(node)
        return nodes
