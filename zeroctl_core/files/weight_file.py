"""Open a file of weights, safetensors or pickle: read or mapped, and never run."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, TypeVar

from torch import Tensor

from .checkpoint_error import CheckpointError, checkpoint_errors
from .extremes import Extremes
from .impostors import FIRST, impostor
from .key_faults import LONGEST_REASON, short
from .safetensors_file import HEADER_BYTES, LONGEST_HEADER, header_length, open_header, open_safetensors
from .torch_file import open_torch_file

__all__ = ["CheckpointError", "WeightFile", "open_weight_file", "open_weight_header", "unwrapped"]

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
SAFETENSORS, ZIP, PICKLE = b"{", b"PK", b"\x80"
"""How the content of a file begins, that of safetensors after the length of its header."""
SHARD = re.compile(r"-(\d{5})-of-(\d{5})(?:\D|$)")

W = TypeVar("W")


@dataclass(frozen=True)
class WeightFile:
    """Key -> tensor of a file, and the strings of its header.

    `heads`: in a torch file, the starts of keys that stand for a dict, such as `state_dict.`. `extremes`: by the id of
    a tensor, the extremes of its numbers, where reading has seen them.
    """

    path: Path
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str] = field(default_factory=dict)
    heads: tuple[str, ...] = ()
    extremes: Mapping[int, Extremes] = field(default_factory=dict)


def open_weight_file(path: Path, *, mapped: bool = True, is_part: bool = False) -> WeightFile:
    """Open a file by what it holds; its suffix decides nothing but which message an unknown content gets.

    `mapped` leaves the weights in the file, which then must not change while they are in use; without it they are read
    into memory of their own, and the file is free at once. `is_part` takes one of several files that are one net.

    Raises `FileNotFoundError` for a missing file, `CheckpointError` for whatever else is wrong with it.
    """
    with checkpoint_errors(path, "opened"):
        return _open(path, is_part, lambda file, size: _weights(file, path, size, mapped))


def open_weight_header(path: Path) -> WeightFile | None:
    """As `open_weight_file`, without reading weights: the tensors have their keys, shapes and dtypes.

    None for a torch file of before version 1.6, whose keys lie between its weights.

    Raises what `open_weight_file` raises.
    """
    with checkpoint_errors(path, "opened"):
        return _open(path, False, lambda file, size: _header(file, path, size))


def _open(path: Path, is_part: bool, read: Callable[[BinaryIO, int], W]) -> W:
    name = short(path.name)
    if path.is_dir():
        raise CheckpointError(
            f"{short(str(path))} is a folder; give the file in it, for example "
            f"{name}/diffusion_pytorch_model.safetensors"
        )
    if not path.exists():
        raise FileNotFoundError(f"{short(str(path), LONGEST_REASON)} does not exist; check the name and the folder")
    if not path.is_file():
        raise CheckpointError(f"{name} is a device or a pipe and not a file of weights")
    if not is_part and (match := SHARD.search(path.name)) and int(match[2]) > 1:
        raise CheckpointError(
            f"{name} is part {int(match[1])} of {int(match[2])} of a file: parts are not read here. Get the version in "
            "one file, or join the parts into one"
        )
    with path.open("rb") as file:  # once: another file may take its name at any time
        before = os.fstat(file.fileno())
        weights = read(file, before.st_size)
        after = os.fstat(file.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise CheckpointError(f"{name} was written to while it was read; load it again once it is complete")
    return weights


def _weights(file: BinaryIO, path: Path, size: int, mapped: bool) -> WeightFile:
    if (start := _start(file, path, size)) == SAFETENSORS:
        tensors, metadata, extremes = open_safetensors(file, path, size, mapped=mapped)
        return WeightFile(path, tensors, metadata, extremes=extremes)
    tensors, heads = open_torch_file(file, path, size, zipped=start == ZIP, mapped=mapped)
    return WeightFile(path, tensors, heads=heads)


def _header(file: BinaryIO, path: Path, size: int) -> WeightFile | None:
    if (start := _start(file, path, size)) == SAFETENSORS:
        return WeightFile(path, *open_header(file, path, size))
    if start != ZIP:
        return None
    tensors, heads = open_torch_file(file, path, size, zipped=True, mapped=True)
    return WeightFile(path, tensors, heads=heads)


def _start(file: BinaryIO, path: Path, size: int) -> bytes:
    """What the content begins as: `SAFETENSORS`, `ZIP` or `PICKLE`.

    Raises `CheckpointError` for anything else.
    """
    name = short(path.name)
    if size == 0:
        raise CheckpointError(f"{name} is empty (0 bytes); download it again")
    start = file.read(FIRST)
    if (text := _foreign(start)) is not None:
        raise CheckpointError(f"{name} is {text}")
    # first: the length of a header may start with the very bytes that a pickle or a zip file starts with
    if start[HEADER_BYTES:].startswith(SAFETENSORS) and header_length(start) <= LONGEST_HEADER:
        return SAFETENSORS
    if start.startswith((ZIP, PICKLE)):
        return ZIP if start.startswith(ZIP) else PICKLE
    if not any(start):
        raise CheckpointError(f"the download of {name} is not complete: it begins with zeros. Download it again")
    raise CheckpointError(
        f"{name} is not a file of weights: it starts neither as safetensors nor as a torch file; expected one of "
        f"{', '.join((*SAFETENSORS_SUFFIXES, *PICKLE_SUFFIXES))}"
    )


def _foreign(start: bytes) -> str | None:
    """What people get instead of weights when a download went wrong, and weights in another format."""
    if (text := impostor(start)) is not None:
        return f"{text}, not weights; download the file itself"
    if start.startswith(b"GGUF"):
        return "a GGUF file, which is quantised; quantised files are not read here, get the fp16 or fp32 version"
    return None


def unwrapped(file: WeightFile) -> dict[str, Tensor]:
    """The tensors of the dict `state_dict`, or of the one dict that holds all; keys are relative to it."""
    head = next((head for head in file.heads if head == "state_dict."), "")
    for other in file.heads:
        if not head or other.startswith(head):
            inside = [key for key in file.tensors if key.startswith(head)]
            if inside and all(key.startswith(other) for key in inside):
                head = other
    return {key[len(head) :]: tensor for key, tensor in file.tensors.items() if key.startswith(head)}
