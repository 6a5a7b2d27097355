"""Files that torch wrote, zip archives and the older pickles: only tensors are taken, and nothing in them is run."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from .checkpoint_error import CheckpointError
from .key_faults import LONGEST_REASON, short
from .safetensors_file import MOST_TENSORS

DEEPEST = 16
"""Dicts inside each other; state dicts in their wrappers have three or four."""
NAMES_OBJECT = re.compile(
    r"GLOBAL (?P<name>\S+)|reduce for unrecognized function (?P<function>\S+)|but got (?P<type>.+)"
)
"""What torch's own messages say where a pickle asks for a Python object."""


def open_torch_file(path: Path, size: int, *, zipped: bool, mapped: bool) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of nested dicts, their keys joined by dots, and the heads of these keys that stand for a dict.

    Only `weights_only=True`: a pickle may otherwise run any code. Zip archives are mapped where that is asked for.

    Raises `CheckpointError` for whatever is not a state dict of plain tensors.
    """
    if zipped:
        _check_archive(path, size)
    content = _content(path, mapped=mapped and zipped)
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
    return tensors, tuple(heads)


def _content(path: Path, *, mapped: bool) -> object:
    try:
        # torch goes by the suffix of a path, and must not: the file may have a wrong one
        if mapped and path.suffix != ".safetensors":
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
        with path.open("rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True, mmap=False)
    except (CheckpointError, MemoryError):
        raise
    except Exception as error:
        text = str(error)
        if isinstance(error, pickle.UnpicklingError) and (match := NAMES_OBJECT.search(text)):
            name = next(group for group in match.groups() if group)
            if not _ends_in(path, name):
                raise CheckpointError(
                    f"{short(path.name)} holds Python objects beside its weights ({short(name)}), which could run code "
                    "when opened, so it is refused; convert it to safetensors on a machine where that is safe, or get "
                    "the .safetensors version"
                ) from error
        reason = text.split("\n")[0] or type(error).__name__
        raise CheckpointError(
            f"{short(path.name)} cannot be read as a torch file ({short(reason, LONGEST_REASON)}); it is cut off or "
            "damaged: download it again"
        ) from error


def _ends_in(path: Path, name: str) -> bool:
    """Whether a file was cut inside the name of a Python object, which torch then takes for another object."""
    end = name.rpartition(".")[2].encode()
    with path.open("rb") as file:
        file.seek(-min(len(end) + 1, path.stat().st_size), 2)
        rest = file.read()
    return rest[:-1] == end and rest[-1:] != b"\n"  # torch drops the last byte of a line, which should be its break


def _check_archive(path: Path, size: int) -> None:
    """Refuse zip files that torch did not write, programs, and archives that unpack to more than they are."""
    try:
        with zipfile.ZipFile(path) as archive:
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
    if sum(entry.file_size for entry in entries) > size:
        raise CheckpointError(
            f"{short(path.name)} is compressed or damaged: its entries are larger than the file, and torch writes them "
            "as they are. Get another copy"
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
