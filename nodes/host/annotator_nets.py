"""Networks of annotators as models of the host: it loads, offloads and counts them; pictures go through in chunks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from torch import Tensor, nn

from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.annotators.transformers_models import load_model

from .annotator_files import find
from .annotator_folders import find_folder
from .download import download
from .paths import fingerprint

__all__ = [
    "annotate_in_chunks",
    "device_of",
    "forget",
    "in_chunks",
    "loaded",
    "loaded_folder",
    "picture_by_picture",
]

T = TypeVar("T")

KEPT = 3  # networks that stay in memory for the next run; the host may still move them off its device

_kept: OrderedDict[tuple[str, str, torch.dtype], Any] = OrderedDict()


def loaded(name: str, may_download: bool) -> nn.Module:
    """A network of `NETWORKS` on the host's device.

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
    return _on_device(name, path, lambda: load_network(name, path))


def loaded_folder(task: str, name: str, may_download: bool) -> nn.Module:
    """The transformers model of a folder on the host's device; raises what `find_folder` and `load_model` raise."""
    folder = find_folder(task, name, may_download)
    return _on_device(task, folder / "config.json", lambda: load_model(folder, task))


def _on_device(what: str, path: Path, load: Callable[[], nn.Module]) -> nn.Module:
    """The network of a file as the host's ModelPatcher, float16 where the host computes in it; the last are kept."""
    device = comfy.model_management.get_torch_device()
    dtype = torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32
    key = (what, fingerprint(path), dtype)
    if key not in _kept:
        _kept[key] = comfy.model_patcher.ModelPatcher(
            load().to(dtype), load_device=device, offload_device=comfy.model_management.unet_offload_device()
        )
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    comfy.model_management.load_models_gpu([_kept[key]])
    module: nn.Module = _kept[key].model
    return module


def forget() -> None:
    """Drop the networks that are kept."""
    _kept.clear()


def annotate_in_chunks(
    annotator: Annotator, image: Tensor, net: nn.Module | None, mask: Tensor | None = None, **params: Any
) -> Tensor:
    """Annotate a batch, some pictures at a time."""
    device = image.device if net is None else device_of(net)
    extra: dict[str, Any] = {} if net is None else {"net": net}

    def run(part: slice) -> Tensor:
        if mask is not None:
            extra["mask"] = mask[part].to(device)
        return annotator(image[part].to(device), **extra, **params)

    return in_chunks(len(image), device, run)


def device_of(net: nn.Module) -> torch.device:
    return next(net.parameters()).device


def in_chunks(count: int, device: torch.device, run: Callable[[slice], Tensor]) -> Tensor:
    """What a function says of the pictures of a batch, some at a time, where the host keeps what nodes give.

    The host's progress bar goes with it, and it may be interrupted in between.
    """
    bar = comfy.utils.ProgressBar(count)
    target = comfy.model_management.intermediate_device()
    parts: list[Tensor] = []

    def step(start: int, end: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        parts.append(run(slice(start, end)).to(target))
        bar.update_absolute(end, count)

    size, start = _chunk(lambda: step(0, 1), device), 1
    while start < count:
        end = min(start + size, count)
        step(start, end)
        start = end
    return torch.cat(parts)


def picture_by_picture(image: Tensor, call: Callable[[int], T]) -> list[T]:
    """What a function says of each picture, by its number, with the host's progress bar and interruption."""
    bar = comfy.utils.ProgressBar(len(image))
    said: list[T] = []
    for row in range(len(image)):
        comfy.model_management.throw_exception_if_processing_interrupted()
        said.append(call(row))
        bar.update_absolute(row + 1, len(image))
    return said


def _chunk(first: Callable[[], None], device: torch.device) -> int:
    """Annotate the first picture and say how many more may go together: half of the free memory by what it took.

    On a CPU one: a chunk of four takes four times as long as one there, and four times the memory.
    """
    if device.type != "cuda":
        first()
        return 1
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    first()
    took = max(torch.cuda.max_memory_allocated(device) - before, 1)
    return max(1, int(comfy.model_management.get_free_memory(device) / 2 / took))
