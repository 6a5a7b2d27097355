"""What a stage is: something to train, where it is saved, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ...train.averages import Averages
from ...train.loop import Progress, Task, fit
from ...train.optimisation import Optimisation
from .precision import float32_everywhere

SEED = 1  # of every stage: scenes, start, order and noise
CHECK = Optimisation(steps=50, learning_rate=1e-4, warmup_steps=1, checkpoint_every=51)

Scores = dict[str, float]
T = TypeVar("T", bound=Task)


class Watcher(Protocol):
    """A callback of the loop that keeps what it saw."""

    @property
    def lines(self) -> list[dict[str, float]]: ...

    def __call__(self, now: Progress) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[T]):
    """`new` makes the task with fresh weights, `shipped` with those that stand in the folder of weights; both read the
    files of earlier stages there and may keep what is slow to make in the second folder, where checkpoints are too."""

    name: str
    how: Optimisation
    batch_size: int
    new: Callable[[Path, Path], T]
    shipped: Callable[[Path, Path], T]
    save: Callable[[T, Path, Path, Mapping[str, object]], Path]
    score: Callable[[Path, Path], Scores]
    targets: Mapping[str, float]  # scores that must at least be reached
    at_most: Mapping[str, float] = field(default_factory=dict)  # scores that must not be exceeded
    watch: Callable[[T, Path, Path], Watcher] | None = None  # what is measured beside the losses


def use_averages(averages: Averages | None) -> None:
    """Put the averaged weights in the place of the last ones."""
    if averages is not None:
        averages.swap()


def losses_from(task: Task) -> list[float]:
    """The losses of 50 further steps at a small rate, in float32: they repeat on the same weights, data and seeds."""
    losses: list[float] = []

    def note(now: Progress) -> None:
        if now.loss is not None:
            losses.append(now.loss)

    with float32_everywhere():
        fit(task, CHECK, callbacks=[note])
    return losses
