"""Files that torch wrote, zip archives and the older pickles: only tensors are taken, and nothing in them is run."""

from __future__ import annotations

import io
import itertools
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from .checkpoint_error import CheckpointError
from .key_faults import LONGEST_REASON, short
from .safetensors_file import MOST_TENSORS
from .zeros import FEWEST_ZEROS, zeros_begin

LONGEST_PICKLE = 1 << 25
"""Bytes of keys, shapes and counters beside the weights; those of the largest network are a fiftieth of this."""
MOST_OPERATIONS = 1_000_000
"""Of the pickles: ten times what the largest training leaves; torch runs 200,000 a second."""
OLD_PICKLES = 5
"""An older file begins with a number, its version, its system, the content and the keys of its storages."""
NUMBER_BYTES = 8
"""An older file has the number of its values before each storage."""
ADVICE = re.compile(r"weights.only|arbitrary code", re.IGNORECASE)
DEEPEST = 16
"""Dicts inside each other; state dicts in their wrappers have three or four."""
NAMES_OBJECT = re.compile(
    r"GLOBAL (?P<name>\S+)|reduce for unrecognized function (?P<function>\S+)|but got (?P<type>.+)"
    r"|Unsupported class (?P<older>\S+)"  # torch before 2.4
)
"""What torch's own messages say where a pickle asks for a Python object."""


def open_torch_file(
    file: BinaryIO, path: Path, size: int, *, zipped: bool, mapped: bool
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of nested dicts, their keys joined by dots, and the heads of these keys that stand for a dict.

    Only `weights_only=True`: a pickle may otherwise run any code. Zip archives are mapped where that is asked for.

    Raises `CheckpointError` for whatever is not a state dict of plain tensors.
    """
    zeros = size - zeros_begin(file, size)
    with _incomplete(path, size, zeros):
        if zipped:
            _check_archive(file, path, size)
        else:
            file.seek(0)
            _check_pickles(path, file.read(LONGEST_PICKLE), OLD_PICKLES)
        content = _content(file, path, mapped=mapped and zipped)
    if isinstance(content, Tensor):
        raise CheckpointError(
            f"{short(path.name)} holds one tensor of shape {short(str(tuple(content.shape)))}; expected a state dict"
        )
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{short(path.name)} holds a {type(content).__name__}; expected a state dict, key -> tensor"
        )
    tensors: dict[str, Tensor] = {}
    heads: list[str] = []
    for key, value in _flat(path, content, heads):
        if key in tensors:
            raise CheckpointError(f"{short(path.name)} holds {short(key)} twice; get another copy of it")
        if len(tensors) == MOST_TENSORS:
            raise CheckpointError(
                f"{short(path.name)} holds more than {MOST_TENSORS} tensors; no network that is read here has so many"
            )
        tensors[key] = _plain(path, size, key, value)
    if not zipped and zeros >= FEWEST_ZEROS and not _ends_with_zeros(tensors, zeros):
        raise CheckpointError(_words(path, size, zeros))
    return tensors, tuple(heads)


@contextmanager
def _incomplete(path: Path, size: int, zeros: int) -> Iterator[None]:
    """Say of a file that cannot be read and ends in zeros that its download was interrupted."""
    try:
        yield
    except CheckpointError as error:
        if zeros < FEWEST_ZEROS:
            raise
        raise CheckpointError(_words(path, size, zeros)) from error


def _words(path: Path, size: int, zeros: int) -> str:
    return (
        f"the download of {short(path.name)} is not complete: the last {zeros} of its {size} bytes are zeros. "
        "Download it again"
    )


def _ends_with_zeros(tensors: Mapping[str, Tensor], zeros: int) -> bool:
    """Whether one storage is so many zeros, give or take the high bytes of the number before it."""
    sizes = {tensor.untyped_storage().nbytes() for tensor in tensors.values() if not tensor.any()}
    return any(size <= zeros < size + NUMBER_BYTES for size in sizes)


def _content(file: BinaryIO, path: Path, *, mapped: bool) -> object:
    try:
        # torch goes by the suffix of a path, and must not: the file may have a wrong one
        if mapped and path.suffix != ".safetensors":
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        file.seek(0)
        return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:
        text = str(error)
        if isinstance(error, pickle.UnpicklingError) and (match := NAMES_OBJECT.search(text)):
            name = next(group for group in match.groups() if group)
            if name.endswith("_rebuild_qtensor"):  # which torch before 2.4 does not read
                raise CheckpointError(
                    f"{short(path.name)} holds a weight as a quantised tensor; expected plain floating point weights"
                ) from error
            if not _ends_in(file, name):
                raise CheckpointError(
                    f"{short(path.name)} holds Python objects beside its weights ({short(name)}), which could run code "
                    "when opened, so it is refused; convert it to safetensors on a machine where that is safe, or get "
                    "the .safetensors version"
                ) from error
        if "operand 149" in text:  # FRAME, which opens every pickle of protocol 4 and which torch does not write
            raise CheckpointError(
                f"{short(path.name)} is a pickle that torch did not write and that may hold Python objects beside its "
                "weights, which could run code when opened, so it is refused; get the .safetensors version"
            ) from error
        # torch's first lines give the advice to let the file run its code
        lines = [line for line in text.split("\n") if line and not ADVICE.search(line)]
        reason = lines[0] if lines else type(error).__name__
        raise CheckpointError(
            f"{short(path.name)} cannot be read as a torch file ({short(reason, LONGEST_REASON)}); it is cut off or "
            "damaged: download it again"
        ) from error


def _ends_in(file: BinaryIO, name: str) -> bool:
    """Whether a file was cut inside the name of a Python object, which torch then takes for another object."""
    end = name.rpartition(".")[2].encode()
    file.seek(-min(len(end) + 1, file.seek(0, os.SEEK_END)), os.SEEK_END)
    rest = file.read()
    return rest[:-1] == end and rest[-1:] != b"\n"  # torch drops the last byte of a line, which should be its break


def _check_archive(file: BinaryIO, path: Path, size: int) -> None:
    """Refuse zip files that torch did not write, programs, and archives that unpack to more than they are."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except Exception as error:
        raise CheckpointError(
            f"{short(path.name)} cannot be read as a torch file ({short(str(error) or type(error).__name__)}); it is "
            "cut off or damaged: download it again"
        ) from error
    names = {Path(entry.filename).name for entry in entries}
    if "constants.pkl" in names:
        raise CheckpointError(f"{short(path.name)} is a TorchScript program and not a state dict, so it is refused")
    if "data.pkl" not in names:
        raise CheckpointError(
            f"{short(path.name)} is a zip archive and not a torch file; unpack it and give the file in it"
        )
    if len(entries) > MOST_TENSORS:
        raise CheckpointError(f"{short(path.name)} holds {len(entries)} entries; a torch file has one a tensor")
    if any(Path(entry.filename).name == "data.pkl" and entry.file_size > LONGEST_PICKLE for entry in entries):
        raise _too_long(path)
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{short(path.name)} is compressed or damaged: its entries are larger than the file, and torch writes them "
            "as they are. Get another copy"
        )
    for entry in entries:
        if Path(entry.filename).name == "data.pkl":
            _check_pickles(path, _pickle_of(file, entry), 1)


