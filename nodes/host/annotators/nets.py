"""Networks of annotators as models of the host: it moves them to its device, counts them and takes them off again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor, nn

from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.transformers_models import load_model

from ..paths import fingerprint
from .chunks import in_chunks, kept
from .download import download
from .files import find
from .folders import find_folder

__all__ = ["annotate_in_chunks", "device_of", "loaded", "loaded_folders"]

KEPT = 6  # networks that stay in memory for the next run; the host may still move them off its device

NUMBERS_A_PIXEL = 512
"""Memory that the host is asked to leave free, in numbers a pixel: four planes of 128 channels."""

_kept: OrderedDict[tuple[str, str, torch.dtype], Any] = OrderedDict()


def loaded(name: str, may_download: bool, pixels: int) -> nn.Module:
    """A network of `NETWORKS` on the host's device, with room for a picture of so many pixels.

    Raises:
        FileNotFoundError: the file is nowhere, and may not be downloaded; what a file of another kind raises
            `load_network` says.
    """
    network = NETWORKS[name]
    try:
        path = find(network)
    except FileNotFoundError:
        if not may_download:
            raise
        path = download(network)
    return _on_device([_patcher(name, fingerprint(path), lambda: load_network(name, path))], pixels)[0]


def loaded_folders(names: Mapping[str, str], may_download: bool, pixels: int) -> list[nn.Module]:
    """The transformers models of folders, task -> name, all on the host's device at once.

    Raises what `find_folder` and `load_model` raise.
    """
    folders = {task: find_folder(task, name, may_download) for task, name in names.items()}
    patchers = []
    for task, folder in folders.items():
        files = ",".join(fingerprint(path) for path in sorted(folder.iterdir()) if path.is_file())
        patchers.append(_patcher(task, files, lambda folder=folder, task=task: load_model(folder, task)))
    return _on_device(patchers, pixels)


def annotate_in_chunks(
    annotator: Annotator, image: Tensor, net: nn.Module | None, mask: Tensor | None = None, **params: Any
) -> Tensor:
    """Annotate a batch, some pictures at a time."""
    device = image.device if net is None else device_of(net)
    extra: dict[str, Any] = {} if net is None else {"net": net}

    def run(part: slice) -> Tensor:
        if mask is not None:
            extra["mask"] = mask[part].to(device)
        return kept(annotator(image[part].to(device), **extra, **params))

    return torch.cat(in_chunks(len(image), device, run))


def device_of(net: nn.Module) -> torch.device:
    return next(net.parameters()).device


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


def _patcher(what: str, files: str, load: Callable[[], nn.Module]) -> Any:
    """The network of these files as the host's ModelPatcher; the last few are kept."""
    device = _device()
    dtype = _dtype(device)
    key = (what, files, dtype)
    if key not in _kept:
        _kept[key] = comfy.model_patcher.ModelPatcher(
            load().to(dtype), load_device=device, offload_device=comfy.model_management.unet_offload_device()
        )
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key]


def _on_device(patchers: list[Any], pixels: int) -> list[nn.Module]:
    """The networks, whole on their device: their layers cannot compute with weights that lie elsewhere."""
    itemsize = max((_dtype(patcher.load_device).itemsize for patcher in patchers), default=4)
    comfy.model_management.load_models_gpu(
        patchers, memory_required=NUMBERS_A_PIXEL * itemsize * pixels, force_full_load=True
    )
    return [patcher.model for patcher in patchers]
