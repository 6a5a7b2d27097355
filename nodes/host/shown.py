"""What nodes show on the canvas: together where a graph of several stands behind one, and again where the host's cache
has what they made.

The host tells the browser what a node shows when it runs it. A page that was opened since then knows nothing of a node
that is not run again, and of several nodes behind one the browser keeps what the last has shown.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from server import PromptServer

from .on_canvas import canvas_node

__all__ = ["send_what_was_shown", "shown"]

MOST_KEPT = 512
"""Nodes of which it is kept what they show: a text and names of pictures each."""


class Kept:
    """What nodes have shown, by their ids, each with what the node was made of. The oldest are dropped."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, tuple[str, dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, node_id: str, origin: str, ui: dict[str, Any]) -> None:
        with self._lock:
            self._entries.pop(node_id, None)
            self._entries[node_id] = (origin, ui)
            while len(self._entries) > MOST_KEPT:
                self._entries.popitem(last=False)

    def get(self, node_id: str, node_of: Callable[[str], Any]) -> dict[str, Any]:
        """What the node has shown when it and all before it were as they are now; empty where it has not."""
        with self._lock:
            origin, ui = self._entries.get(node_id, ("", {}))
        return ui if origin and origin == _origin(node_of, node_id) else {}


LARGEST_NUMBER = 2**63
"""Of whole numbers that are compared with fractions; there may be larger ones in a request."""

_of_nodes, _on_canvas = Kept(), Kept()


def shown(ui: Mapping[str, Any]) -> dict[str, Any]:
    """The `ui` of the node that is being run: this, and what others have shown on the same node of the canvas."""
    here = canvas_node()
    own = {name: list(values) for name, values in ui.items()}
    if here is None:
        return own

    def node_of(name: str) -> Any:
        return here.graph.get_node(name) if here.graph.has_node(name) else None

    _of_nodes.put(here.inner, _origin(node_of, here.inner), own)
    together: dict[str, Any] = {}
    for name in sorted(here.graph.all_node_ids()):
        if here.graph.get_display_node_id(name) == here.id:
            together |= _of_nodes.get(name, node_of)
    together |= own
    _on_canvas.put(here.id, _origin(node_of, here.id), together)
    return together


def send_what_was_shown() -> None:
    """From now on tell the browser, whenever it queues a graph, what its nodes have shown, if they are as they were."""
    server = getattr(PromptServer, "instance", None)
    if server is not None and _send_again not in server.on_prompt_handlers:
        server.add_on_prompt_handler(_send_again)


def _send_again(request: dict[str, Any]) -> dict[str, Any]:
    prompt, client = request.get("prompt"), request.get("client_id")
    if isinstance(prompt, Mapping) and isinstance(client, str):
        for node_id in prompt:
            if ui := _on_canvas.get(node_id, prompt.get):
                message = {"node": node_id, "display_node": node_id, "output": ui, "prompt_id": ""}
                PromptServer.instance.send_sync("executed", message, client)
    return request


def _origin(node_of: Callable[[str], Any], node_id: str) -> str:
    """A digest of a node of a graph and of everything before it, whatever their titles are.

    A browser writes 1 where the host, which converts the inputs before it runs them, has 1.0.
    """
    nodes: dict[str, Any] = {}
    todo = [node_id]
    while todo:
        name = todo.pop()
        node = None if name in nodes else node_of(name)
        if not isinstance(node, Mapping):
            continue
        inputs = node.get("inputs")
        values = dict(inputs) if isinstance(inputs, Mapping) else {}
        todo += [link[0] for link in values.values() if isinstance(link, list) and link and isinstance(link[0], str)]
        nodes[name] = [node.get("class_type"), {key: _plain(value) for key, value in values.items()}]
    return hashlib.sha256(json.dumps(nodes, sort_keys=True, default=repr).encode()).hexdigest()


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, int) and abs(value) < LARGEST_NUMBER else value
