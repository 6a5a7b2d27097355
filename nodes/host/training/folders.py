"""Where training in the graph keeps its files: below the host's output folder."""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from zeroctl_core.files.key_faults import short

__all__ = ["data_folder", "input_folder", "runs_folder"]


def data_folder(name: str) -> Path:
    """Of prepared data by name. Raises `ValueError` for a name that is not the name of a folder."""
    return Path(folder_paths.get_output_directory()) / "zeroctl" / "data" / _plain("name", name)


def runs_folder() -> Path:
    return Path(folder_paths.get_output_directory()) / "zeroctl" / "train"


def input_folder(name: str) -> Path:
    """A folder below the host's input folder.

    Raises `ValueError` for one that does not exist, and for a path that leads out of there.
    """
    root = Path(folder_paths.get_input_directory()).resolve()
    # before anything else: it is also false for what no disk can hold
    if not os.path.isdir(root / name):
        raise ValueError(f"there is no folder {short(name)!r} in {root}; put the pictures there")
    folder = (root / name).resolve()
    if root not in (folder, *folder.parents):
        raise ValueError(f"the folder {short(name)!r} is not below {root}; put the pictures there")
    return folder


def _plain(what: str, name: str) -> str:
    if not name.strip() or Path(name).name != name or name in (".", ".."):
        raise ValueError(f"{what} is {name[:100]!r}; expected the name of a folder, without / and \\")
    return name
