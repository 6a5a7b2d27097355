"""Graphs of one annotator's node, and random weights for its network."""

from __future__ import annotations

from typing import Any

import torch
from host_graphs import node
from host_process import Host, Result
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS, Annotator
from zeroctl_core.annotators.networks import NETWORKS

SIZE = 96


def settings(annotator: Annotator, **changed: Any) -> dict[str, Any]:
    return {**{param.name: param.default for param in annotator.params}, **changed}


def annotated(host: Host, name: str, images: Tensor, mask: Tensor | None = None, **inputs: Any) -> Tensor:
    """The condition that an annotator's own node makes."""
    condition: Tensor = run_node(host, name, images, mask, **inputs)["map"]
    return condition


def run_node(host: Host, name: str, images: Tensor, mask: Tensor | None = None, **inputs: Any) -> Result:
    entry = ANNOTATORS[name]
    values = {**settings(entry), "resolution": 0, entry.takes: ["image", 0], **inputs}
    if entry.networks or entry.task:
        values.setdefault("download", False)
    graph = {"image": host.give(images), "map": node(entry.node_id, **values)}
    if mask is not None:
        graph["mask"] = host.give(mask)
        graph["map"]["inputs"]["mask"] = ["mask", 0]
    return host.run(graph, keep={"map": ["map", 0]})


def random_state(name: str) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: value.contiguous() for key, value in NETWORKS[name].build().state_dict().items()}
