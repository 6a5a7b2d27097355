"""Files and folders that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import filecmp
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNFINISHED = ".part"
"""How the names of what is not finished end; they begin with a dot."""


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Hand out a place for the content of the file `path`, which appears when the block ends without an error.

    A process that is killed at any moment leaves the old file or the new one. Two processes may write the same file:
    each has a place of its own, and the last one to end stays. The folder is made where it is missing.

    Raises `OSError` where the disk is full or the place cannot be written; then the old file is as it was.
    """
    part = _beside(path)
    try:
        yield part
        flush(part)
        os.replace(part, path)
        flush(path.parent)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def folder_written_whole(path: Path) -> Iterator[Path]:
    """Hand out an empty folder, which gets the name `path` when the block ends without an error.

    A folder that stands under the name already is left as it is where it holds the same files; else it is removed
    first, because a folder cannot be renamed over another one.
    """
    part = _beside(path)
    part.mkdir()
    try:
        yield part
        for file in part.iterdir():
            flush(file)
        flush(part)
        if path.exists():
            if _holds_the_same(part, path):
                return
            shutil.rmtree(path)
        os.replace(part, path)
        flush(path.parent)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Find out whether `written_whole` can write a file before what it is to hold is computed; its folder is made.

    Raises `ValueError` for a folder of that name, and for a place that cannot be written.
    """
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder; give the name of a file")
        part = _beside(path)
        part.touch()
        part.unlink()
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror}); choose another place") from error


def flush(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk.

    A file is opened for writing, because Windows flushes no other. Windows opens no folder at all, and some file
    systems cannot flush one: the names are then as safe as that system makes them.
    """
    if path.is_file():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _holds_the_same(one: Path, other: Path) -> bool:
    names = sorted(file.name for file in one.iterdir())
    if names != sorted(file.name for file in other.iterdir()):
        return False
    return not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])


def _beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
