"""The safetensors format: the length of a header, the header with the place of every tensor, the tensors' bytes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from .checkpoint_error import CheckpointError
from .key_faults import LONGEST_REASON, short
from .zeros import FEWEST_ZEROS, zeros_begin

HEADER_BYTES = 8
"""A file starts with the length of its JSON header as a little-endian 64-bit number."""
LONGEST_HEADER = 100_000_000
"""Bytes, by the format's definition. The first eight bytes of a pickle or a zip file are a far larger number."""
MOST_TENSORS = 50_000
"""More than ten times what the largest network of these kinds has; a file with more keeps a loader busy for minutes."""
PART = 1 << 24

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
}
"""Name in a header -> name in torch, which an older torch may lack."""


@dataclass(frozen=True)
class Place:
    """Where the bytes of a tensor lie in the file, and what they are."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


def header_length(start: bytes) -> int:
    return int(struct.unpack("<Q", start[:HEADER_BYTES])[0])


def open_safetensors(path: Path, size: int, *, mapped: bool) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file in the order of their bytes, and the strings of its header.

    Mapped tensors are the file's own pages; others are read into memory of their own, which takes no more than the
    file is large. Raises `CheckpointError` for a header that does not describe the file, and for a file that ends in
    zeros where a tensor should go on.
    """
    places, metadata = read_header(path, size)
    _check_end(path, size, places)
    if not mapped:
        return _read(path, places), metadata
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {key: file.get_tensor(key) for key in places}, metadata
    except OSError as error:
        raise CheckpointError(
            f"{short(path.name)} cannot be mapped ({short(str(error))}); load it with mapped=False"
        ) from error


def read_header(path: Path, size: int) -> tuple[dict[str, Place], dict[str, str]]:
    """Key -> place, in the order of the bytes, and the header's strings.

    Raises `CheckpointError` unless the tensors lie one after the other, without gaps, to the end of the file.
    """
    with path.open("rb") as file:
        length = header_length(file.read(HEADER_BYTES))
        if length > size - HEADER_BYTES:
            raise CheckpointError(
                f"{short(path.name)} is cut off: its header should be {length} bytes long, the whole file is {size}; "
                "download it again"
            )
        text = file.read(length)
    if (number := text.count(b'"data_offsets"')) > MOST_TENSORS:
        raise CheckpointError(
            f"{short(path.name)} holds {number} tensors; no network that is read here has more than {MOST_TENSORS}"
        )
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_repeats)
        metadata = header.pop("__metadata__", {})
        if not all(isinstance(value, str) for value in metadata.values()):
            raise ValueError("its metadata are not strings")
        start = HEADER_BYTES + length
        places = {key: _place(key, entry, start) for key, entry in header.items()}
        places = dict(sorted(places.items(), key=lambda item: (item[1].begin, item[1].end)))
        end = start
        for key, place in places.items():
            if place.begin != end:
                raise ValueError(f"{short(key)} begins at byte {place.begin} and not at {end}")
            end = place.end
        if end != size:
            raise ValueError(f"its tensors end at byte {end}, the file at {size}")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{short(path.name)} cannot be read as safetensors ({short(str(error), LONGEST_REASON)}); it is cut off or "
            "damaged: download it again"
        ) from error
    return places, metadata


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raises `ValueError` for a key that is there twice."""
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key of its header is there twice")
    return result


def _place(key: str, entry: Mapping[str, Any], start: int) -> Place:
    """One entry of a header, checked. Raises `ValueError`, or what Python raises for an entry of another form."""
    if set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {short(key)} is not dtype, shape and data_offsets")
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"the numbers of {short(key)} are not whole numbers from 0 on")
    dtype = getattr(torch, DTYPES.get(entry["dtype"], ""), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{short(key)} has the dtype {short(str(entry['dtype']))}, which is not read here")
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(
            f"{short(key)} has {end - begin} bytes, its shape {short(str(list(shape)))} needs another number"
        )
    return Place(dtype, shape, start + begin, start + end)


def _check_end(path: Path, size: int, places: Mapping[str, Place]) -> None:
    """Refuse zeros that begin inside a tensor and reach the end of the file: the rest was reserved and never fetched.

    Zero convolutions that were never trained are zero from their first byte on.
    """
    begin = zeros_begin(path, size)
    for key, place in places.items():
        if place.begin < begin <= place.end - FEWEST_ZEROS:
            raise CheckpointError(
                f"the download of {short(path.name)} is not complete: from the middle of {short(key)} on, the last "
                f"{size - begin} of its {size} bytes are zeros. Download it again"
            )


def _read(path: Path, places: Mapping[str, Place]) -> dict[str, Tensor]:
    """Every tensor in memory of its own, which nothing that happens to the file can change."""
    tensors: dict[str, Tensor] = {}
    with path.open("rb", buffering=0) as file:
        for key, place in places.items():
            tensor = torch.empty(place.shape, dtype=place.dtype)
            file.seek(place.begin)
            rest = _bytes_of(tensor)
            while rest:
                count = file.readinto(rest[:PART])
                if not count:
                    raise CheckpointError(f"{short(path.name)} was cut off while it was read; load it again")
                rest = rest[count:]
            tensors[key] = tensor
    return tensors


def _bytes_of(tensor: Tensor) -> memoryview:
    if tensor.numel() == 0:
        return memoryview(b"")
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
