"""Networks of annotators as models of the host: it loads, offloads and counts them; pictures go through in chunks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from torch import Tensor, nn

from zeroctl_core.annotators import Annotator
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network

from .annotator_files import find
from .download import download
from .paths import fingerprint

__all__ = ["annotate_in_chunks", "forget", "loaded"]

KEPT = 3  # networks that stay in memory for the next run; the host may still move them off its device

_kept: OrderedDict[tuple[str, str, torch.dtype], Any] = OrderedDict()


def loaded(name: str, may_download: bool) -> nn.Module:
    """A network of `NETWORKS` on the host's device, float16 where the host computes in it.

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
    device = comfy.model_management.get_torch_device()
    dtype = torch.float16 if comfy.model_management.should_use_fp16(device) else torch.float32
    patcher = _patcher(name, path, dtype)
    comfy.model_management.load_models_gpu([patcher])
    module: nn.Module = patcher.model
    return module


def _patcher(name: str, path: Path, dtype: torch.dtype) -> Any:
    """The network of a file as the host's ModelPatcher; the last few are kept."""
    key = (name, fingerprint(path), dtype)
    if key not in _kept:
        _kept[key] = comfy.model_patcher.ModelPatcher(
            load_network(name, path).to(dtype),
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key]


def forget() -> None:
    """Drop the networks that are kept."""
    _kept.clear()


def annotate_in_chunks(
    annotator: Annotator, image: Tensor, net: nn.Module | None, mask: Tensor | None = None, **params: Any
) -> Tensor:
    """Annotate a batch, some pictures at a time, with the host's progress bar; it may be interrupted in between."""
    count = len(image)
    bar = comfy.utils.ProgressBar(count)
    device = image.device if net is None else next(net.parameters()).device
    target = comfy.model_management.intermediate_device()
    parts: list[Tensor] = []

    def run(start: int, end: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        extra: dict[str, Any] = {} if net is None else {"net": net}
        if mask is not None:
            extra["mask"] = mask[start:end].to(device)
        parts.append(annotator(image[start:end].to(device), **extra, **params).to(target))
        bar.update_absolute(end, count)

    start = 1
    size = _chunk(lambda: run(0, 1), device)
    while start < count:
        end = min(start + size, count)
        run(start, end)
        start = end
    return torch.cat(parts)


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
