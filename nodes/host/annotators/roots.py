"""Below which folders the files of annotators lie: the host's folders `annotators`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

__all__ = ["add_folder", "files_named", "roots", "target_of"]

FOLDER = "annotators"


def add_folder() -> None:
    """Give the host the folder key `annotators`, which extra_model_paths.yaml may extend; calling it again is free."""
    folder_paths.add_model_folder_path(FOLDER, str(target_of("")))


def target_of(name: str) -> Path:
    """Where a file or folder of this name belongs, and is put when it is fetched."""
    return Path(folder_paths.models_dir) / FOLDER / name


def roots() -> list[Path]:
    """The host's folders of annotators that exist, in its order."""
    return [folder for name in folder_paths.get_folder_paths(FOLDER) if (folder := Path(name)).is_dir()]


def files_named(name: str, root: Path) -> Iterator[Path]:
    """Files of this name below a folder, a folder's own before those of its subfolders, in the order of names.

    Links are followed, each folder is entered once; hidden folders are left out, half downloads among them.
    """
    entered: set[tuple[int, int]] = set()
    for folder, subfolders, files in os.walk(root, followlinks=True):
        try:
            stat = os.stat(folder)
        except OSError:  # removed meanwhile, or on a drive that is gone
            subfolders.clear()
            continue
        identity = stat.st_dev, stat.st_ino
        if identity in entered:
            subfolders.clear()
            continue
        entered.add(identity)
        subfolders[:] = sorted(subfolder for subfolder in subfolders if not subfolder.startswith("."))
        if name in files:
            yield Path(folder, name)
