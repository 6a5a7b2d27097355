"""Folders of transformers models below the host's folders `annotators`."""

from __future__ import annotations

from pathlib import Path

import folder_paths

from zeroctl_core.annotator_files import finding
from zeroctl_core.annotator_files.finding import ModelFolder, folders_for, model_folders
from zeroctl_core.annotator_files.published import OFFERED
from zeroctl_core.files.key_faults import short

from .roots import roots, target_of

__all__ = [
    "absent_folder",
    "first_folder",
    "folder_copies",
    "folder_names",
    "is_published",
    "is_there",
    "missing_folder",
    "offered",
]

CACHE_KEY = "zeroctl/annotators"


def folder_names(task: str) -> list[str]:
    """The published model, on disk or not, then the folders with a model for the task, as paths below `annotators`."""
    return list(dict.fromkeys([OFFERED[task].name, *_folders_for(task)]))


def first_folder(task: str) -> str:
    """The folder where nobody chooses one: the published model if it is on disk, else the first that is."""
    return finding.first_folder(task, _folders_for(task))


def offered(task: str) -> str:
    """The published model of a task, and the licence of its weights, in words."""
    return f"{OFFERED[task].name} (weights: {OFFERED[task].licence})"


def is_published(task: str, name: str) -> bool:
    """Whether a name of `folder_names` is that of the published model, which can be fetched."""
    return name == OFFERED[task].name


def is_there(task: str) -> bool:
    """Whether any folder with a model for the task is on disk, in the hub's cache too."""
    return bool(_folders_for(task) or folder_copies(task, OFFERED[task].name))


def absent_folder(task: str) -> dict[str, str]:
    """The name of the published model -> its size in words, where it is not on disk; empty where it is."""
    published = OFFERED[task]
    is_here = finding.folder_copies(task, published.name, _folders_for(task))
    return {} if is_here else {published.name: f"{published.size / 1e6:.0f} MB"}


def folder_copies(task: str, name: str) -> list[Path]:
    """The folders of a name of `folder_names`; the published model may lie in any subfolder, or in the hub's cache.

    Raises `ValueError` for a name that is neither the published model nor a folder with a model for the task.
    """
    folders = _folders_for(task)
    if name not in folders and not is_published(task, name):
        raise ValueError(
            f"There is no folder {short(name)!r} with a model for {task} below {', '.join(map(str, roots()))}; "
            f"there are: {', '.join(folders) or 'none'}. Press R after adding one."
        )
    return finding.folder_copies(task, name, folders)


def missing_folder(task: str) -> FileNotFoundError:
    """The error to raise where the published model is nowhere: it names URL, path, size and licence."""
    return finding.missing_folder(task, _folders_for(task), target_of, "or set download to true")


def _folders_for(task: str) -> dict[str, Path]:
    """Name -> folder with a model for the task; of two with one name the first root's."""
    return folders_for(task, _model_folders())


def _model_folders() -> tuple[ModelFolder, ...]:
    """Name, folder and tasks of every folder with a known model.

    Walked once while the host lists its nodes, which ask for every task: its cache lives for one listing. At any other
    time walked anew.
    """
    folders: tuple[ModelFolder, ...] | None = folder_paths.cache_helper.get(CACHE_KEY)
    if folders is None:
        folders = model_folders(roots())
        folder_paths.cache_helper.set(CACHE_KEY, folders)
    return folders
