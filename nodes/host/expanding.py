"""A node that stands for a graph of other nodes: the host runs those, and its cache keeps what did not change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from comfy_execution.graph_utils import GraphBuilder

from .schema import ComfyNode, NodeOutput, io
from .sockets import in_words

__all__ = ["HIDDEN", "Expansion", "one_of_each"]

HIDDEN = (io.Hidden.dynprompt, io.Hidden.unique_id)
"""What the schema of such a node names as hidden, beside `enable_expand` and `is_input_list`."""


def one_of_each(title: str, inputs: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """The values of a node that takes lists, each a list of one.

    The host gives the outputs of a graph back as one value each, and mixes those of several runs up.
    Raises `ValueError` for a list of another length, with the name of its input.
    """
    for name, values in inputs.items():
        if len(values) != 1:
            raise ValueError(
                f"{name} is a list of {len(values)}, expected one: {title} is run once. Make a batch of its pictures, "
                "or use the nodes that it stands for, which take lists: an annotator, Load ControlNet (strict), "
                "ControlNet Control and Apply ControlNets to Model."
            )
    return {name: values[0] for name, values in inputs.items()}


class Expansion:
    """The graph that takes the place of a node in this run, each of its nodes wired to the links of that one."""

    def __init__(self, node: type[ComfyNode]) -> None:
        self._links: Mapping[str, Any] = node.hidden.dynprompt.get_node(node.hidden.unique_id)["inputs"]
        self._graph = GraphBuilder()

    def link(self, name: str) -> Any:
        """What is wired to this input of the node, for an input of the graph; None where nothing is.

        Raises `ValueError` for a value without a link, which no other node could take.
        """
        link = self._links.get(name)
        if link is not None and not isinstance(link, list):
            raise ValueError(f"{name} is {in_words(link)}, expected a link to another node. Connect one.")
        return link

    def add(self, name: str, node_id: str, inputs: Mapping[str, Any], output: int = 0) -> Any:
        """The link to an output of a node of the graph, which is added under `name` where it is not there yet."""
        return self._graph.node(node_id, id=name, **inputs).out(output)

    def outputs(self, *outputs: Any, ui: Any = None) -> NodeOutput:
        """The outputs of the node, links of the graph or of its own inputs, or values. ui: what it shows itself."""
        return NodeOutput(*outputs, expand=self._graph.finalize(), ui=ui)
