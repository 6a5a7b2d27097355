"""The one error of everything that loads weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .key_faults import LONGEST_REASON, short


class CheckpointError(ValueError):
    """A file is not what it should be; the message says what it seems to be and what to do."""


@contextmanager
def checkpoint_errors(path: Path, action: str) -> Iterator[None]:
    """Turn whatever the content of a file provokes in the block into a `CheckpointError` that names the file.

    `FileNotFoundError` and `MemoryError` pass: they say nothing about the content.
    """
    try:
        yield
    except (CheckpointError, FileNotFoundError, MemoryError):
        raise
    except OSError as error:
        raise CheckpointError(
            f"{short(path.name)} cannot be {action} ({short(error.strerror or str(error))}); check the rights, the "
            "length of the name and the disk"
        ) from error
    except Exception as error:
        reason = short(str(error).split("\n")[0] or type(error).__name__, LONGEST_REASON)
        raise CheckpointError(
            f"{short(path.name)} cannot be {action} ({reason}); it is damaged or made for something else: "
            "download it again"
        ) from error
