"""Networks of annotators as models of the host: it moves them to its device, counts them and takes them off again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from torch import nn

from zeroctl_core.annotator_files.annotator_net import AnnotatorNet, digest_of, folder_files, network_files
from zeroctl_core.annotator_files.finding import first_that_loads
from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.params import Value
from zeroctl_core.annotators.transformers_models import load_model

from ..paths import fingerprint
from .download import download, download_folder
from .files import copies, missing
from .folders import first_folder, folder_copies, is_published, missing_folder

__all__ = ["annotator_net", "load_folders", "load_networks"]

log = logging.getLogger("zeroctl")

CACHE_SIZE = 6  # networks that stay in memory for the next run; the host may still move them off its device

NUMBERS_A_PIXEL = 512
"""Memory that the host is asked to leave free, in numbers a pixel: four planes of 128 channels."""

_cache: OrderedDict[tuple[str, str, torch.dtype], Any] = OrderedDict()


def load_networks(names: Sequence[str], may_download: bool, pixels: int) -> list[nn.Module]:
    """Networks of `NETWORKS`, all on the host's device at once, with room for a picture of so many pixels.

    Raises `FileNotFoundError` for a file that is nowhere and may not be downloaded, and what `load_network` raises for
    a file of another kind.
    """
    return _on_device([_patcher_of_network(name, may_download) for name in names], pixels)


def load_folders(
    names: Mapping[str, str], may_download: bool, pixels: int, networks: Sequence[str] = ()
) -> list[nn.Module]:
    """The transformers models of folders, task -> name, and then networks, all on the host's device at once, with room
    as above.

    Raises what `folder_copies`, `load_model` and `load_networks` raise.
    """
    folders = [_patcher_of_folder(task, name, may_download) for task, name in names.items()]
    return _on_device([*folders, *(_patcher_of_network(name, may_download) for name in networks)], pixels)


def annotator_net(
    annotator: Annotator, settings: Mapping[str, Value], may_download: bool, size: tuple[int, int]
) -> AnnotatorNet | None:
    """The network of an annotator with these settings for pictures of this height and width, found and loaded; None
    where it needs none. It comes to the host's device whenever it is used.

    Raises what `load_networks` and `load_folders` raise.
    """
    if annotator.task:
        name = first_folder(annotator.task)
        located = _located_folder(annotator.task, name, may_download)
    elif (network := annotator.network(**settings)) is not None:
        name, located = network, _located_network(network, may_download)
    else:
        return None
    height, width = size
    pixels = annotator.seen_pixels(height, width, **settings)
    return AnnotatorNet(name, digest_of(located.files), lambda: _on_device([located.patcher], pixels)[0])


@dataclass(frozen=True)
class _Located:
    """The files that hold a network, and the host's ModelPatcher of it."""

    files: Sequence[Path]
    patcher: Any


def _patcher_of_network(name: str, may_download: bool) -> Any:
    return _located_network(name, may_download).patcher


def _patcher_of_folder(task: str, name: str, may_download: bool) -> Any:
    return _located_folder(task, name, may_download).patcher


def _located_network(name: str, may_download: bool) -> _Located:
    network = NETWORKS[name]

    def load(path: Path) -> _Located:
        places = network_files(network, path)
        files = ",".join(fingerprint(place) for place in places)
        return _Located(places, _patcher(name, files, lambda: load_network(name, path)))

    return first_that_loads(
        copies(network),
        load,
        fetch=(lambda broken: download(network)) if may_download else None,
        missing=lambda: missing(network),
        remedy="or set download to true to fetch it again",
        say=_say,
    )


def _located_folder(task: str, name: str, may_download: bool) -> _Located:
    def load(folder: Path) -> _Located:
        files = ",".join(fingerprint(path) for path in sorted(folder.iterdir()) if path.is_file())
        patcher = _patcher(task, files, lambda: load_model(folder, task))
        return _Located(folder_files(folder), patcher)

    published = is_published(task, name)
    return first_that_loads(
        folder_copies(task, name),
        load,
        fetch=(lambda broken: download_folder(task, broken)) if may_download and published else None,
        missing=lambda: missing_folder(task),
        remedy="or set download to true to fetch it again" if published else "and download it again",
        say=_say,
    )


def _say(text: str) -> None:
    log.warning("[zeroctl] %s", text)


def _device() -> torch.device:
    """Where networks run. With --novram the host leaves weights on the CPU, and there these compute, too."""
    if comfy.model_management.vram_state == comfy.model_management.VRAMState.NO_VRAM:
        return torch.device("cpu")
    device: torch.device = comfy.model_management.get_torch_device()
    return device


def _dtype(device: torch.device) -> torch.dtype:
    """float16 where the host computes in it; on a CPU and on Apple's chips float32."""
    half = comfy.model_management.should_use_fp16(device) and device.type not in ("cpu", "mps")
    return torch.float16 if half else torch.float32


def _patcher(name: str, files: str, load: Callable[[], nn.Module]) -> Any:
    """The network of these files as the host's ModelPatcher; the last few stay in the cache."""
    device = _device()
    dtype = _dtype(device)
    key = (name, files, dtype)
    if key not in _cache:
        _cache[key] = comfy.model_patcher.ModelPatcher(
            load().to(dtype), load_device=device, offload_device=comfy.model_management.unet_offload_device()
        )
    _cache.move_to_end(key)
    while len(_cache) > CACHE_SIZE:
        _cache.popitem(last=False)
    return _cache[key]


def _on_device(patchers: list[Any], pixels: int) -> list[nn.Module]:
    """The networks, whole on their device: their layers cannot compute with weights that lie elsewhere."""
    itemsize = max((_dtype(patcher.load_device).itemsize for patcher in patchers), default=4)
    comfy.model_management.load_models_gpu(
        patchers, memory_required=NUMBERS_A_PIXEL * itemsize * pixels, force_full_load=True
    )
    return [patcher.model for patcher in patchers]
