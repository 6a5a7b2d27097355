"""Where the files of annotators are: the host's folder `annotators` first, then what comfyui_controlnet_aux has loaded.

Looking costs no network call. A file that is missing is an error that says from where it comes and where it belongs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.networks import Network

__all__ = ["FOLDER", "add_folder", "find", "target_of"]

FOLDER = "annotators"
AUX = "comfyui_controlnet_aux"
AUX_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"  # where that pack is told to keep its files elsewhere


def add_folder() -> None:
    """Give the host the folder key `annotators`, which extra_model_paths.yaml may extend; calling it again is free."""
    folder_paths.add_model_folder_path(FOLDER, str(Path(folder_paths.models_dir) / FOLDER))


def target_of(network: Network) -> Path:
    """Where the file of a network belongs."""
    return Path(folder_paths.get_folder_paths(FOLDER)[0]) / network.file


def find(network: Network) -> Path:
    """The file of a network, in any subfolder.

    Raises:
        FileNotFoundError: it is nowhere; the message names its URL, path, size and licence.
    """
    folders = list(_folders())
    for folder in folders:
        found = sorted(path for path in folder.rglob(network.file) if path.is_file())
        if found:
            return found[0]
    size = "" if network.size is None else f", {network.size / 1e6:.1f} MB"
    raise FileNotFoundError(
        f"The annotator network {network.name!r} needs the file {network.file}{size}, which is not in "
        f"{', '.join(map(str, folders)) or 'any folder'}. Download {network.url} and put it at {target_of(network)}, "
        f"or set download to true. Licence of the weights: {network.licence}."
    )


def _folders() -> Iterator[Path]:
    """Folders that exist, ours first."""
    named = [Path(folder) for folder in folder_paths.get_folder_paths(FOLDER)]
    named += [Path(folder) / AUX / "ckpts" for folder in folder_paths.get_folder_paths("custom_nodes")]
    if os.environ.get(AUX_VARIABLE):
        named.append(Path(os.environ[AUX_VARIABLE]))
    return (folder for folder in dict.fromkeys(named) if folder.is_dir())
