"""Glances at pairs by key, kept in a file, so that a preparation that goes on does not read every picture again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ...files.written_whole import written_whole
from .look import Look

LOOKS = "looks.json"

Looks = dict[str, tuple[Look, Look]]
"""A picture and its condition at a glance, by the key of all that shaped the two."""


@contextmanager
def kept_looks(folder: Path | None) -> Iterator[tuple[Looks, Looks]]:
    """What a folder has from the last time, and an empty table whose content it has afterwards; after an error, both.

    None: nothing is kept. A file that does not hold what was written counts as none.

    Raises `OSError` where the disk is full.
    """
    before: Looks = {} if folder is None else _read(folder / LOOKS)
    looks: Looks = {}
    is_whole = False
    try:
        yield before, looks
        is_whole = True
    finally:
        if folder is not None and looks.keys() - before.keys():
            _write(folder / LOOKS, looks if is_whole else before | looks)


def _read(file: Path) -> Looks:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {key: (Look(**picture), Look(**condition)) for key, (picture, condition) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return {}


def _write(file: Path, looks: Looks) -> None:
    content = {key: [asdict(picture), asdict(condition)] for key, (picture, condition) in looks.items()}
    with written_whole(file) as part:
        part.write_text(json.dumps(content), encoding="utf-8")