def _pickle_of(file: BinaryIO, entry: zipfile.ZipInfo) -> bytes:
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(entry)
    except Exception:  # of which torch says more
        return b""


def _check_pickles(path: Path, start: bytes, number: int) -> None:
    """Refuse pickles that are too long for a state dict before torch runs them; damaged ones are left to torch."""
    stream = io.BytesIO(start)
    operations = (operation for _ in range(number) for operation in pickletools.genops(stream))
    try:
        if sum(1 for _ in itertools.islice(operations, MOST_OPERATIONS + 1)) <= MOST_OPERATIONS:
            return
    except Exception:
        if stream.tell() < LONGEST_PICKLE:
            return
    raise _too_long(path)


def _too_long(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{short(path.name)} holds more than {LONGEST_PICKLE >> 20} MiB, or a million operations of a pickle, of keys "
        "and Python objects beside its weights; it is not a state dict"
    )


def _flat(path: Path, content: Mapping[object, object], heads: list[str]) -> Iterator[tuple[str, Tensor]]:
    """Every dict once, whoever else refers to it; counters, names and settings are not weights."""
    visited: set[int] = set()

    def walk(level: Mapping[object, object], head: str, depth: int) -> Iterator[tuple[str, Tensor]]:
        if id(level) in visited:
            return
        visited.add(id(level))
        if depth > DEEPEST:
            raise CheckpointError(f"{short(path.name)} holds dicts more than {DEEPEST} deep; it is not a state dict")
        for key, value in level.items():
            if not isinstance(value, Tensor | Mapping) or not isinstance(key, str | int):
                continue
            name = f"{head}{key}"
            if isinstance(value, Tensor):
                yield name, value
            else:
                heads.append(name + ".")
                yield from walk(value, name + ".", depth + 1)

    try:
        yield from walk(content, "", 0)
    except CheckpointError:
        raise
    except Exception as error:  # a key that Python does not write, for one
        raise CheckpointError(f"{short(path.name)} is not a state dict ({short(str(error))})") from error


def _plain(path: Path, size: int, key: str, tensor: Tensor) -> Tensor:
    """The tensor without its gradient. Raises `CheckpointError` where it is not plain numbers that the file holds."""
    if tensor.is_nested:
        kind = "nested"
    elif tensor.is_meta:
        kind = "empty (meta)"
    elif tensor.layout is not torch.strided:
        kind = "sparse"
    elif tensor.is_quantized:
        kind = "quantised"
    else:
        if tensor.numel() * tensor.dtype.itemsize > size:
            raise CheckpointError(
                f"{short(path.name)} is damaged: {short(key)} of shape {short(str(list(tensor.shape)))} is larger than "
                f"the whole file of {size} bytes"
            )
        return tensor.detach()
    raise CheckpointError(
        f"{short(path.name)} holds {short(key)} as a {kind} tensor; expected plain floating point weights"
    )
