"""A training step of a ControlNet at the size of its base: seconds and memory, beside finetuning the base itself."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.sizes import Sizes
from benchmarks.random_networks import spec_of, unet_of, unet_weights
from zeroctl_core import ControlNet, UNet
from zeroctl_core.train.control import ControlTask
from zeroctl_core.train.data import ControlBatch, Prompts
from zeroctl_core.train.loop import fit
from zeroctl_core.train.objective import Objective
from zeroctl_core.train.optimisation import Optimisation

WARM_UP = 2
PRECISIONS: dict[str, torch.dtype | None] = {"float32": None, "bfloat16 autocast": torch.bfloat16}


class RandomData:
    """Latents, prompts and conditions without meaning, [n]; as large as real ones."""

    name = "random"

    def __init__(self, n: int, cells: int, context_dim: int) -> None:
        generator = torch.Generator().manual_seed(0)
        self.latents = torch.randn(n, 4, cells, cells, generator=generator)
        self.contexts = torch.randn(n, 77, context_dim, generator=generator)
        self.conditions = torch.rand(n, 3, 8 * cells, 8 * cells, generator=generator)
        self.empty = Prompts(torch.zeros(1, 77, context_dim))

    def __len__(self) -> int:
        return len(self.latents)

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        rows = list(indices)
        return ControlBatch(self.latents[rows], Prompts(self.contexts[rows]), self.conditions[rows])


def training(sizes: Sizes) -> dict[str, Any]:
    """Every precision: the control on its locked base by the loop of `zeroctl_core.train`, and the base finetuned."""
    rows = []
    for precision, dtype in PRECISIONS.items():
        row: dict[str, Any] = {"precision": precision}
        for name, run in (("control", _train_control), ("finetune the base", _finetune)):
            row[name] = _measured(partial(run, sizes, dtype), sizes)
        one, other = row["control"], row["finetune the base"]
        for key, name in (("seconds a step", "time ratio"), ("peak_mb", "memory ratio")):
            if key in one and key in other:
                row[name] = round(one[key] / other[key], 3)
        rows.append(row)
    return {
        "batch": sizes.training_batch,
        "pixels": sizes.pixels,
        "optimiser": "AdamW",
        "tf32_in_convolutions": torch.backends.cudnn.allow_tf32,
        "tf32_in_products": torch.backends.cuda.matmul.allow_tf32,
        "rows": rows,
    }


def _measured(run: Callable[[], list[float]], sizes: Sizes) -> dict[str, Any]:
    cuda = sizes.torch_device.type == "cuda"
    gc.collect()
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        seconds = run()[WARM_UP:]
    except torch.cuda.OutOfMemoryError:  # of a card that is too small for this one
        return {"failed": "out of memory"}
    figures = {"seconds a step": round(statistics.median(seconds), 4), "slowest": round(max(seconds), 4)}
    return figures | ({"peak_mb": round(torch.cuda.max_memory_allocated() / 1e6, 1)} if cuda else {})


def _unet(sizes: Sizes) -> UNet:
    return unet_of(unet_weights(spec_of(sizes.preset), torch.float32, sizes.torch_device))


def _data(sizes: Sizes, unet: UNet) -> RandomData:
    return RandomData(2 * sizes.training_batch, sizes.pixels // 8, unet.spec.context_dim)


def _autocast(sizes: Sizes, dtype: torch.dtype | None) -> Any:
    return nullcontext() if dtype is None else torch.autocast(sizes.torch_device.type, dtype)


def _train_control(sizes: Sizes, dtype: torch.dtype | None) -> list[float]:
    """Seconds of every step. The loop reads the loss back, so a step has ended when it reports."""
    unet = _unet(sizes)
    task = ControlTask(
        unet,
        ControlNet.trainable_copy(unet),
        _data(sizes, unet),
        Objective(),
        seed=0,
        batch_size=sizes.training_batch,
        device=sizes.torch_device,
    )
    times: list[float] = []

    def note(progress: Any) -> None:
        if sizes.torch_device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())

    with _autocast(sizes, dtype):
        fit(task, Optimisation(steps=WARM_UP + sizes.training_steps, learning_rate=1e-5), callbacks=[note])
    return [after - before for before, after in zip(times, times[1:], strict=False)]


def _finetune(sizes: Sizes, dtype: torch.dtype | None) -> list[float]:
    """Seconds of every step of the base itself, at the same size and with the same optimiser."""
    device = sizes.torch_device
    unet = _unet(sizes).to(memory_format=torch.channels_last).requires_grad_(True)
    optimiser = torch.optim.AdamW(unet.parameters(), lr=1e-5, foreach=True)
    batch = _data(sizes, unet).batch(range(sizes.training_batch))
    latent: Tensor = batch.latent.to(device, memory_format=torch.channels_last)
    context, t = batch.prompts.context.to(device), torch.full((sizes.training_batch,), 500.0, device=device)
    times = [time.perf_counter()]
    for _ in range(WARM_UP + sizes.training_steps):
        with _autocast(sizes, dtype):
            loss = (unet(latent, t, context) - latent).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter())
    return [after - before for before, after in zip(times, times[1:], strict=False)]
