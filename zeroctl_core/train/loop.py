"""The training loop: AdamW, warm-up, decay, clipping, a moving average, checkpoints. What is trained is a `Task`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from .averages import Averages
from .checkpointing import Checkpoint, latest_checkpoint, write_checkpoint
from .optimisation import Optimisation


class Task(Protocol):
    """Something to train. `loss` must be a function of the weights and of the step alone."""

    @property
    def name(self) -> str:
        """Names the run, its data and its seeds: a checkpoint of another name is not resumed."""
        ...

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """The networks whose parameters with `requires_grad` are trained."""
        ...

    def loss(self, step: int) -> Tensor: ...


@dataclass(frozen=True)
class Progress:
    """Where a run stands after an optimiser step; step 0 is before the first."""

    step: int
    steps: int
    loss: float | None  # of the batch; None at step 0
    learning_rate: float
    seconds: float  # since this process began or went on
    seconds_left: float | None
    averaged: Averages | None


Callback = Callable[[Progress], None]


def fit(
    task: Task, how: Optimisation, *, folder: Path | None = None, callbacks: Sequence[Callback] = (), stop_at: int = 0
) -> Averages | None:
    """Train a task; go on from the newest checkpoint in `folder`, if there is one. Answers the averaged weights.

    Ctrl-C, or any other exception that ends the loop between two steps, writes a checkpoint of the last step; one in
    the middle of a step leaves the checkpoint before. `stop_at` ends the run after that step with a checkpoint, as if
    it had been interrupted there.

    Raises:
        ResumeError: the folder holds a run with other settings.
        FloatingPointError: the loss or its gradient is not finite; no checkpoint is written of such weights.
    """
    parameters = {
        f"{module_name}.{name}": parameter
        for module_name, module in task.modules.items()
        for name, parameter in module.named_parameters()
        if parameter.requires_grad
    }
    optimiser = torch.optim.AdamW(
        list(parameters.values()), lr=how.learning_rate, betas=how.betas, weight_decay=how.weight_decay, foreach=True
    )
    averages = None if how.ema_decay is None else Averages(parameters, how.ema_decay)
    run = f"{task.name} {asdict(how)}"
    step = 0
    if folder is not None and (found := latest_checkpoint(folder, run)) is not None:
        _restore(found, parameters, optimiser, averages)
        step = found.step
    optimiser.zero_grad(set_to_none=True)  # of a step that was interrupted in this very process
    begun, first = time.monotonic(), step

    def report(loss: float | None) -> None:
        seconds = time.monotonic() - begun
        left = seconds / (step - first) * (how.steps - step) if step > first else None
        now = Progress(step, how.steps, loss, how.rate(max(0, step - 1)), seconds, left, averages)
        for callback in callbacks:
            callback(now)

    def save() -> None:
        if folder is not None:
            write_checkpoint(folder, Checkpoint(step, run, dict(_state(parameters, optimiser, averages))))

    whole = True  # whether weights, optimiser and averages belong to the same step
    try:
        if step == 0:
            report(None)
        while step < how.steps:
            loss = task.loss(step)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise FloatingPointError(_not_finite("loss", value, task, step, how))
            loss.backward()  # type: ignore[no-untyped-call]
            norm = float(torch.nn.utils.clip_grad_norm_(list(parameters.values()), how.clip_norm))
            if not math.isfinite(norm):
                raise FloatingPointError(_not_finite("gradient", norm, task, step, how))
            for group in optimiser.param_groups:
                group["lr"] = how.rate(step)
            whole = False
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step += 1
            if averages is not None:
                averages.update(step)
            whole = True
            report(value)
            if step % how.checkpoint_every == 0 or step in (how.steps, stop_at):
                save()
            if step == stop_at:
                break
    except FloatingPointError:
        raise
    except BaseException:
        if averages is not None:
            averages.put_back()
        if whole and step > first:
            save()
        raise
    return averages


def _not_finite(what: str, value: float, task: Task, step: int, how: Optimisation) -> str:
    return (
        f"the {what} of {task.name} is {value} at step {step}; lower the learning rate ({how.learning_rate:g}), "
        "or look for images that are not finite"
    )


def _state(
    parameters: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer, averages: Averages | None
) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in parameters.items():
        yield f"weight.{name}", parameter.detach()
        for key, value in optimiser.state[parameter].items():
            yield f"optimiser.{key}.{name}", value
        if averages is not None:
            yield f"average.{name}", averages.values[name]


def _restore(
    found: Checkpoint,
    parameters: Mapping[str, nn.Parameter],
    optimiser: torch.optim.Optimizer,
    averages: Averages | None,
) -> None:
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(found.tensors[f"weight.{name}"])
            if averages is not None:
                averages.values[name].copy_(found.tensors[f"average.{name}"])
            state = {"step": found.tensors[f"optimiser.step.{name}"].clone()}
            for key in ("exp_avg", "exp_avg_sq"):
                # in the weight's own layout in memory: arithmetic on another layout may round in another way
                state[key] = torch.empty_like(parameter).copy_(found.tensors[f"optimiser.{key}.{name}"])
            optimiser.state[parameter] = state
