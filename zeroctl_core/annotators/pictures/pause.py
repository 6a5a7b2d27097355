"""Long computations can be stopped: they call `pause` between two parts, and whoever runs them says what that does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import nn

_CHECK: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


def pause() -> None:
    """Calls what `pausing` was given, which may raise to stop the computation."""
    check = _CHECK.get()
    if check is not None:
        check()


@contextmanager
def pausing(check: Callable[[], None], *nets: nn.Module) -> Iterator[None]:
    """Inside, `pause()` calls `check`, and so does every layer of the nets before it runs."""
    token = _CHECK.set(check)
    hooks = [layer.register_forward_pre_hook(lambda *_: check()) for net in nets for layer in net.modules()]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        _CHECK.reset(token)
