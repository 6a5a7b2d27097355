"""The training loop: AdamW, warm-up, decay, clipping, a moving average, checkpoints. What is trained is a `Task`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from .checkpointing import Checkpoint, latest_checkpoint, write_checkpoint


@dataclass(frozen=True)
class Optimisation:
    """How weights are moved."""

    steps: int  # of the optimiser
    learning_rate: float
    betas: tuple[float, float] = (0.9, 0.999)  # of AdamW
    weight_decay: float = 0.01  # decoupled, as in AdamW
    warmup_steps: int = 50  # over which the learning rate rises from 0
    decay: Literal["constant", "cosine"] = "constant"  # of the learning rate after the warm-up, to 0 at the last step
    clip_norm: float = 1.0  # L2 norm of all gradients together
    ema_decay: float | None = None  # of the moving average of the weights; None: no average is kept
    checkpoint_every: int = 250  # steps

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, 2..."""
        rate = self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup_steps))
        if self.decay == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * step / self.steps))
        return rate


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


class Averages:
    """The exponential moving average of weights; `with averages.applied():` measures what it is worth."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = parameters, decay
        self.values = {key: value.detach().clone() for key, value in parameters.items()}
        self._put_aside: dict[str, Tensor] = {}  # the weights, while the averages are in their place

    def update(self, step: int) -> None:
        """Short at first, so that the start is forgotten: the decay of step n is at most (1 + n) / (10 + n)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        names = list(self.values)
        torch._foreach_lerp_([self.values[n] for n in names], [self.parameters[n].detach() for n in names], 1 - decay)

    def swap(self) -> None:
        """Exchange weights and averages; twice is nothing."""
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                kept = parameter.detach().clone()
                parameter.copy_(self.values[key])
                self.values[key].copy_(kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The averages in the place of the weights, inside the block; afterwards the weights are back to the bit."""
        self._put_aside = {key: parameter.detach().clone() for key, parameter in self.parameters.items()}
        try:
            with torch.no_grad():
                for key, parameter in self.parameters.items():
                    parameter.copy_(self.values[key])
            yield
        finally:
            self.put_back()

    def put_back(self) -> None:
        """Put the weights back, also when `applied` was interrupted while it did so; else nothing."""
        with torch.no_grad():
            for key, weight in self._put_aside.items():
                self.parameters[key].copy_(weight)
        self._put_aside = {}


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
