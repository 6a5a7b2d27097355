"""Below which folders the files of annotators lie: the host's folders `annotators`."""

from __future__ import annotations

from pathlib import Path

import folder_paths

__all__ = ["add_folder", "roots", "target_of"]

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
