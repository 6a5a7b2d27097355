"""Writing safetensors a tensor at a time: of tensors on a device, one at a time is in memory."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .safetensors_file import DTYPES, HEADER_BYTES

NAMES = {dtype: name for name, attribute in DTYPES.items() if (dtype := getattr(torch, attribute, None)) is not None}


def stream_safetensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    dtype: torch.dtype | None = None,
) -> str:
    """Write tensors of any layout and device to a file; its SHA-256, 64 hexadecimal digits.

    `dtype` is that of all in the file; None: each keeps its own.

    The same content gives the same bytes, where safetensors orders the metadata anew at every call; and nothing is
    written beside the file, where safetensors has a name of its own that stays after a kill.

    The file has the rights of any new file. Raises `OSError` where the disk is full.
    """
    # wider numbers first, so that each begins at a multiple of its width
    names = sorted(tensors, key=lambda name: (-_element_size(tensors[name], dtype), name))
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name in names:
        tensor = tensors[name]
        begin, end = end, end + _element_size(tensor, dtype) * math.prod(tensor.shape)
        header[name] = {
            "dtype": NAMES[dtype or tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % HEADER_BYTES)
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(part: bytes | memoryview) -> None:
            digest.update(part)
            file.write(part)

        write(len(text).to_bytes(HEADER_BYTES, "little"))
        write(text)
        # one buffer for all: an allocation for each tensor leaves holes that the system does not get back
        largest = max((n_bytes_of({name: tensor}, dtype) for name, tensor in tensors.items()), default=0)
        buffer = torch.empty(largest, dtype=torch.uint8)
        for name in names:
            write(_in_order(tensors[name].detach(), buffer, dtype or tensors[name].dtype).numpy().data)
    return digest.hexdigest()


def n_bytes_of(tensors: Mapping[str, Tensor], dtype: torch.dtype | None = None) -> int:
    """Of the tensors of a file, which is larger by its header."""
    return sum(tensor.numel() * _element_size(tensor, dtype) for tensor in tensors.values())


def _element_size(tensor: Tensor, dtype: torch.dtype | None) -> int:
    return tensor.element_size() if dtype is None else torch.empty(0, dtype=dtype).element_size()


def _in_order(tensor: Tensor, buffer: Tensor, dtype: torch.dtype) -> Tensor:
    """The bytes of a tensor, row by row: its own where they lie so, else in the buffer."""
    if tensor.device.type == "cpu" and tensor.is_contiguous() and tensor.dtype == dtype:
        return tensor.flatten().view(torch.uint8)
    flat = buffer[: n_bytes_of({"": tensor}, dtype)]
    flat.view(dtype).view(tensor.shape).copy_(tensor)
    return flat
