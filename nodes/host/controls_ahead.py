"""The nets that the weights of a node are meant for, where the graph names their files: found before any is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroctl_core.bases import Base
from zeroctl_core.checkpoint.control import load_control
from zeroctl_core.checkpoint.of_model import is_of_model, load_of_model
from zeroctl_core.network.t2i_adapter import AdapterBase

from .on_canvas import canvas_node
from .paths import controlnet_path

__all__ = ["bases_ahead"]

LOADERS = ("ZeroctlLoadControlNet", "ControlNetLoader")


def bases_ahead() -> dict[str, Base | AdapterBase]:
    """By the name of its file, the base of each net that a control uses with the weights of the node that is being run.

    Files that are not there or cannot be read are left out: their loader says why.
    """
    here = canvas_node()
    if here is None:
        return {}
    bases = {}
    for name in here.graph.all_node_ids():
        node = here.graph.get_node(name)
        inputs = node.get("inputs", {})
        if node.get("class_type") == "ZeroctlControl" and _source(inputs, "weights") == here.inner:
            file = _file(here.graph, inputs)
            base = _base(file) if file and inputs.get("enabled") is not False else None
            if base is not None:
                bases[file] = base
    return bases


def _source(inputs: Mapping[str, Any], name: str) -> str:
    link = inputs.get(name)
    return str(link[0]) if isinstance(link, list) and link else ""


def _file(graph: Any, inputs: Mapping[str, Any]) -> str:
    loader = _source(inputs, "control_net")
    node = graph.get_node(loader) if graph.has_node(loader) else {}
    name = node.get("inputs", {}).get("control_net_name") if node.get("class_type") in LOADERS else None
    return name if isinstance(name, str) else ""


def _base(file: str) -> Base | AdapterBase | None:
    try:
        path = controlnet_path(file)
        load = load_of_model if is_of_model(path) else load_control
        return load(path, check_finite=False).base
    except (OSError, ValueError):
        return None
