"""Which node of the canvas is being run: its id and its title, also where a graph of other nodes takes its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context

__all__ = ["CanvasNode", "canvas_node", "title_here"]


@dataclass(frozen=True)
class CanvasNode:
    """id: as the browser writes it, `5`, or `5:1` inside a subgraph. title: as its owner sees it, empty by the API.

    inner: id of the node that is being run; another one where that is part of the graph behind this node.
    graph: the host's DynamicPrompt of the run.
    """

    id: str
    title: str
    inner: str
    graph: Any


def canvas_node() -> CanvasNode | None:
    """The node of the canvas whose work is being done in this thread; None outside of a run."""
    context = get_executing_context()
    if context is None:
        return None
    graph = get_progress_state().dynprompt
    node_id = graph.get_display_node_id(context.node_id)
    if not graph.has_node(node_id):
        return None
    title = (graph.get_node(node_id).get("_meta") or {}).get("title") or ""
    return CanvasNode(node_id, str(title), context.node_id, graph)


def title_here(title: str) -> str:
    """The title that the canvas shows for the node that is being run; by the API, which has none, this one."""
    here = canvas_node()
    return (here and here.title) or title
