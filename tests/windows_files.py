"""Windows' rules for files, on Linux: what is mapped or open cannot be replaced, removed or renamed.

`with WindowsFiles() as rules:` or the fixture `windows_files`. By its documentation and public reports: a file of
which a map lives is neither replaced (error 5) nor opened for writing (1224), an open one is neither renamed nor
removed (32), also not the folder that it is in; folders cannot be opened; a handle that only reads is not flushed.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import pytest

TEXTS = {
    5: "Access is denied",
    32: "The process cannot access the file because it is being used by another process",
    1224: "The requested operation cannot be performed on a file with a user-mapped section open",
}


def refusal(number: int, path: object) -> OSError:
    """The exception that Python raises on Windows: error 1224 has no errno of its own there."""
    kind, code = (OSError, 22) if number == 1224 else (PermissionError, 13)
    error = kind(code, f"[WinError {number}] {TEXTS[number]}", os.fspath(path))
    error.winerror = number
    return error


def mapped() -> set[str]:
    """The files of which this process has a map."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    return {parts[5] for line in lines if len(parts := line.split(maxsplit=5)) == 6 and parts[5].startswith("/")}


def opened() -> set[str]:
    """The files that this process has open."""
    paths = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            paths.add(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            pass  # the listing's own
    return paths


class WindowsFiles:
    """A context in which `os` and `open` keep Windows' rules. `refuse(n)`: the next n renames fail, as by a scanner."""

    def __init__(self) -> None:
        self.refusals = 0
        self.renames = 0  # that were asked for
        self.flushed: list[int] = []
        self._stack = ExitStack()

    def refuse(self, times: int) -> None:
        self.refusals = times

    def __enter__(self) -> WindowsFiles:
        patch = lambda target, name, value: self._stack.enter_context(mock.patch.object(target, name, value))  # noqa: E731
        self._open, self._fsync, self._os_open = io.open, os.fsync, os.open
        for name in ("replace", "rename"):
            patch(os, name, self._renames(getattr(os, name)))
        for name in ("unlink", "remove"):
            patch(os, name, self._removes(getattr(os, name)))
        patch(os, "open", self._opens_a_handle)
        patch(os, "fsync", self._flushes)
        patch(io, "open", self._opens)
        patch(builtins, "open", self._opens)
        patch(shutil, "_use_fd_functions", False)  # of folders, which Windows does not open
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _check(self, path: object) -> None:
        place = os.path.realpath(os.fspath(path))
        for number, paths in ((5, mapped()), (32, opened())):
            if any(other == place or other.startswith(place + "/") for other in paths):
                raise refusal(number, path)

    def _renames(self, real):
        def rename(source, target, **options):
            self.renames += 1
            if self.refusals > 0:
                self.refusals -= 1
                raise refusal(5, source)
            self._check(source)
            if os.path.lexists(target):
                self._check(target)
                if os.path.isdir(target):  # not even an empty one
                    raise refusal(5, target)
            real(source, target, **options)

        return rename

    def _removes(self, real):
        def remove(path, **options):
            self._check(path)
            real(path, **options)

        return remove

    def _opens(self, file, mode="r", *args, **options):
        if not isinstance(file, int) and set(mode) & set("wa+x") and os.path.realpath(os.fspath(file)) in mapped():
            raise refusal(1224, file)
        return self._open(file, mode, *args, **options)

    def _opens_a_handle(self, path, flags, *args, **options):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return self._os_open(path, flags, *args, **options)

    def _flushes(self, handle) -> None:
        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        self.flushed.append(handle)
        self._fsync(handle)


@pytest.fixture
def windows_files():
    """Windows' rules for files, for a whole test."""
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the emulation reads /proc")
    with WindowsFiles() as rules:
        yield rules
