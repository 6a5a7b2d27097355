"""Files and folders that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import filecmp
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .full_disk import full_disk_named
from .leftovers import clear_leftovers, new_part, release_part

RETRY_SECONDS, RETRY_EVERY = 2.0, 0.05
"""A scanner, an indexer or a viewer holds a new file for moments, and Windows renames no file that is held."""


@contextmanager
def written_whole(path: Path, n_bytes: int = 0) -> Iterator[Path]:
    """Hand out a place for the content of the file `path`, which appears when the block ends without an error.

    A process that is killed at any moment leaves the old file or the new one. Two processes may write the same file:
    each has a place of its own, and the last one to end stays. The folder is made where it is missing; what killed
    processes left in it is removed. The file has the rights of any new file: safetensors writes for the owner alone,
    and a ComfyUI that runs as somebody else could not read it.

    Raises `OSError` where the disk is full, with what is free and the `n_bytes` that the file needs (0: not known), and
    where the place cannot be written; then the old file is as it was. Where the system refuses the last rename for two
    seconds, the finished file stays beside its place, and the error names both.
    """
    with full_disk_named(path, n_bytes), _place_beside(path) as part:
        part.touch()
        rights = part.stat().st_mode
        yield part
        with suppress(OSError):  # some shares keep the rights of all files to themselves; the file is worth more
            part.chmod(rights)
        flush(part)
        rename_whole(part, path)
        flush(path.parent)


@contextmanager
def folder_written_whole(path: Path, n_bytes: int = 0) -> Iterator[Path]:
    """Hand out an empty folder, which gets the name `path` when the block ends without an error.

    A folder that stands under the name already is left as it is where it holds the same files; else it makes way,
    because a folder cannot be renamed over another one. Leftovers, errors and `n_bytes` are as for `written_whole`.
    """
    with full_disk_named(path, n_bytes), _place_beside(path) as part:
        part.mkdir()
        yield part
        for file in part.iterdir():
            flush(file)
        flush(part)
        if path.is_dir() and _holds_the_same(part, path):
            return
        rename_whole(part, path)
        flush(path.parent)


def rename_whole(part: Path, path: Path) -> None:
    """Give a finished file or folder its name, in the place of what has it.

    A refused rename is tried again for two seconds. Raises `OSError` where it stays refused: what is finished is then
    kept beside the place under a name that the error gives, and what had the name before is as it was.
    """
    try:
        if part.is_dir() and path.is_symlink() and not path.exists():
            path.unlink()  # a link to nothing, which a folder cannot be renamed over
        if part.is_dir() and path.exists():
            _exchange(part, path)
        else:
            _rename(part, path)
    except OSError as error:
        place = _kept(part, path)
        raise type(error)(
            f"{path} could not be replaced ({error.strerror or error}): another program holds it, or it is protected. "
            f"What was to be written is whole in {place}; close what holds {path.name} and rename it"
        ) from error


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that it holds, where it exists: whole, or not at all.

    Raises `ValueError` that names what another program has open in it.
    """
    if not folder.exists():
        return
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            os.replace(path, path)  # changes nothing; Windows refuses it for what is open
        except PermissionError as error:
            raise ValueError(f"{path} is in use by another program; close it there, then try again") from error
    old = new_part(folder)
    try:
        _rename(folder, old)
    except OSError as error:
        raise ValueError(f"{folder} cannot be removed ({error.strerror or error})") from error
    _remove(old)


def check_writable(path: Path) -> None:
    """Find out whether `written_whole` can write a file before what it is to hold is computed; its folder is made.

    Raises `ValueError` for a folder of that name, for a place that cannot be written, and for a file in use that the
    system does not replace.
    """
    try:
        if path.is_dir():
            raise ValueError(f"{path} is a folder; give the name of a file")
        part = _beside(path)
        try:
            part.touch()
        finally:
            _remove(part)
        _check_replaceable(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be written ({error.strerror or error}); choose another place") from error


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


def _beside(path: Path) -> Path:
    """A new name beside `path`, in a folder that exists and holds nothing that a killed process left."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent)
    return new_part(path)


@contextmanager
def _place_beside(path: Path) -> Iterator[Path]:
    """A new name beside `path`; what still has it at the end is removed."""
    part = _beside(path)
    try:
        yield part
    finally:
        _remove(part)


def _rename(source: Path, target: Path) -> None:
    """Rename, again and again for a while where the system refuses it."""
    until = time.monotonic() + RETRY_SECONDS
    while True:
        try:
            os.replace(source, target)
            return
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(RETRY_EVERY)


def _exchange(part: Path, path: Path) -> None:
    """Rename a folder over one that has other files: the old one makes way, and comes back where that fails."""
    old = new_part(path)
    try:
        _rename(path, old)
        try:
            _rename(part, path)
        except OSError:
            _rename(old, path)
            raise
    finally:
        _remove(old)


def _kept(part: Path, path: Path) -> Path:
    """Where a finished file or folder is that could not get its name: under a new one that nothing clears away."""
    numbers = (number for number in range(2, 1000))
    place = next(
        candidate for n in numbers if not (candidate := path.with_name(f"{path.stem}-{n}{path.suffix}")).exists()
    )
    try:
        _rename(part, place)
    except OSError:  # whoever holds it lets it be read
        (shutil.copytree if part.is_dir() else shutil.copyfile)(part, place)
    return place


def _remove(part: Path) -> None:
    """Remove what is beside the place, where it still is; what is held is cleared by a later write."""
    if part.is_dir():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    release_part(part)


def _check_replaceable(path: Path) -> None:
    """Raises `OSError` for a file in use. A file that only may not be written is replaced everywhere but on Windows."""
    if not path.exists():
        return
    try:
        path.open("rb+").close()
    except PermissionError:
        if os.name == "nt" or os.access(path, os.W_OK):
            raise


def _holds_the_same(one: Path, other: Path) -> bool:
    names = sorted(file.name for file in one.iterdir())
    if names != sorted(file.name for file in other.iterdir()):
        return False
    return not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])
