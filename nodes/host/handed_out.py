"""Lists that go to other packs: some of these add to a list in place, which the host keeps as our output.

The host asks a node before every run whether it changed. A node whose list somebody changed then says so, runs again
and hands out a new one; the lists of all others stay, and with them whatever was made from them.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from typing import Any

from comfy_execution.utils import get_executing_context

__all__ = ["HandedOut"]


class _Watched(list[Any]):
    """A list that remembers what it was made of; other than a plain one it can be held weakly."""

    def __init__(self, entries: Iterable[Any] = ()) -> None:
        super().__init__(entries)
        self._entries = tuple(self)

    @property
    def is_changed(self) -> bool:
        return len(self) != len(self._entries) or any(a is not b for a, b in zip(self, self._entries, strict=True))


class HandedOut:
    """The living lists that the nodes of one class handed out, by the id of the node."""

    def __init__(self) -> None:
        self._lists: dict[str, list[weakref.ref[_Watched]]] = {}
        self._changes: dict[str, int] = {}

    def new(self, entries: Iterable[Any]) -> list[Any]:
        """A list of these entries, for the node that is being executed."""
        watched = _Watched(entries)
        self._lists.setdefault(_node(), []).append(weakref.ref(watched))
        return watched

    def fingerprint(self) -> int:
        """Of the node that is being asked: another number than before where one of its lists was changed since."""
        node = _node()
        living = [watched for ref in self._lists.get(node, ()) if (watched := ref()) is not None]
        self._changes[node] = self._changes.get(node, 0) + sum(watched.is_changed for watched in living)
        self._lists[node] = [weakref.ref(watched) for watched in living if not watched.is_changed]
        return self._changes[node]


def _node() -> str:
    context = get_executing_context()
    return "" if context is None else context.node_id
