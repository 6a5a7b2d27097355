"""Train a control, or something called like one, for a proof: without checkpoints, from a seed."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from torch import nn

from zeroctl_core.demo.source import World
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.loop import Progress, fit
from zeroctl_core.train.run import new_task

CACHE = Path(tempfile.gettempdir()) / "zeroctl-proofs"  # encoded scenes, for the next proof


def config(condition: str, seed: int, steps: int, n_scenes: int = 8192) -> ControlConfig:
    return ControlConfig(
        condition=condition, seed=seed, steps=steps, n_scenes=n_scenes, ema_decay=0.99, snr_gamma=1.0, work=CACHE
    )


def train(settings: ControlConfig, source: World, net: nn.Module) -> tuple[nn.Module, list[float]]:
    """The net with its averaged weights, ready to sample; and the losses."""
    task = new_task(settings, source, net)
    losses: list[float] = []
    began = time.monotonic()

    def note(now: Progress) -> None:
        if now.loss is not None:
            losses.append(now.loss)
        if now.step % 100 == 0:
            print(f"  {settings.condition}: step {now.step}/{now.steps}, {time.monotonic() - began:.0f} s", flush=True)

    averages = fit(task, settings.optimisation, callbacks=[note])
    if averages is not None:
        averages.swap()
    return net.eval().requires_grad_(False), losses
