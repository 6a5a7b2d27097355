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

from zeroctl_core.annotator_files.finding import missing_network, names_below, network_copies
from zeroctl_core.annotator_files.hub_cache import in_hub_cache
from zeroctl_core.annotator_files.published import repository
from zeroctl_core.annotators.networks import Network

from .roots import roots, target_of

__all__ = ["absent", "copies", "missing"]

log = logging.getLogger("zeroctl")

MEGABYTE = 10**6
CACHE_KEY = "zeroctl/annotator_names"
AUX = "comfyui_controlnet_aux"
AUX_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"  # names another folder for that pack's files
AUX_CONFIG, AUX_KEY = "config.yaml", "annotator_ckpts_path"  # so does a file of the pack, from its own folder


def copies(network: Network) -> Iterator[Path]:
    """The files of a network's name, in any subfolder, and the one in Hugging Face's cache; links may lead nowhere."""
    return network_copies(network, _folders())


def missing(network: Network) -> FileNotFoundError:
    """The error to raise where there is no copy: it names URL, path, size and licence."""
    return missing_network(network, _folders(), target_of, "or set download to true")


def absent(network: Network) -> str:
    """File and size, in words for a list, where there is no copy; empty where there is one."""
    parts = repository(network)
    in_cache = parts and in_hub_cache(parts["repo"], parts["file"], parts["revision"])
    if network.file in _names() or in_cache:
        return ""
    return f"{network.file}, {megabytes(sum(file.size for file in network.files))}"


def megabytes(size: int) -> str:
    """29.4 MB are 29, and .2 are .2: what one looks at before fetching them."""
    return f"{size / 1e6:.0f} MB" if size >= MEGABYTE else f"{size / 1e6:.1f} MB"


def _names() -> frozenset[str]:
    """Of all files in the folders; walked once while the host lists its nodes, as the folders of models are."""
    names: frozenset[str] | None = folder_paths.cache_helper.get(CACHE_KEY)
    if names is None:
        names = names_below(_folders())
        folder_paths.cache_helper.set(CACHE_KEY, names)
    return names


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
