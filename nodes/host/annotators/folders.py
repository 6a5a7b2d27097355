"""Folders of transformers models below the host's folders `annotators`: those on disk, and those to be fetched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.transformers_models import check_transformers, folder_tasks, load_model
from zeroctl_core.files.key_faults import short
from zeroctl_core.files.written_whole import folder_written_whole

from .download import check_place, fetch, link_to_nothing
from .hub_cache import in_hub_cache
from .roots import files_named, roots, target_of

__all__ = [
    "download_folder",
    "first_folder",
    "folder_copies",
    "folder_names",
    "is_published",
    "is_there",
    "missing_folder",
    "offered",
]

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
    is_on_disk = any(published in (folder.name, _repository(folder)) for folder in folders.values())
    return published if is_on_disk or not folders else next(iter(folders))


def offered(task: str) -> str:
    """The published model of a task, and the licence of its weights, in words."""
    return f"{OFFERED[task].name} (weights: {OFFERED[task].licence})"


def is_published(task: str, name: str) -> bool:
    """Whether a name of `folder_names` is that of the published model, which can be fetched."""
    return name == OFFERED[task].name


def is_there(task: str) -> bool:
    """Whether any folder with a model for the task is on disk, in the hub's cache too."""
    return bool(_folders_for(task) or folder_copies(task, OFFERED[task].name))


def folder_copies(task: str, name: str) -> list[Path]:
    """The folders of a name of `folder_names`; the published model may lie in any subfolder, or in the hub's cache.

    Raises `ValueError` for a name that is neither the published model nor a folder with a model for the task.
    """
    folders, published = _folders_for(task), OFFERED[task]
    matches = [folders[name]] if name in folders else []
    if name == published.name:
        matches.extend(folder for folder in folders.values() if name in (folder.name, _repository(folder)))
        files = [in_hub_cache(published.repo, file) for file in ("config.json", WEIGHTS)]
        if files[0] is not None and files[1] is not None:
            matches.append(files[0].parent)
    elif not matches:
        raise ValueError(
            f"There is no folder {short(name)!r} with a model for {task} below {', '.join(map(str, roots()))}; "
            f"there are: {', '.join(folders) or 'none'}. Press R after adding one."
        )
    return list(dict.fromkeys(matches))


def missing_folder(task: str) -> FileNotFoundError:
    """The error to raise where the published model is nowhere: it names URL, path, size and licence."""
    published, folders = OFFERED[task], _folders_for(task)
    target = target_of(published.name)
    dangling = link_to_nothing(target)
    there_are = f"There are, to be chosen as the model: {', '.join(folders)}. " if folders else ""
    return FileNotFoundError(
        f"The model {published.name}, about {published.size / 1e6:.0f} MB, is not at {target}"
        f"{f': {dangling}' if dangling else ''}. {there_are}Download {', '.join(FILES)} of {published.url} into that "
        f"folder, or set download to true. Licence of the weights: {published.licence}."
    )


def _repository(folder: Path) -> str:
    """The name of the repository of a folder that was copied out of Hugging Face's cache; empty for others."""
    cached = folder.parents[1].name if folder.parent.name == "snapshots" else ""
    return cached.split("--")[-1] if cached.startswith("models--") else ""


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


def download_folder(task: str, broken: Sequence[Path] = ()) -> Path:
    """All files of the published model, written aside, loaded once, and given their name together.

    A folder of its name is replaced where it is one of the `broken`, a link to nothing always. What would make it fail
    after minutes of fetching is checked first. Raises what `fetch` and `load_model` raise, and `OSError` for a place
    that cannot be written.
    """
    published = OFFERED[task]
    target = target_of(published.name)
    if target.exists() and target not in broken:
        raise FileExistsError(
            f"There is a {target}, but it is not a folder with a model for {task}: perhaps a download by hand that is "
            "not complete. Complete it or remove it, and try again."
        )
    check_transformers(task)
    check_place(target / FILES[0] if target.exists() else target, published.url)
    with folder_written_whole(target) as part:
        for name in FILES:
            sha256 = published.sha256 if name == WEIGHTS else None
            fetch(f"{published.url}/resolve/main/{name}", part / name, target=target / name, sha256=sha256)
        load_model(part, task)
    return target
