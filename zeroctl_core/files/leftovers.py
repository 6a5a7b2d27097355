"""Names for what is being written, by which a later write recognises what a killed process left."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import sys
import uuid
from contextlib import suppress
from pathlib import Path

UNFINISHED = ".part"
"""How the names of what is not finished end; they begin with a dot."""
NAME_LENGTH = 40  # characters of the target's name, so that the whole name is never too long for a file system

MACHINE = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
"""Whose process a number is: several machines may write into one shared folder."""

_PART = re.compile(rf"\..*\.(?P<machine>[0-9a-f]{{6}})-(?P<pid>\d+)-[0-9a-f]{{8}}{re.escape(UNFINISHED)}", re.DOTALL)
_own: set[str] = set()  # names in use by this process


def new_part(path: Path) -> Path:
    """A new name beside `path`, in use until `release_part`: `.NAME.MACHINE-PROCESS-RANDOM.part`."""
    name = f".{path.name[:NAME_LENGTH]}.{MACHINE}-{os.getpid()}-{uuid.uuid4().hex[:8]}{UNFINISHED}"
    _own.add(name)
    return path.with_name(name)


def release_part(part: Path) -> None:
    """Say that this process writes there no longer."""
    _own.discard(part.name)


def clear_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that have ended did not finish in a folder."""
    with suppress(OSError):
        for path in list(folder.iterdir()):
            if is_leftover(path.name):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    with suppress(OSError):
                        path.unlink()


def is_leftover(name: str) -> bool:
    """Whether a name is that of something unfinished whose process has ended."""
    match = _PART.fullmatch(name)
    if match is None or match["machine"] != MACHINE or name in _own:
        return False
    process = int(match["pid"])
    # in a container every start may have the same number: what this process does not know is of one before it
    return process == os.getpid() or not is_running(process)


def is_running(process: int) -> bool:
    """Whether a process of this machine runs, by its number; True where the system does not say."""
    if sys.platform == "win32":
        return _is_running_on_windows(process)
    try:
        os.kill(process, 0)  # signal 0 is sent to nobody; on Windows the same call would end the process
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is somebody else's; it is not a number that the system has
        return True
    return True


def _is_running_on_windows(process: int) -> bool:
    """As the documentation of OpenProcess and WaitForSingleObject says."""
    if sys.platform != "win32":
        raise OSError("only Windows has these calls")
    import ctypes

    synchronize, invalid_parameter, still_runs = 0x00100000, 87, 258
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    kernel.WaitForSingleObject.argtypes = (ctypes.c_void_p, ctypes.c_uint32)
    kernel.CloseHandle.argtypes = (ctypes.c_void_p,)
    handle = kernel.OpenProcess(synchronize, False, process)
    if not handle:
        return bool(ctypes.get_last_error() != invalid_parameter)
    try:
        return bool(kernel.WaitForSingleObject(handle, 0) == still_runs)
    finally:
        kernel.CloseHandle(handle)
