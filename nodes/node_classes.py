"""The nodes of the annotators, by the names that lists of annotators have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeroctl_core.annotators import ANNOTATORS

from . import annotate, pose, segment
from .host.schema import ComfyNode

__all__ = ["ANNOTATOR_NODES", "AnnotatorNode"]


@dataclass(frozen=True)
class AnnotatorNode:
    """How a condition is made by a node: its class, and which of its sockets take the picture and the mask.

    resizable: whether it is made at the size of the picture to generate; others are read pixel by pixel.
    unused: settings of other outputs than the condition.
    """

    node: type[ComfyNode]
    picture: str = "image"
    takes_mask: bool = False
    resizable: bool = True
    unused: frozenset[str] = frozenset()


UNUSED = {"segment": frozenset({"mask_class"})}


def _annotator_nodes() -> dict[str, AnnotatorNode]:
    classes = {node.__name__: node for node in (*annotate.NODES, *segment.NODES)}
    nodes = {
        name: AnnotatorNode(
            classes[entry.node_id],
            picture=entry.takes,
            takes_mask=entry.kind == "masked",
            resizable=entry.resizable,
            unused=UNUSED.get(name, frozenset()),
        )
        for name, entry in ANNOTATORS.items()
    }
    nodes["pose"] = AnnotatorNode(pose.ZeroctlPose, unused=frozenset({"keypoints_as"}))
    return dict(sorted(nodes.items()))


ANNOTATOR_NODES: Mapping[str, AnnotatorNode] = _annotator_nodes()
