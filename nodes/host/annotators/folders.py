"""Folders of transformers models below the host's folders `annotators`: those on disk, and those to be fetched."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.transformers_models import check_transformers, folder_tasks, load_model

from .download import fetch
from .roots import files_named, roots, target_of

__all__ = ["find_folder", "first_folder", "folder_names", "offered"]

WEIGHTS = "model.safetensors"
FILES = ("config.json", "preprocessor_config.json", WEIGHTS)
CACHE_KEY = "zeroctl/annotators"


@dataclass(frozen=True)
class Published:
    """A repository of Hugging Face that holds a model for a task.

    `size` is about how many bytes it has, `sha256` the hash of its model.safetensors where that is known.
    """

    repo: str
    size: int
    licence: str
    sha256: str | None = None

    @property
    def name(self) -> str:
        return self.repo.split("/")[1]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}"


OFFERED = {
    # the hash is that of revision 5426e4f, as three public projects pin it
    "depth": Published(
        "depth-anything/Depth-Anything-V2-Small-hf",
        99_000_000,
        "Apache-2.0",
        sha256="3152477ce0d8d6978d76b995120de97cb5b928701fd0f817769f59e249a16b70",
    ),
    "segmentation": Published("openmmlab/upernet-convnext-tiny", 240_000_000, "MIT"),
    # the hash is that of revision a93ac0c, as two public projects pin it
    "pose": Published(
        "usyd-community/vitpose-base-simple",
        344_000_000,
        "Apache-2.0",
        sha256="85375373893ddd3641f3912821073e53f5435f9e966e1dca59d004454bfe4fdf",
    ),
    "people": Published("PekingU/rtdetr_r50vd_coco_o365", 172_000_000, "Apache-2.0"),
}
"""What a task's list offers first; the licence of its weights allows any use."""


def folder_names(task: str) -> list[str]:
    """The published model, on disk or not, then the folders with a model for the task, as paths below `annotators`."""
    return list(dict.fromkeys([OFFERED[task].name, *_folders_for(task)]))


def first_folder(task: str) -> str:
    """The folder where nobody chooses one: the published model if it is on disk, else the first that is."""
    published, folders = OFFERED[task].name, _folders_for(task)
    is_on_disk = any(folder.name == published for folder in folders.values())
    return published if is_on_disk or not folders else next(iter(folders))


def offered(task: str) -> str:
    """The published model of a task, and the licence of its weights, in words."""
    return f"{OFFERED[task].name} (weights: {OFFERED[task].licence})"


def find_folder(task: str, name: str, may_download: bool) -> Path:
    """The folder of a name of `folder_names`. The published model may lie in any subfolder.

    Raises `FileNotFoundError`, which names URL, path, size and licence, where the published model is nowhere and may
    not be downloaded, and `ValueError` for any other name that is not a folder with a model for the task.
    """
    folders = _folders_for(task)
    if name in folders:
        return folders[name]
    published = OFFERED[task]
    target = target_of(published.name)
    if name != published.name:
        raise ValueError(
            f"There is no folder {name!r} with a model for {task} below {', '.join(map(str, roots()))}; there are: "
            f"{', '.join(folders) or 'none'}. Press R after adding one."
        )
    for folder in folders.values():
        if folder.name == name:
            return folder
    if may_download:
        return _download(task, published, target)
    raise FileNotFoundError(
        f"The model {published.name}, about {published.size / 1e6:.0f} MB, is not at {target}. Download "
        f"{', '.join(FILES)} of {published.url} into that folder, or set download to true. "
        f"Licence of the weights: {published.licence}."
    )


def _folders_for(task: str) -> dict[str, Path]:
    """Name -> folder with a model for the task; of two with one name the first root's."""
    folders: dict[str, Path] = {}
    for name, folder, tasks in _model_folders():
        if task in tasks:
            folders.setdefault(name, folder)
    return folders


def _model_folders() -> tuple[tuple[str, Path, frozenset[str]], ...]:
    """Name, folder and tasks of every folder with a known model.

    Walked once while the host lists its nodes, which ask for every task: its cache lives for one listing. At any other
    time walked anew.
    """
    folders: tuple[tuple[str, Path, frozenset[str]], ...] | None = folder_paths.cache_helper.get(CACHE_KEY)
    if folders is None:
        configs = [(root, file.parent) for root in roots() for file in files_named("config.json", root)]
        folders = tuple(
            (folder.relative_to(root).as_posix(), folder, frozenset(folder_tasks(folder))) for root, folder in configs
        )
        folder_paths.cache_helper.set(CACHE_KEY, folders)
    return folders


def _download(task: str, published: Published, target: Path) -> Path:
    """All files of a model, written aside, loaded once, and moved to their place together.

    What would make it fail after minutes of fetching is checked first.
    """
    if target.exists():
        raise FileExistsError(
            f"There is a {target}, but it is not a folder with a model for {task}: perhaps a download by hand that is "
            "not complete. Complete it or remove it, and try again."
        )
    check_transformers(task)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent, ignore_cleanup_errors=True) as aside:
        whole = Path(aside) / published.name
        for name in FILES:
            sha256 = published.sha256 if name == WEIGHTS else None
            fetch(published.repo, name, whole, target=target / name, sha256=sha256)
        shutil.rmtree(whole / ".cache", ignore_errors=True)  # huggingface_hub's own notes
        load_model(whole, task)
        os.replace(whole, target)
    return target
