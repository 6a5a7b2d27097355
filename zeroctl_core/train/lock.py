"""One run at a time in a folder: a lock of the system, which ends with its process, however that ends."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

FAR = 1 << 30
"""Windows locks bytes for readers too, so the locked one lies far behind the number that they read."""
IN_USE = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


@contextmanager
def sole_run(folder: Path) -> Iterator[None]:
    """Hold a folder for this run alone, inside the block.

    The lock lies beside the folder, so that the folder itself can be removed. Its file stays, without a meaning of its
    own: a run that was killed does not block the next one.

    Raises `ValueError` with the number of the process that has the folder.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.with_name(f".{folder.name}.lock")
    with path.open("a+b") as file:
        try:
            _lock(file)
        except OSError as error:
            if error.errno in IN_USE:
                raise ValueError(
                    f"{folder} is in use by another run{_process_of(file)}; wait for its end, or give this one another "
                    "name"
                ) from error
            # a file system without locks: as well as it goes
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()).encode())
        file.flush()
        yield


def _lock(file: IO[bytes]) -> None:
    """Raises `OSError` where another process, or another part of this one, has the lock."""
    if sys.platform == "win32":
        import msvcrt

        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _process_of(file: IO[bytes]) -> str:
    with suppress(OSError, ValueError):
        file.seek(0)
        return f" (process {int(file.read(32))})"
    return ""
