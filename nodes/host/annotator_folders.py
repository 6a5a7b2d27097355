"""Folders of transformers models below the host's folder `annotators`: which there are, and which are worth having."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.transformers_models import folder_task, load_model

from .annotator_files import FOLDER
from .download import fetch

__all__ = ["find_folder", "folder_names", "offered"]

FILES = ("config.json", "preprocessor_config.json", "model.safetensors")


@dataclass(frozen=True)
class Published:
    """A repository of Hugging Face that holds a model for a task."""

    repo: str
    licence: str

    @property
    def name(self) -> str:
        return self.repo.split("/")[1]

    @property
    def url(self) -> str:
        return f"https://huggingface.co/{self.repo}"


PUBLISHED = {
    "depth": Published("depth-anything/Depth-Anything-V2-Small-hf", "Apache-2.0"),
    "segmentation": Published("openmmlab/upernet-convnext-tiny", "MIT"),
    "pose": Published("usyd-community/vitpose-base-simple", "Apache-2.0"),
    "people": Published("PekingU/rtdetr_r50vd_coco_o365", "Apache-2.0"),
}
"""What a task's list offers first; its weights may be used for anything."""


def folder_names(task: str) -> list[str]:
    """Folders with a model for the task, as paths below `annotators`, and the published one where it is not there."""
    found = list(_found(task))
    published = PUBLISHED[task].name
    return found if any(Path(name).name == published for name in found) else [*found, published]


def offered(task: str) -> str:
    """The published model of a task, and the licence of its weights, in words."""
    return f"{PUBLISHED[task].name} (weights: {PUBLISHED[task].licence})"


def find_folder(task: str, name: str, may_download: bool) -> Path:
    """The folder of a name of `folder_names`.

    Raises:
        FileNotFoundError: it is nowhere, and may not be downloaded; the message names URL, path and licence.
        ValueError: a folder with a model for another task, or none.
    """
    found = _found(task)
    if name in found:
        return found[name]
    published = PUBLISHED[task]
    target = Path(folder_paths.get_folder_paths(FOLDER)[0]) / published.name
    if name != published.name:
        raise ValueError(
            f"There is no folder {name!r} with a model for {task} below {', '.join(map(str, _roots()))}; there are: "
            f"{', '.join(found) or 'none'}. Press R after adding one."
        )
    if may_download:
        return _download(task, published, target)
    raise FileNotFoundError(
        f"The model {published.name} is not at {target}. Download {', '.join(FILES)} of {published.url} into that "
        f"folder, or set download to true. Licence of the weights: {published.licence}."
    )


def _roots() -> list[Path]:
    return [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]


def _found(task: str) -> dict[str, Path]:
    """Name -> folder, in the order of their names; of two with one name the first root's."""
    found: dict[str, Path] = {}
    for root in filter(Path.is_dir, _roots()):
        for config in sorted(root.rglob("config.json")):
            folder = config.parent
            if not any(part.startswith(".") for part in folder.relative_to(root).parts):
                name = folder.relative_to(root).as_posix()
                if task in folder_task(folder):
                    found.setdefault(name, folder)
    return found


def _download(task: str, published: Published, target: Path) -> Path:
    """All files of a model, written aside, loaded once, and moved to their place together."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=target.parent) as aside:
        whole = Path(aside) / published.name
        for name in FILES:
            fetch(published.repo, name, whole)
        shutil.rmtree(whole / ".cache", ignore_errors=True)  # huggingface_hub's own notes
        load_model(whole, task)
        os.replace(whole, target)
    return target
