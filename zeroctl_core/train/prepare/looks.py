"""Glances at pairs by key, kept in a file, so that a preparation that goes on does not read every picture again."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from ...files.written_whole import written_whole
from ..surprise import Surprise
from .keys import key_of
from .look import Look

LOOKS = "looks.json"


def looks_of_part(part: tuple[int, int]) -> str:
    """The file of a share, whose files come into one folder with those of all others."""
    return LOOKS if part == (1, 1) else f"looks-{part[0]}-of-{part[1]}.json"


Looks = dict[str, tuple[Look, Look]]
"""A picture and its condition at a glance, by the key of all that shaped the two."""


@contextmanager
def kept_looks(folder: Path | None, file: str = LOOKS) -> Iterator[tuple[Looks, Looks]]:
    """What a folder has from the last time and from all shares, and an empty table whose content `file` has afterwards;
    after an error, both.

    No folder: nothing is kept. A file that does not hold what was written is warned of and counts as none.

    Raises `OSError` where the disk is full.
    """
    paths = [] if folder is None else sorted(folder.glob("looks*.json"))
    before: Looks = {}
    for path in paths:
        before |= _read(path)
    looks: Looks = {}
    is_whole = False
    try:
        yield before, looks
        is_whole = True
    finally:
        shares = [path for path in paths if path.name != LOOKS] if is_whole and file == LOOKS else []
        if folder is not None and (shares or looks.keys() - before.keys()):
            _write(folder / file, looks if is_whole else before | looks)
        for path in shares:
            path.unlink(missing_ok=True)


def _read(file: Path) -> Looks:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["digest"] != key_of(content["looks"]):
            raise ValueError("it does not hold what was written")
        return {key: (Look(**picture), Look(**condition)) for key, (picture, condition) in content["looks"].items()}
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        warnings.warn(f"{file} is damaged ({error}); the pictures are looked at anew", Surprise, stacklevel=2)
        return {}


def _write(file: Path, looks: Looks) -> None:
    content = {key: [asdict(picture), asdict(condition)] for key, (picture, condition) in looks.items()}
    with written_whole(file) as part:
        part.write_text(json.dumps({"digest": key_of(content), "looks": content}), encoding="utf-8")
