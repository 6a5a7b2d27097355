"""Weights of TensorFlow.js: a JSON text that lists them, and files beside it that hold their bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .checkpoint_error import CheckpointError, checkpoint_errors
from .key_faults import short

LONGEST_LIST = 1 << 24
"""Bytes of the JSON text; that of a network with 300 weights and its graph has a quarter of a million."""
MOST_TENSORS, MOST_FILES = 50_000, 1_000
DTYPES = {"float32": "<f4", "int32": "<i4"}
STORED_AS = {"float16": "<f2", "uint8": "u1", "uint16": "<u2"}
"""How floats may be stored; whole numbers stand for number * scale + min."""


def open_tfjs_file(path: Path) -> dict[str, Tensor]:
    """Name -> tensor, float32 or int32 in memory of its own, of a graph model or of a list of weights alone.

    The bytes lie in files that the text names, in its own folder. The graph is not read, and nothing is run.

    Source: `weightsManifest` and `quantization` in tfjs-core's io/types.ts and io/io_utils.ts.

    Raises `FileNotFoundError` for a missing text, `CheckpointError` for a missing file beside it, for one outside its
    folder, and wherever list and bytes are not exactly of one another.
    """
    with checkpoint_errors(path, "read as weights of TensorFlow.js"):
        tensors: dict[str, Tensor] = {}
        for group in _groups(path):
            entries = group["weights"]
            sizes = [_size(entry) for entry in entries]
            content = _content(path, group["paths"], sum(sizes))
            begin = 0
            for entry, size in zip(entries, sizes, strict=True):
                if entry["name"] in tensors:
                    raise ValueError(f"{short(entry['name'])} is listed twice")
                tensors[entry["name"]] = _tensor(entry, content[begin : begin + size])
                begin += size
        if not tensors:
            raise ValueError("it lists no weights")
        return tensors


def _groups(path: Path) -> Sequence[Mapping[str, Any]]:
    if path.stat().st_size > LONGEST_LIST:
        raise ValueError(f"it has {path.stat().st_size} bytes; expected a list of weights of at most {LONGEST_LIST}")
    value = json.loads(path.read_bytes().decode("utf-8"))
    groups: Any = value.get("weightsManifest") if isinstance(value, dict) else value
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise ValueError("it has no weightsManifest")
    if sum(len(group["weights"]) for group in groups) > MOST_TENSORS:
        raise ValueError(f"it lists more than {MOST_TENSORS} weights")
    if sum(len(group["paths"]) for group in groups) > MOST_FILES:
        raise ValueError(f"it lists more than {MOST_FILES} files")
    return groups


def _stored(entry: Mapping[str, Any]) -> np.dtype[Any]:
    """How the numbers of a weight lie in the file."""
    quantization = entry.get("quantization")
    if quantization is None:
        stored = DTYPES.get(entry["dtype"])
    else:
        stored = STORED_AS.get(quantization["dtype"]) if entry["dtype"] == "float32" else None
    if stored is None:
        kind = entry["dtype"] if quantization is None else f"{entry['dtype']} stored as {quantization['dtype']}"
        raise ValueError(f"{short(entry['name'])} is {short(kind)}, which is not read here")
    return np.dtype(stored)


def _size(entry: Mapping[str, Any]) -> int:
    """Bytes of a weight."""
    shape = entry["shape"]
    if not isinstance(entry["name"], str) or not isinstance(shape, list):
        raise ValueError("a weight has no name or no shape")
    if not all(type(number) is int and number >= 0 for number in shape):
        raise ValueError(f"the shape of {short(entry['name'])} is {short(str(shape))}; expected whole numbers from 0")
    return math.prod(shape) * _stored(entry).itemsize


def _content(path: Path, names: Sequence[Any], size: int) -> bytes:
    """The bytes of one group: its files, one after the other."""
    files = [path.with_name(_checked(name)) for name in names]
    for file in files:
        if not file.is_file():
            raise CheckpointError(
                f"{short(path.name)} names the file {short(file.name)}, which is not beside it; put both into one "
                "folder, under their published names"
            )
    if (own := sum(file.stat().st_size for file in files)) != size:
        raise ValueError(f"{short(', '.join(map(str, names)))}: {own} bytes, its weights need {size}")
    content = b"".join(file.read_bytes() for file in files)
    if len(content) != size:
        raise ValueError("a file changed while it was read")
    return content


def _checked(name: Any) -> str:
    """Raises `ValueError` for a name that could lead out of the folder."""
    if not isinstance(name, str) or name in ("", ".", "..") or any(sign in name for sign in "/\\:\0"):
        raise ValueError(f"it names the file {short(str(name))!r}; expected a name without a folder")
    return name


def _tensor(entry: Mapping[str, Any], content: bytes) -> Tensor:
    array = np.frombuffer(content, _stored(entry)).reshape(entry["shape"])
    if entry["dtype"] == "int32":
        return torch.from_numpy(array.astype(np.int32))
    numbers = array.astype(np.float32)
    if array.dtype.kind == "u":
        scale, least = (float(entry["quantization"][key]) for key in ("scale", "min"))
        if not (math.isfinite(scale) and math.isfinite(least)):
            raise ValueError(f"{short(entry['name'])} is scaled by {scale} from {least}")
        numbers = numbers * np.float32(scale) + np.float32(least)
    return torch.from_numpy(numbers)
