"""From the names of MoveNet's published graph of TensorFlow.js to those of our network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

GRAPH = "StatefulPartitionedCall/"
EXTRACTOR = f"{GRAPH}center_net_mobile_net_v2fpn_feature_extractor/model_1/"

BLOCKS = 17
POINTS = 17
HEADS = {
    "center": 1,
    "box_scale": 2,
    "box_offset": 2,
    "kpt_heatmap": POINTS,
    "kpt_regress": 2 * POINTS,
    "kpt_offset": 2 * POINTS,
}
"""Channels of each head, in the order in which TensorFlow numbers their layers. Of two, y or the height comes first."""

SCALE = 0.007843017578125
"""1 / 127.5, as float16 has it."""

NUMBERS = {
    0.0: (
        *("Reshape", "Maximum/y", "range_1/start", "range_2/start", "zeros_like", "clip_by_value/y"),
        *(f"clip_by_value_{number}/y" for number in range(1, 5)),
    ),
    1.0: (
        *("sub_1/y", "clip_by_value_4/Minimum/y", "Maximum_1/y", "range_1/delta", "range_2/delta"),
        "meshgrid/ones/Const",
    ),
    -1.0: ("mul_7/x",),
    4.0: ("mul_5/y", "truediv_8/x", "truediv_9/x"),
    SCALE: ("truediv",),
    1e-6: ("Less/y",),
    0.3: ("mul_6/y",),
    0.127: ("Greater_1/y",),
}
"""What the graph computes with besides weights; our network and `decode_people` compute with the same."""

HALVES = tuple(f"ConstantFolding/{GRAPH}truediv_{number}_recip" for number in range(2, 6))


def weights_of_graph(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the graph under our names: height, width, in, out -> out, in, height, width.

    Sizes and indices of the graph, all of them whole numbers, are left out. What else is there keeps its name, so that
    whoever compares with our network finds what is too much and what is missing.
    Raises `ValueError` where the graph computes with another number than ours.
    """
    rest = {name: tensor for name, tensor in tensors.items() if tensor.is_floating_point()}
    weights = {}
    for key, name in published_names():
        if name in rest:
            weights[key] = _turned(key, rest.pop(name))
    for name, number in _numbers():
        if name in rest and not torch.allclose(tensor := rest.pop(name), torch.tensor(number), rtol=2e-2, atol=0):
            raise ValueError(f"{name} is {tensor.flatten()[0].item():g} instead of {number:g}: another version")
    return weights | rest


def published_names() -> Iterator[tuple[str, str]]:
    """Our name and the graph's of every weight. A batch norm is folded into its convolution: its offset is the bias."""
    yield from _folded("stem", "Conv1/Conv2D")
    for index in range(BLOCKS):
        block = f"block_{index}" if index else "expanded_conv"
        if index:
            yield from _folded(f"blocks.{index}.expand", f"{block}_expand/Conv2D")
        yield from _folded(f"blocks.{index}.depthwise", f"{block}_depthwise/depthwise")
        yield from _folded(f"blocks.{index}.project", f"{block}_project/Conv2D")
    yield from _folded("last", "Conv_1/Conv2D")
    for index in range(4):
        yield from _plain(f"laterals.{index}", f"{EXTRACTOR}{_numbered('conv2d', index)}")
    for index in range(3):
        merge = f"{EXTRACTOR}{_numbered('separable_conv2d', index)}/separable_conv2d"
        yield f"merges.{index}.depthwise.weight", f"{merge}/ReadVariableOp"
        yield f"merges.{index}.pointwise.weight", f"{merge}_weights"
        yield f"merges.{index}.pointwise.bias", f"{merge}_bn_offset"
    for number, head in enumerate(HEADS, start=3):
        conv = f"{GRAPH}{head}_0/separable_conv2d_{number}"
        yield f"heads.{head}.conv.depthwise.weight", f"{conv}/separable_conv2d/ReadVariableOp"
        yield f"heads.{head}.conv.pointwise.weight", f"{conv}/separable_conv2d/ReadVariableOp_1"
        yield f"heads.{head}.conv.pointwise.bias", f"{conv}/BiasAdd/ReadVariableOp"
        yield from _plain(f"heads.{head}.out", f"{GRAPH}{head}_0/conv2d_{number + 1}")


def _folded(key: str, name: str) -> Iterator[tuple[str, str]]:
    yield f"{key}.weight", f"{EXTRACTOR}model/{name}_weights"
    yield f"{key}.bias", f"{EXTRACTOR}model/{name}_bn_offset"


def _plain(key: str, name: str) -> Iterator[tuple[str, str]]:
    yield f"{key}.weight", f"{name}/Conv2D/ReadVariableOp"
    yield f"{key}.bias", f"{name}/BiasAdd/ReadVariableOp"


def _numbered(name: str, number: int) -> str:
    """TensorFlow's name of the n-th layer of a kind."""
    return f"{name}_{number}" if number else name


def _turned(key: str, weight: Tensor) -> Tensor:
    if weight.ndim != 4:
        return weight
    # of a depthwise convolution, the third dimension counts the channels and the fourth is 1
    order = (2, 3, 0, 1) if "depthwise" in key else (3, 2, 0, 1)
    return weight.permute(order).contiguous()


def _numbers() -> Iterator[tuple[str, float]]:
    for number, names in NUMBERS.items():
        yield from ((f"{GRAPH}{name}", number) for name in names)
    yield from ((name, 0.5) for name in HALVES)
