"""Where the files of annotators are: the host's folder `annotators` first, then what comfyui_controlnet_aux has loaded.

Looking costs no network call. A file that is missing is an error that says from where it comes and where it belongs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.networks import Network

__all__ = ["add_folder", "files_named", "find", "roots", "target_of"]

FOLDER = "annotators"
AUX = "comfyui_controlnet_aux"
AUX_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"  # where that pack is told to keep its files elsewhere


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
    seen: set[str] = set()
    for at, folders, files in os.walk(root, followlinks=True):
        real = os.path.realpath(at)
        folders[:] = [] if real in seen else sorted(folder for folder in folders if not folder.startswith("."))
        if name in files and real not in seen:
            yield Path(at, name)
        seen.add(real)


def find(network: Network) -> Path:
    """The file of a network, in any subfolder.

    Raises:
        FileNotFoundError: it is nowhere; the message names its URL, path, size and licence.
    """
    folders = [*roots(), *_of_aux()]
    for folder in folders:
        for path in files_named(network.file, folder):
            return path
    raise FileNotFoundError(
        f"The annotator network {network.name!r} needs the file {network.file}, {network.size / 1e6:.1f} MB, which is "
        f"not in {', '.join(map(str, folders)) or 'any folder'}. Download {network.url} and put it at "
        f"{target_of(network.file)}, or set download to true. Licence of the weights: {network.licence}."
    )


def _of_aux() -> list[Path]:
    """Folders in which comfyui_controlnet_aux keeps what it has downloaded."""
    named = [Path(folder) / AUX / "ckpts" for folder in folder_paths.get_folder_paths("custom_nodes")]
    if os.environ.get(AUX_VARIABLE):
        named.append(Path(os.environ[AUX_VARIABLE]))
    return [folder for folder in dict.fromkeys(named) if folder.is_dir()]
