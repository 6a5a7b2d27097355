"""How far a run is, on the terminal as a bar, elsewhere as a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

from .loop import Progress

LINE_EVERY = 50  # steps

Say = Callable[[str], None]


class Display(Protocol):
    """Shows every step, and other lines without disturbing that."""

    def __call__(self, now: Progress) -> None: ...

    def say(self, text: str) -> None: ...

    def close(self) -> None: ...


class Lines:
    """Step, loss and time left every 50 steps, unless something else was told of the step."""

    def __init__(self, name: str, say: Say) -> None:
        self.name, self._say = name, say
        self._is_told = False

    def say(self, text: str) -> None:
        self._is_told = True
        self._say(text)

    def __call__(self, now: Progress) -> None:
        is_told, self._is_told = self._is_told, False
        if is_told or now.loss is None or (now.step % LINE_EVERY and now.step != now.steps):
            return
        left = "" if now.seconds_left is None else f", {duration(now.seconds_left)} left"
        self._say(f"{self.name}: step {now.step}/{now.steps}, loss {now.loss:.4f}{left}")

    def close(self) -> None:
        pass


class Bar:
    """A bar with loss and time left."""

    def __init__(self, name: str, steps: int) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=steps, desc=name, unit="step", dynamic_ncols=True)

    def __call__(self, now: Progress) -> None:
        if self._bar.n == 0 and now.step > 1:  # the run goes on: steps of earlier processes do not count for its speed
            self._bar.initial = now.step - 1
        self._bar.n = now.step
        if now.loss is not None:
            self._bar.set_postfix_str(f"loss {now.loss:.4f}", refresh=False)
        self._bar.update(0)

    def say(self, text: str) -> None:
        self._bar.write(text)

    def close(self) -> None:
        self._bar.close()


def display(name: str, steps: int, say: Say) -> Display:
    """A bar where a person watches the terminal, lines by `say` elsewhere."""
    return Bar(name, steps) if say is print and sys.stderr.isatty() else Lines(name, say)


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
