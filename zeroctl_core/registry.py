"""Names for things that register themselves, one thing a file."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """A mapping from name to object, in the order of registration.

    `kind` says in the errors what is registered here. An unknown name is a `KeyError` that lists the known ones;
    a name taken twice is a `ValueError`, because the second would replace the first in silence.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorate the object that gets this name; the object itself is returned unchanged."""

        def add(entry: T) -> T:
            if name in self._entries:
                raise ValueError(
                    f"the {self.kind} {name!r} is registered twice: {self._entries[name]!r} and {entry!r}; "
                    "give one of them another name"
                )
            self._entries[name] = entry
            return entry

        return add

    def __getitem__(self, name: str) -> T:
        try:
            return self._entries[name]
        except KeyError:
            raise KeyError(f"no {self.kind} is called {name!r}; known are: {', '.join(self._entries)}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def import_files_of(package: str, paths: Iterable[str]) -> None:
    """Import a package's own files in name order, so that they register themselves; call as `(__name__, __path__)`.

    A file that does not import fails here with its own traceback: nothing is caught, nothing outside is scanned.
    """
    for name in sorted(info.name for info in pkgutil.iter_modules(paths)):
        importlib.import_module(f"{package}.{name}")
