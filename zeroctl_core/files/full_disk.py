"""A full disk in words: what could not be written, how much it needs, and how much is free."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

FULL = {errno.ENOSPC, errno.EDQUOT}


class DiskFullError(OSError):
    """A file that found no room; its text is the whole message."""


@contextmanager
def full_disk_named(path: Path, n_bytes: int) -> Iterator[None]:
    """Around the writing of a file of so many bytes (0: not known). Raises `DiskFullError` where the disk is full."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if isinstance(error, DiskFullError) or not _is_full(error):
            raise
        raise DiskFullError(_message(path, n_bytes)) from error


def _is_full(error: Exception) -> bool:
    """safetensors hands the system's error on as text: `No space left on device (os error 28)`."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return any(f"os error {number})" in str(error) for number in FULL)


def _message(path: Path, n_bytes: int) -> str:
    folder = next(parent for parent in path.absolute().parents if parent.is_dir())
    free = _size(shutil.disk_usage(folder).free)
    room = f"it needs {_size(n_bytes)}, and {free} are free" if n_bytes else f"{free} are free"
    return (
        f"{path} could not be written, the disk is full: {room}. What was written before is whole; make room, then do "
        "the same again, which goes on from there"
    )


def _size(n_bytes: int) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1e3:.1f} kB"
