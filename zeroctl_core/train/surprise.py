"""What a run or a preparation met and went on from."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO


class Surprise(UserWarning):
    """Something was damaged and is made anew, passed over or left out; or bits will not repeat. Nothing stops."""


@contextmanager
def surprises_said(say: Callable[[str], None]) -> Iterator[None]:
    """Hand the text of every surprise to `say`, at once, beside where warnings go."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", Surprise)
        show = warnings.showwarning

        def shown(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, Surprise):
                say(str(message))
            show(message, category, filename, lineno, file=file, line=line)

        warnings.showwarning = shown
        yield
