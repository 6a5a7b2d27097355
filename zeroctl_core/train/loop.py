"""The training loop: a step, a report, a checkpoint now and then. What is trained is a `Task`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor, nn

from .averages import Averages
from .optimisation import Optimisation
from .state import State


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


@dataclass(frozen=True, kw_only=True)
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


class _Reports:
    """Hands every callback where a run stands, with the time that it takes from here on."""

    def __init__(self, state: State, callbacks: Sequence[Callback]) -> None:
        self.state, self.callbacks = state, callbacks
        self.first, self.began = state.step, time.monotonic()

    def __call__(self, loss: float | None) -> None:
        now = self.at(loss)
        for callback in self.callbacks:
            callback(now)

    def at(self, loss: float | None) -> Progress:
        step, how = self.state.step, self.state.how
        seconds = time.monotonic() - self.began
        return Progress(
            step=step,
            steps=how.steps,
            loss=loss,
            learning_rate=how.rate(max(0, step - 1)),
            seconds=seconds,
            seconds_left=seconds / (step - self.first) * (how.steps - step) if step > self.first else None,
            averaged=self.state.averages,
        )


def fit(
    task: Task,
    how: Optimisation,
    *,
    folder: Path | None = None,
    callbacks: Sequence[Callback] = (),
    resumed: Callback = lambda now: None,
    stop_at: int = 0,
) -> Averages | None:
    """Train a task; go on from the newest checkpoint in `folder`, if there is one. Returns the averaged weights.

    Ctrl-C, or any other exception that ends the loop between two steps, writes a checkpoint of the last step; one in
    the middle of a step leaves the checkpoint before. `stop_at` ends the run after that step with a checkpoint, as if
    it had been interrupted there. `resumed` is called with the step of the checkpoint where the run goes on from one.

    Raises `ResumeError` for a folder that holds a run with other settings, and `FloatingPointError` for a loss or a
    gradient that is not finite; no checkpoint is written of such weights.
    """
    state = State(task.modules, how, f"{task.name} {asdict(how)}", folder)
    state.restore()
    state.clear_gradients()  # of a step that was interrupted in this very process
    report, first = _Reports(state, callbacks), state.step
    try:
        if first == 0:
            report(None)
        else:
            resumed(report.at(None))
        while state.step < how.steps:
            report(_step(task, state))
            if state.step % how.checkpoint_every == 0 or state.step in (how.steps, stop_at):
                state.save()
            if state.step == stop_at:
                break
    except BaseException as error:
        state.put_back_weights()
        if state.is_whole and state.step > first and not isinstance(error, FloatingPointError):
            state.save()
        raise
    return state.averages


def _step(task: Task, state: State) -> float:
    """Take one optimiser step; the loss of its batch. Raises `FloatingPointError` before weights move."""
    loss = task.loss(state.step)
    value = float(loss.detach())
    _check_finite("loss", value, task, state)
    loss.backward()  # type: ignore[no-untyped-call]
    _check_finite("gradient", state.clip_gradients(), task, state)
    state.advance()
    return value


def _check_finite(what: str, value: float, task: Task, state: State) -> None:
    if not math.isfinite(value):
        raise FloatingPointError(
            f"the {what} of {task.name} is {value} at step {state.step}; lower the learning rate "
            f"({state.how.learning_rate:g}), or look for images that are not finite"
        )
