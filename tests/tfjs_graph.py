"""Run a published graph of TensorFlow.js node by node, in numpy and float64, and write files of its form.

What the pack makes of such a file is compared with this: it shares no line with the networks or the reader of
`zeroctl_core`. It knows the operations of MoveNet's graph and no others.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

STORED = {"float16": "<f2", "float32": "<f4", "int32": "<i4", "uint8": "u1"}
Attributes = Mapping[str, Any]


def published_weights(path: Path) -> dict[str, np.ndarray]:
    """Name -> array; floats as float64. Of a graph, or of a list of weights alone."""
    model = json.loads(path.read_text(encoding="utf-8"))
    arrays = {}
    for group in model if isinstance(model, list) else model["weightsManifest"]:
        content, begin = b"".join((path.parent / name).read_bytes() for name in group["paths"]), 0
        for entry in group["weights"]:
            packed = entry.get("quantization", {})
            stored = np.dtype(STORED[packed.get("dtype", entry["dtype"])])
            array = np.frombuffer(content, stored, int(np.prod(entry["shape"])), begin).reshape(entry["shape"])
            begin += array.nbytes
            array = array.astype(np.int64 if entry["dtype"] == "int32" else np.float64)
            arrays[entry["name"]] = array * packed["scale"] + packed["min"] if "scale" in packed else array
    return arrays


def run_graph(path: Path, picture: np.ndarray) -> np.ndarray:
    """The output of a graph with one input and one output, for [1, H, W, 3]."""
    nodes = {node["name"]: node for node in json.loads(path.read_text(encoding="utf-8"))["modelTopology"]["node"]}
    values: dict[str, Any] = dict(published_weights(path))

    def value(reference: str) -> Any:
        name, _, number = reference.partition(":")
        if name not in values:
            node = nodes[name]
            inputs = [value(entry) for entry in node.get("input", ())]
            values[name] = (
                picture if node["op"] == "Placeholder" else OPERATIONS[node["op"]](node.get("attr", {}), *inputs)
            )
        output = values[name]
        return output[int(number or 0)] if isinstance(output, (tuple, list)) else output

    return value("Identity")


def _ints(attributes: Attributes, name: str) -> list[int]:
    return [int(number) for number in attributes[name]["list"]["i"]]


def _int(attributes: Attributes, name: str) -> int:
    return int(attributes[name]["i"])


def _text(entry: str) -> str:
    return base64.b64decode(entry).decode()


def _padded(attributes: Attributes, x: np.ndarray, kernel: tuple[int, ...], stride: int, fill: float = 0) -> Tensor:
    """[B, H, W, C] -> [B, C, H', W'], padded as TensorFlow does: the odd pixel below and to the right."""
    both = []
    for side, size in zip(x.shape[1:3], kernel, strict=True):
        total = max((-(-side // stride) - 1) * stride + size - side, 0)
        both.append((total // 2, total - total // 2) if _text(attributes["padding"]["s"]) == "SAME" else (0, 0))
    padded = np.pad(x, ((0, 0), both[0], both[1], (0, 0)), constant_values=fill)
    return torch.from_numpy(np.ascontiguousarray(padded.transpose(0, 3, 1, 2)))


def _activated(attributes: Attributes, y: np.ndarray, bias: tuple[np.ndarray, ...]) -> np.ndarray:
    steps = [_text(step) for step in attributes["fused_ops"]["list"]["s"]] if "fused_ops" in attributes else []
    for step in steps:
        y = {
            "BiasAdd": lambda y: y + bias[0],
            "Relu": lambda y: np.maximum(y, 0),
            "Relu6": lambda y: np.clip(y, 0, 6),
        }[step](y)
    return y


def _conv(attributes: Attributes, x: np.ndarray, kernel: np.ndarray, *bias: np.ndarray) -> np.ndarray:
    stride = _ints(attributes, "strides")[1]
    weight = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
    y = F.conv2d(_padded(attributes, x, kernel.shape[:2], stride), weight, stride=stride)
    return _activated(attributes, y.numpy().transpose(0, 2, 3, 1), bias)


def _depthwise(attributes: Attributes, x: np.ndarray, kernel: np.ndarray, *bias: np.ndarray) -> np.ndarray:
    stride = _ints(attributes, "strides")[1]
    weight = torch.from_numpy(np.ascontiguousarray(kernel.transpose(2, 3, 0, 1)))
    y = F.conv2d(_padded(attributes, x, kernel.shape[:2], stride), weight, stride=stride, groups=x.shape[3])
    return _activated(attributes, y.numpy().transpose(0, 2, 3, 1), bias)


def _max_pool(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    size = _ints(attributes, "ksize")[1]
    y = F.max_pool2d(_padded(attributes, x, (size, size), 1, fill=-np.inf), size, stride=1)
    return y.numpy().transpose(0, 2, 3, 1)


def _bilinear(attributes: Attributes, x: np.ndarray, size: np.ndarray) -> np.ndarray:
    """By the centres of pixels, without corners on corners."""
    assert attributes["half_pixel_centers"]["b"] and not attributes["align_corners"]["b"]
    for axis, target in ((1, int(size[0])), (2, int(size[1]))):
        places = np.clip((np.arange(target) + 0.5) * x.shape[axis] / target - 0.5, 0, x.shape[axis] - 1)
        low = np.floor(places).astype(int)
        shape = [-1 if other == axis else 1 for other in range(4)]
        part = (places - low).reshape(shape)
        x = x.take(low, axis) * (1 - part) + x.take(np.minimum(low + 1, x.shape[axis] - 1), axis) * part
    return x


def _slice(attributes: Attributes, x: np.ndarray, begin: np.ndarray, end: np.ndarray, step: np.ndarray) -> np.ndarray:
    masks = {name: _int(attributes, f"{name}_mask") for name in ("begin", "end", "new_axis", "shrink_axis", "ellipsis")}
    assert not masks["ellipsis"]
    places: list[Any] = []
    for bit in range(len(begin)):
        on = {name for name, mask in masks.items() if mask >> bit & 1}
        if "new_axis" in on:
            places.append(None)
        elif "shrink_axis" in on:
            places.append(int(begin[bit]))
        else:
            first, last = (None if name in on else int(at[bit]) for name, at in (("begin", begin), ("end", end)))
            places.append(slice(first, last, int(step[bit])))
    return np.asarray(x)[tuple(places)]


def _top(attributes: Attributes, x: np.ndarray, count: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(-x, axis=-1, kind="stable")[..., : int(count)]
    return [np.take_along_axis(x, order, -1), order]


def _cast(attributes: Attributes, x: np.ndarray) -> np.ndarray:
    return np.asarray(x).astype(np.float64 if attributes["DstT"]["type"] == "DT_FLOAT" else np.int64)


def _axes(axis: np.ndarray) -> tuple[int, ...]:
    return tuple(np.atleast_1d(axis).tolist())


def _unpack(attributes: Attributes, x: np.ndarray) -> list[np.ndarray]:
    axis = _int(attributes, "axis")
    return [part.squeeze(axis) for part in np.split(x, _int(attributes, "num"), axis)]


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda attributes, *inputs: function(*inputs)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "_FusedConv2D": _conv,
    "FusedDepthwiseConv2dNative": _depthwise,
    "DepthwiseConv2dNative": _depthwise,
    "MaxPool": _max_pool,
    "ResizeBilinear": _bilinear,
    "StridedSlice": _slice,
    "TopKV2": _top,
    "Cast": _cast,
    "Unpack": _unpack,
    "Squeeze": lambda attributes, x: x.squeeze(tuple(_ints(attributes, "squeeze_dims"))),
    "Pack": lambda attributes, *parts: np.stack(parts, _int(attributes, "axis")),
    "Split": lambda attributes, axis, x: np.split(x, _int(attributes, "num_split"), int(axis)),
    "ConcatV2": lambda attributes, *parts: np.concatenate(parts[:-1], int(parts[-1])),
    "ArgMax": lambda attributes, x, axis: x.argmax(int(axis)),
    "Identity": _plain(lambda x: x),
    "Abs": _plain(np.abs),
    "AddV2": _plain(np.add),
    "AddN": _plain(lambda *parts: sum(parts[1:], parts[0])),
    "Equal": _plain(np.equal),
    "Exp": _plain(np.exp),
    "ExpandDims": _plain(lambda x, axis: np.expand_dims(x, int(axis))),
    "Fill": _plain(lambda shape, x: np.full(_axes(shape), x)),
    "FloorDiv": _plain(np.floor_divide),
    "GatherNd": _plain(lambda x, places: x[tuple(np.moveaxis(places, -1, 0))]),
    "Greater": _plain(np.greater),
    "GreaterEqual": _plain(np.greater_equal),
    "Less": _plain(np.less),
    "LogicalAnd": _plain(np.logical_and),
    "Max": _plain(lambda x, axis: x.max(_axes(axis))),
    "Maximum": _plain(np.maximum),
    "Minimum": _plain(np.minimum),
    "Mul": _plain(np.multiply),
    "Range": _plain(lambda start, end, step: np.arange(float(start), float(end), float(step))),
    "RealDiv": _plain(np.divide),
    "Reciprocal": _plain(np.reciprocal),
    "Reshape": _plain(lambda x, shape: np.reshape(x, _axes(shape))),
    "Select": _plain(np.where),
    "Shape": _plain(lambda x: np.array(np.shape(x))),
    "Sigmoid": _plain(lambda x: 1 / (1 + np.exp(-x))),
    "Size": _plain(np.size),
    "SquaredDifference": _plain(lambda x, y: (x - y) ** 2),
    "Sub": _plain(np.subtract),
    "Sum": _plain(lambda x, axis: x.sum(_axes(axis))),
    "Tile": _plain(np.tile),
}


def write_tfjs(path: Path, weights: Mapping[str, Tensor], *, stored: str = "float16") -> Path:
    """A list of weights and, beside it, the file of their bytes; floats are stored as float16, float32 or uint8."""
    entries, content = [], b""
    for name, tensor in weights.items():
        entry: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": "float32"}
        if not tensor.is_floating_point():
            entry["dtype"], array = "int32", tensor.numpy().astype("<i4")
        elif stored == "uint8":
            least, scale = tensor.min().item(), max((tensor.max() - tensor.min()).item() / 255, 1e-9)
            entry["quantization"] = {"dtype": "uint8", "min": least, "scale": scale}
            array = ((tensor - least) / scale).round().clamp(0, 255).numpy().astype("u1")
        else:
            if stored == "float16":
                entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            array = tensor.numpy().astype(STORED[stored])
        entries.append(entry)
        content += array.tobytes()
    binary = path.with_suffix(".bin")
    binary.write_bytes(content)
    model = {"format": "graph-model", "weightsManifest": [{"paths": [binary.name], "weights": entries}]}
    path.write_text(json.dumps(model), encoding="utf-8")
    return path
