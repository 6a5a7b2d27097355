"""The safetensors format: the length of a header, the header with the place of every tensor, the tensors' bytes."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import safe_open
from torch import Tensor

from .checkpoint_error import CheckpointError
from .extremes import Extremes
from .key_faults import LONGEST_REASON, short
from .reading import Place, read_tensors
from .zeros import FEWEST_ZEROS, zeros_begin

HEADER_BYTES = 8
"""A file starts with the length of its JSON header as a little-endian 64-bit number."""
LONGEST_HEADER = 100_000_000
"""Bytes, by the format's definition. The first eight bytes of a pickle or a zip file are a far larger number."""
MOST_TENSORS = 50_000
"""More than ten times what the largest network of these kinds has; a file with more keeps a loader busy for minutes."""

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


def header_length(start: bytes) -> int:
    return int(struct.unpack("<Q", start[:HEADER_BYTES])[0])


def open_safetensors(
    file: BinaryIO, path: Path, size: int, *, mapped: bool
) -> tuple[dict[str, Tensor], dict[str, str], dict[int, Extremes]]:
    """The tensors of a file in the order of their bytes, the strings of its header, and the extremes of what was read.

    Mapped tensors are the file's own pages; others are read into memory of their own. Raises `CheckpointError` for a
    header that does not describe the file, and for a file that ends in zeros where a tensor should go on.
    """
    places, metadata = read_header(file, path, size)
    _check_end(file, path, size, places)
    if not mapped:
        tensors, extremes = read_tensors(file, path, places)
        return tensors, metadata, extremes
    try:
        with safe_open(path, framework="pt", device="cpu") as mapping:
            return {key: mapping.get_tensor(key) for key in places}, metadata, {}
    except OSError as error:
        raise CheckpointError(
            f"{short(path.name)} cannot be mapped ({short(str(error))}); load it with mapped=False"
        ) from error


def open_header(file: BinaryIO, path: Path, size: int) -> tuple[dict[str, Tensor], dict[str, str]]:
    """As `open_safetensors`, with tensors on meta: their shapes and dtypes, without the weights.

    Raises `CheckpointError` as that does.
    """
    places, metadata = read_header(file, path, size)
    _check_end(file, path, size, places)
    return {key: torch.empty(place.shape, dtype=place.dtype, device="meta") for key, place in places.items()}, metadata


def read_header(file: BinaryIO, path: Path, size: int) -> tuple[dict[str, Place], dict[str, str]]:
    """Key -> place, in the order of the bytes, and the header's strings.

    Raises `CheckpointError` unless the tensors lie one after the other, without gaps, to the end of the file.
    """
    file.seek(0)
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
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
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


def _place(key: str, entry: Any, start: int) -> Place:
    """One entry of a header, checked. Raises `ValueError` with its key."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"the entry of {short(key)} is not dtype, shape and data_offsets")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not (isinstance(shape, list) and isinstance(offsets, list) and len(offsets) == 2):
        raise ValueError(f"the shape of {short(key)} is not a list, or its data_offsets are not two numbers")
    begin, end = offsets
    if not all(type(number) is int and number >= 0 for number in (begin, end, *shape)):
        raise ValueError(f"the numbers of {short(key)} are not whole numbers from 0 on")
    dtype = getattr(torch, DTYPES.get(str(entry["dtype"]), ""), None)
    if not isinstance(dtype, torch.dtype):
        raise ValueError(f"{short(key)} has the dtype {short(str(entry['dtype']))}, which is not read here")
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"{short(key)} has {end - begin} bytes, its shape {short(str(shape))} needs another number")
    return Place(dtype, tuple(shape), start + begin, start + end)


def _check_end(file: BinaryIO, path: Path, size: int, places: Mapping[str, Place]) -> None:
    """Refuse zeros that begin inside a tensor and reach the end of the file: the rest was reserved and never fetched.

    Zero convolutions that were never trained are zero from their first byte on.
    """
    begin = zeros_begin(file, size)
    for key, place in places.items():
        if place.begin < begin <= place.end - FEWEST_ZEROS:
            raise CheckpointError(
                f"the download of {short(path.name)} is not complete: from the middle of {short(key)} on, the last "
                f"{size - begin} of its {size} bytes are zeros. Download it again"
            )
