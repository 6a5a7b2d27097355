"""Find the file of a network: in the host's folders `annotators`, then in what other programs have fetched.

Looking costs no network call. A missing file is an error that says from where it comes and where it belongs.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import folder_paths

from zeroctl_core.annotator_files.finding import missing_network, network_copies
from zeroctl_core.annotators.networks import Network

from .roots import roots, target_of

__all__ = ["copies", "missing"]

log = logging.getLogger("zeroctl")

AUX = "comfyui_controlnet_aux"
AUX_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"  # names another folder for that pack's files
AUX_CONFIG, AUX_KEY = "config.yaml", "annotator_ckpts_path"  # so does a file of the pack, from its own folder


def copies(network: Network) -> Iterator[Path]:
    """The files of a network's name, in any subfolder, and the one in Hugging Face's cache; links may lead nowhere."""
    return network_copies(network, _folders())


def missing(network: Network) -> FileNotFoundError:
    """The error to raise where there is no copy: it names URL, path, size and licence."""
    return missing_network(network, _folders(), target_of, "or set download to true")


def _folders() -> list[Path]:
    return [*roots(), *_of_aux()]


def _of_aux() -> list[Path]:
    """Folders in which comfyui_controlnet_aux keeps what it has downloaded."""
    packs = [Path(folder) / AUX for folder in folder_paths.get_folder_paths("custom_nodes")]
    folders = [folder for pack in packs for folder in (pack / "ckpts", _in_config(pack)) if folder is not None]
    if os.environ.get(AUX_VARIABLE):
        folders.append(Path(os.environ[AUX_VARIABLE]))
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def _in_config(pack: Path) -> Path | None:
    """The folder that the pack's config.yaml names; None where there is none, or one that cannot be read."""
    path = pack / AUX_CONFIG
    if not path.is_file():
        return None
    try:
        config = importlib.import_module("yaml").safe_load(path.read_text(encoding="utf-8"))
        return pack / config[AUX_KEY] if AUX_KEY in config else None
    except Exception as error:  # somebody else's file; what it names is one place of several
        log.warning("[zeroctl] passed over: %s cannot be read (%s)", path, error)
        return None
