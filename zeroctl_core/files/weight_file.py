"""Open a file of weights, safetensors or pickle: mapped where it can be, and never run."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
HEADER_BYTES = 8
"""A safetensors file starts with the length of its JSON header as a little-endian 64-bit number."""
LONGEST_HEADER = 100_000_000
"""Bytes, by the format's definition. The first eight bytes of a pickle or a zip file are a far larger number."""


class CheckpointError(ValueError):
    """A file is not what it should be; the message says what it seems to be and what to do."""


@dataclass(frozen=True)
class WeightFile:
    """Key -> tensor of a file, mapped where its format allows, and the strings of its header."""

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)


def open_weight_file(path: Path) -> WeightFile:
    """Read a file by what it holds; its suffix decides nothing but which message an unknown content gets.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    if path.is_dir():
        raise CheckpointError(
            f"{path} is a folder; give the file in it, for example {path.name}/diffusion_pytorch_model.safetensors"
        )
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; check the name and the folder")
    size = path.stat().st_size
    if size == 0:
        raise CheckpointError(f"{path.name} is empty (0 bytes); download it again")
    with path.open("rb") as file:
        start = file.read(64)
    if (text := _text_file(start)) is not None:
        raise CheckpointError(f"{path.name} is {text}, not weights; download the file itself")
    # first: the length of a header may start with the very bytes that a pickle or a zip file starts with
    if start[8:9] == b"{" and _header_length(start) <= LONGEST_HEADER:
        return _open_safetensors(path, size, start)
    if start[:2] == b"PK":
        return _open_pickle(path, zipped=True)
    if start[:1] == b"\x80":
        return _open_pickle(path, zipped=False)
    raise CheckpointError(
        f"{path.name} is not a file of weights: it starts neither as safetensors nor as a torch file; expected one of "
        f"{', '.join((*SAFETENSORS_SUFFIXES, *PICKLE_SUFFIXES))}"
    )


def _text_file(start: bytes) -> str | None:
    """What people get instead of weights when a download went wrong."""
    head = start.lstrip().lower()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer"
    if head.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page"
    if head.startswith(b"{") and not start[8:9] == b"{":
        return "a JSON text"
    return None


def _header_length(start: bytes) -> int:
    return struct.unpack("<Q", start[:HEADER_BYTES])[0]


def _open_safetensors(path: Path, size: int, start: bytes) -> WeightFile:
    header = _header_length(start)
    if header > size - HEADER_BYTES:
        raise CheckpointError(
            f"{path.name} is cut off: its header should be {header} bytes long, the whole file is {size}; "
            "download it again"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # the file is not a mapping
            return WeightFile(path, tensors, file.metadata() or {})
    except SafetensorError as error:
        raise CheckpointError(
            f"{path.name} cannot be read as safetensors ({error}); it is cut off or damaged: download it again"
        ) from error


def _open_pickle(path: Path, *, zipped: bool) -> WeightFile:
    """Only `weights_only=True`: a pickle may otherwise run any code. Zipped files are mapped, older ones are read."""
    damaged = "it is cut off or damaged: download it again"
    try:
        if zipped:
            _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        if "truncated" in str(error):
            raise CheckpointError(f"{path.name} cannot be read as a torch file ({error}); {damaged}") from error
        raise CheckpointError(
            f"{path.name} holds Python objects beside its weights, which could run code when opened, so it is refused; "
            "convert it to safetensors on a machine where that is safe, or get the .safetensors version"
        ) from error
    except (RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).split("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path.name} cannot be read as a torch file ({reason}); {damaged}") from error
    if isinstance(content, Mapping) and isinstance(nested := content.get("state_dict"), Mapping):
        content = nested
    if isinstance(content, Tensor):
        raise CheckpointError(f"{path.name} holds one tensor of shape {tuple(content.shape)}; expected a state dict")
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}; expected a state dict, key -> tensor")
    return WeightFile(path, dict(_flat(content)))


def _check_archive(path: Path) -> None:
    """Refuse zip files that torch did not write, and programs."""
    names = {Path(name).name for name in zipfile.ZipFile(path).namelist()}
    if "constants.pkl" in names:
        raise CheckpointError(f"{path.name} is a TorchScript program and not a state dict, so it is refused")
    if "data.pkl" not in names:
        raise CheckpointError(f"{path.name} is a zip archive and not a torch file; unpack it and give the file in it")


def _flat(content: Mapping[object, object], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of nested state dicts, their keys joined by dots; counters, names and settings are not weights."""
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
