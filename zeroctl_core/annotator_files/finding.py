"""Find files of networks and folders of transformers models on disk. Looking costs no network call."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from ..annotators.networks import Network
from ..annotators.transformers_models import folder_tasks
from ..files.weight_file import CheckpointError
from .hub_cache import in_hub_cache
from .published import FILES, OFFERED, WEIGHTS, repository

T = TypeVar("T")

TargetOf = Callable[[str], Path]
"""Where a file or folder of a name belongs."""

ModelFolder = tuple[str, Path, frozenset[str]]
"""The name of a folder with a model, its path below a root; the folder; and the tasks that it can do."""


def files_named(name: str, root: Path) -> Iterator[Path]:
    """Files of this name below a folder, a folder's own before those of its subfolders, in the order of names.

    Links are followed, each folder is entered once; hidden folders are left out, half downloads among them.
    """
    for folder, files in _walk(root):
        if name in files:
            yield folder / name


def names_below(roots: Iterable[Path]) -> frozenset[str]:
    """The names of all files below these folders, as `files_named` would find them."""
    return frozenset(name for root in roots for _, files in _walk(root) for name in files)


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
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
        yield Path(folder), files


def network_copies(network: Network, roots: Iterable[Path]) -> Iterator[Path]:
    """The files of a network's name, in any subfolder, and the one in Hugging Face's cache; links may lead nowhere."""
    for folder in roots:
        yield from files_named(network.file, folder)
    if (parts := repository(network)) and (path := in_hub_cache(parts["repo"], parts["file"], parts["revision"])):
        yield path


def model_folders(roots: Iterable[Path]) -> tuple[ModelFolder, ...]:
    """Every folder with a model that is known, in any subfolder."""
    configs = [(root, file.parent) for root in roots for file in files_named("config.json", root)]
    return tuple(
        (folder.relative_to(root).as_posix(), folder, frozenset(folder_tasks(folder))) for root, folder in configs
    )


def folders_for(task: str, folders: Iterable[ModelFolder]) -> dict[str, Path]:
    """Name -> folder with a model for the task; of two with one name the first."""
    by_name: dict[str, Path] = {}
    for name, folder, tasks in folders:
        if task in tasks:
            by_name.setdefault(name, folder)
    return by_name


def first_folder(task: str, folders: dict[str, Path]) -> str:
    """The folder where nobody chooses one: the published model if it is on disk, else the first that is."""
    published = OFFERED[task].name
    is_on_disk = any(published in (folder.name, _repository(folder)) for folder in folders.values())
    return published if is_on_disk or not folders else next(iter(folders))


def folder_copies(task: str, name: str, folders: dict[str, Path]) -> list[Path]:
    """The folders of a name; the published model may lie in any subfolder, or in the hub's cache. None: empty."""
    published = OFFERED[task]
    matches = [folders[name]] if name in folders else []
    if name == published.name:
        matches.extend(folder for folder in folders.values() if name in (folder.name, _repository(folder)))
        files = [in_hub_cache(published.repo, file) for file in ("config.json", WEIGHTS)]
        if files[0] is not None and files[1] is not None:
            matches.append(files[0].parent)
    return list(dict.fromkeys(matches))


def missing_network(network: Network, folders: Iterable[Path], target_of: TargetOf, remedy: str) -> FileNotFoundError:
    """The error to raise where there is no copy of a network's file: it names URL, path, size, licence and remedy."""
    names, urls, places = (
        " and ".join(words)
        for words in zip(*((file.file, file.url, str(target_of(file.file))) for file in network.files), strict=True)
    )
    needs, are, them = ("the files", "are", "them") if network.beside else ("the file", "is", "it")
    size = sum(file.size for file in network.files)
    return FileNotFoundError(
        f"The annotator network {network.name!r} needs {needs} {names}, {size / 1e6:.1f} MB, which {are} not in "
        f"{', '.join(map(str, folders)) or 'any folder'}. Download {urls} and put {them} at {places}, {remedy}. "
        f"Licence of the weights: {network.licence}."
    )


def missing_folder(task: str, folders: Iterable[str], target_of: TargetOf, remedy: str) -> FileNotFoundError:
    """The error to raise where the published model of a task is nowhere: it names URL, path, size, licence and remedy,
    and the `folders` that can do the task."""
    published, names = OFFERED[task], ", ".join(folders)
    target = target_of(published.name)
    dangling = link_to_nothing(target)
    there_are = f"There are, to be chosen as the model: {names}. " if names else ""
    return FileNotFoundError(
        f"The model {published.name}, about {published.size / 1e6:.0f} MB, is not at {target}"
        f"{f': {dangling}' if dangling else ''}. {there_are}Download {', '.join(FILES)} of {published.url} into that "
        f"folder, {remedy}. Licence of the weights: {published.licence}."
    )


def link_to_nothing(path: Path) -> str | None:
    """What is wrong with a link whose target is not there; None for all other paths."""
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to {os.readlink(path)}, which does not exist"
    return None


def first_that_loads(
    paths: Iterable[Path],
    load: Callable[[Path], T],
    *,
    fetch: Callable[[Sequence[Path]], Path] | None,
    missing: Callable[[], FileNotFoundError],
    remedy: str,
    say: Callable[[str], None],
) -> T:
    """What `load` makes of the first copy that can be read, or else of what `fetch` brings; it gets the broken ones.

    `say` tells of each copy that is passed over.

    Raises what `missing` returns where there is no copy, and `CheckpointError`, with the remedy, where all are broken
    and nothing may be fetched.
    """
    faults: dict[Path, str] = {}
    for path in paths:
        try:
            return load(path)
        except (CheckpointError, OSError) as error:
            faults[path] = link_to_nothing(path) or str(error)
            say(f"passed over: {faults[path]}")
    if fetch is not None:
        return load(fetch(list(faults)))
    if not faults:
        raise missing()
    path = next(iter(faults))
    raise CheckpointError(f"{faults[path].rstrip('.')}. Delete {path}, {remedy}.")


def _repository(folder: Path) -> str:
    """The name of the repository of a folder that was copied out of Hugging Face's cache; empty for others."""
    cached = folder.parents[1].name if folder.parent.name == "snapshots" else ""
    return cached.split("--")[-1] if cached.startswith("models--") else ""
