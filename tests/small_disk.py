"""A disk of one megabyte or so that a test can really fill."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PAGE = 4096  # bytes; a file takes whole ones
FILLER = "filler"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """`small_disk(n_bytes)`: the folder of a new file system in memory; skipped where none can be mounted."""
    folders: list[Path] = []

    def mounted(n_bytes: int) -> Path:
        folder = tmp_path / f"disk-{len(folders)}"
        folder.mkdir()
        mount = shutil.which("mount")
        if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", f"size={n_bytes}", "tmpfs", folder]).returncode:
            pytest.skip("a tmpfs cannot be mounted here")
        folders.append(folder)
        return folder

    yield mounted
    for folder in folders:
        subprocess.run(["umount", folder], check=True)


def fill(folder: Path, room: int = 0) -> None:
    """Leave so many bytes free."""
    free = shutil.disk_usage(folder).free
    (folder / FILLER).write_bytes(bytes(max(0, free - room) // PAGE * PAGE))


def make_room(folder: Path) -> None:
    (folder / FILLER).unlink(missing_ok=True)
