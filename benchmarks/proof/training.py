"""Train something for a proof, by the settings of the embedded controls, so that a process that was killed goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
from torch import nn

from benchmarks.proof.record import Proof, Training
from zeroctl_core.demo.source import World
from zeroctl_core.demo.stages.controls import config_of
from zeroctl_core.files.written_whole import remove_folder, written_whole
from zeroctl_core.train.checkpointing import CHECKPOINTS
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.lock import sole_run
from zeroctl_core.train.loop import Callback, Progress, Task, fit
from zeroctl_core.train.optimisation import Optimisation
from zeroctl_core.train.run import LOG, new_task
from zeroctl_core.train.watching import Log, Watch

FINISHED = "finished.safetensors"  # in the folder of a run: its averaged weights
TOLD_EVERY = 50  # steps

N = TypeVar("N", bound=nn.Module)


def settings_of(proof: Proof[Any], condition: str, run: str, seed: int, steps: int, **others: Any) -> ControlConfig:
    """Those of the embedded control of a condition, but for the seed and the steps, as a run of the proof's own; no
    scores unless others say so."""
    options: Training = proof.options
    quiet = {"score_every": 0, "score_steps": (), "gap_every": 0}
    return replace(
        config_of(condition, options.weights, options.work),
        n_scenes=options.scenes,
        seed=seed,
        steps=steps,
        run=f"{proof.name}-{run}-{seed}",
        output=None,
        **(quiet | others),
    )


def train(
    config: ControlConfig, source: World, net: N, say: Callable[[str], None], callbacks: Sequence[Callback] = ()
) -> tuple[N, Log]:
    """A net with its averaged weights, ready to sample, and the log of its training; called like a `ControlNet`."""
    task = new_task(config, source, net)
    watch = Watch(config, task, source, log=config.folder / LOG, say=say)
    train_once(task, config.optimisation, config.folder, say, callbacks=[watch, *callbacks], resumed=watch.resumed)
    return net.eval().requires_grad_(False), watch.log


def train_once(
    task: Task,
    how: Optimisation,
    folder: Path,
    say: Callable[[str], None],
    *,
    callbacks: Sequence[Callback] = (),
    resumed: Callback = lambda now: None,
) -> None:
    """Train a task, or go on with it, or take what an earlier process finished; leaves the averaged weights in place.

    Raises what `fit` raises, and `ValueError` for a folder that another process is using.
    """
    run, path = f"{task.name} {asdict(how)}", folder / FINISHED

    def tell(now: Progress) -> None:
        if now.loss is not None and (now.step % TOLD_EVERY == 0 or now.step == now.steps):
            say(f"{folder.name}: step {now.step}/{now.steps}, loss {now.loss:.4f}")

    with sole_run(folder):
        if _take(task, path, run):
            say(f"{folder.name}: finished before")
            return
        averages = fit(task, how, folder=folder / CHECKPOINTS, callbacks=[*callbacks, tell], resumed=resumed)
        if averages is not None:
            averages.swap()
        tensors = {
            f"{name}.{key}": value.contiguous()
            for name, module in task.modules.items()
            for key, value in module.state_dict().items()
        }
        with written_whole(path) as part:
            safetensors.torch.save_file(tensors, part, {"run": run})
        remove_folder(folder / CHECKPOINTS)  # of thirty runs they would take gigabytes


def _take(task: Task, path: Path, run: str) -> bool:
    """Put the weights of a finished run in place; False where there is none of these settings."""
    if not path.is_file():
        return False
    with safetensors.safe_open(path, framework="pt") as file:
        if (file.metadata() or {}).get("run") != run:
            return False
    tensors = safetensors.torch.load_file(path)
    for name, module in task.modules.items():
        module.load_state_dict({key: tensors[f"{name}.{key}"] for key in module.state_dict()})
    return True
