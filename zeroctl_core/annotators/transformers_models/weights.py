"""The weights of a folder: one file, or the parts of one, read and not mapped."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from ...files.weight_file import CheckpointError, open_weight_file, unwrapped

NAMES = (("model", ".safetensors"), ("pytorch_model", ".bin"))
"""Stem and suffix of the files that transformers writes; the first that there is counts."""
PART = re.compile(r"-(\d{5})-of-(\d{5})")


def weight_files(folder: Path) -> list[Path]:
    """The file of a folder's weights, or its parts in order.

    Raises `CheckpointError` where there is none, and where some of the parts are missing.
    """
    for stem, suffix in NAMES:
        whole = folder / f"{stem}{suffix}"
        if whole.is_file():
            return [whole]
        if parts := _parts(folder, stem, suffix):
            return parts
    raise CheckpointError(
        f"{folder} has no weights: no model.safetensors and no pytorch_model.bin, but {content(folder)}; "
        "download model.safetensors into it"
    )


def read_weights(files: list[Path]) -> dict[str, Tensor]:
    """Key -> tensor of all files, floats as float32, read into memory, so that the files may change.

    Raises `CheckpointError` for a file that holds anything but tensors, with its path.
    """
    weights: dict[str, Tensor] = {}
    for file in files:
        try:
            tensors = unwrapped(open_weight_file(file, mapped=False, is_part=True))
        except CheckpointError as error:
            raise CheckpointError(f"{error} ({file})") from error  # every folder has a file of this name
        for key, tensor in tensors.items():
            weights[key] = tensor.float() if tensor.is_floating_point() else tensor
    return weights


def content(folder: Path) -> str:
    """What lies in a folder, for people."""
    names = sorted(entry.name for entry in folder.iterdir())
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{', '.join(names[:8])}{more}" if names else "nothing"


def _parts(folder: Path, stem: str, suffix: str) -> list[Path]:
    """The files `stem-00001-of-00002` and so on, by their names alone: an index in the folder is not read."""
    matches = [
        (int(match[1]), int(match[2]), file)
        for file in sorted(folder.glob(f"{stem}-*{suffix}"))
        if (match := PART.fullmatch(file.stem.removeprefix(stem)))
    ]
    if not matches:
        return []
    count = matches[0][1]
    files = {number: file for number, of, file in matches if of == count}
    missing = [number for number in range(1, count + 1) if number not in files]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of {count} parts of its weights, first "
            f"{stem}-{missing[0]:05}-of-{count:05}{suffix}; download it into the folder"
        )
    return [files[number] for number in range(1, count + 1)]
