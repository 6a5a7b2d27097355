"""A training that takes milliseconds a step: a thin network of the tiny family on random samples of 8x8 latents."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType

import torch
from torch import Tensor, nn

from zeroctl_core import BASES, ControlNet, UNet
from zeroctl_core.files import streamed_safetensors, written_whole
from zeroctl_core.train import averages, checkpointing, loop, state
from zeroctl_core.train.control import ControlTask
from zeroctl_core.train.data import ControlBatch, Prompts
from zeroctl_core.train.objective import Objective
from zeroctl_core.train.optimisation import Optimisation

THIN = BASES["tiny"].with_spec(
    replace(BASES["tiny"].spec, model_channels=8, head_channels=8, groups=4, condition_widths=(2, 4, 4, 8))
)
SAMPLES, BATCH = 6, 2
HOW = Optimisation(steps=6, learning_rate=1e-3, warmup_steps=2, ema_decay=0.9, checkpoint_every=2)
TRACED = {module.__file__ for module in (loop, state, averages, checkpointing, written_whole, streamed_safetensors)}


class ToyData:
    """Random latents, prompts and conditions; remembers which samples were asked for."""

    name = "toy"

    def __init__(self) -> None:
        draw = torch.Generator().manual_seed(5)
        self.latents = torch.randn(SAMPLES, 4, 8, 8, generator=draw)
        self.contexts = torch.randn(SAMPLES, 3, 64, generator=draw)
        self.empty = Prompts(torch.randn(1, 3, 64, generator=draw))
        self.conditions = torch.rand(SAMPLES, 3, 64, 64, generator=draw)
        self.batches: list[list[int]] = []

    def __len__(self) -> int:
        return SAMPLES

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        rows = list(indices)
        self.batches.append(rows)
        return ControlBatch(self.latents[rows], Prompts(self.contexts[rows]), self.conditions[rows])


def new_unet() -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return UNet(THIN)


def new_net(unet: UNet) -> ControlNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return ControlNet.trainable_copy(unet)


def new_task(seed: int = 3, batch_size: int = BATCH, objective: Objective | None = None) -> ControlTask:
    unet = new_unet()
    return ControlTask(unet, new_net(unet), ToyData(), objective or Objective(), seed=seed, batch_size=batch_size)


def weights_of(net: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in net.named_parameters()}


def apart(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> list[str]:
    """Names of the weights that are not equal to the bit."""
    return [name for name, weight in some.items() if not torch.equal(weight, others[name])]


@contextmanager
def at_line(number: int, act: Callable[[], None]) -> Iterator[list[int]]:
    """Do something just before the n-th line of the loop and of the checkpoints' file that is run inside the block.

    Yields a list whose one entry counts the lines.
    """
    count = [0]

    def on_line(frame: FrameType, event: str, argument: object) -> object:
        if event == "line":
            count[0] += 1
            if count[0] == number:
                act()
        return on_line

    def on_call(frame: FrameType, event: str, argument: object) -> object:
        return on_line if frame.f_code.co_filename in TRACED else None

    before, has_grad = sys.gettrace(), torch.is_grad_enabled()
    sys.settrace(on_call)
    try:
        yield count
    finally:
        sys.settrace(before)
        # a trace can act between the last line of `with torch.no_grad()` and its end, where no signal is heard
        torch.set_grad_enabled(has_grad)
