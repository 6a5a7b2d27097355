"""The nodes of the annotators, by the names that lists of annotators have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.network.union_controlnet import UNION_TYPES

from . import annotate, pose, segment
from .host.schema import ComfyNode

__all__ = ["ANNOTATOR_NODES", "AnnotatorNode"]


@dataclass(frozen=True)
class AnnotatorNode:
    """How a condition is made by a node: its class, and which of its sockets take the picture and the mask.

    resizable: whether it is made at the size of the picture to generate; others are read pixel by pixel.
    union_type: of the condition, for a union net; None: no union was trained on it. net_names: what names of files of
    nets for it have in them, the best first.
    unused: settings of other outputs than the condition.
    """

    node: type[ComfyNode]
    _: KW_ONLY
    picture: str = "image"
    takes_mask: bool = False
    resizable: bool = True
    union_type: int | None = None
    net_names: tuple[str, ...] = ()
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
            union_type=entry.union_type,
            net_names=entry.net_names,
            unused=UNUSED.get(name, frozenset()),
        )
        for name, entry in ANNOTATORS.items()
    }
    nodes["pose"] = AnnotatorNode(
        pose.ZeroctlPose,
        union_type=UNION_TYPES.index("openpose"),
        net_names=("openpose", "dwpose", "pose"),
        unused=frozenset({"keypoints_as"}),
    )
    return dict(sorted(nodes.items()))


ANNOTATOR_NODES: Mapping[str, AnnotatorNode] = _annotator_nodes()
