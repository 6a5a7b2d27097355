"""Find the file of a network: in the host's folders `annotators`, then in what comfyui_controlnet_aux has fetched.

Looking costs no network call. A missing file is an error that says from where it comes and where it belongs.
"""

from __future__ import annotations

import os
from pathlib import Path

import folder_paths

from zeroctl_core.annotators.networks import Network

from .roots import files_named, roots, target_of

__all__ = ["find"]

AUX = "comfyui_controlnet_aux"
AUX_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"  # names another folder for that pack's files


def find(network: Network) -> Path:
    """The file of a network, in any subfolder.

    Raises `FileNotFoundError` where it is nowhere, which names its URL, path, size and licence.
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
    folders = [Path(folder) / AUX / "ckpts" for folder in folder_paths.get_folder_paths("custom_nodes")]
    if os.environ.get(AUX_VARIABLE):
        folders.append(Path(os.environ[AUX_VARIABLE]))
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
