"""Folders of pictures, conditions and captions as samples: paired by name, with all that is wrong with the names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .fault import CAPTION_ALONE, NO_CONDITION, NO_PICTURE, NOT_THERE, SAME_NAME, Fault
from .sample import FilePicture, Picture, Sample

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")
BEHIND_CONDITIONS = "black"  # where they are transparent: nothing


@dataclass(frozen=True, kw_only=True)
class Half:
    """A picture or a condition whose partner is missing."""

    name: str
    picture: Picture | None = None
    condition: Picture | None = None


@dataclass(frozen=True, kw_only=True)
class Found:
    """The samples of a folder in the order of their names, what is wrong with its names, and what has no partner."""

    samples: Sequence[Sample]
    faults: Sequence[Fault]
    halves: Sequence[Half]


def find_samples(
    pictures: Path, conditions: Path | None = None, *, background: str = "white", leave_out: Collection[str] = ()
) -> Found:
    """The samples of a folder, subfolders too.

    The name of a sample is its path in the folder without the suffix; its condition has the same name in the other
    folder, its caption the same name with `.txt`. Names in `leave_out` are passed over with all that is wrong with
    them; one that does not exist is a fault.

    Raises `ValueError` for a folder that does not exist or holds no picture.
    """
    by_name, faults = _by_name(pictures)
    partners, more = _by_name(conditions) if conditions is not None else ({}, [])
    faults = [*faults, *more, *_captions_alone(pictures, by_name)]
    samples, halves = [], []
    for name in sorted({*by_name, *partners} - set(leave_out)):
        picture = FilePicture(by_name[name], background) if name in by_name else None
        condition = FilePicture(partners[name], BEHIND_CONDITIONS) if name in partners else None
        if picture is None or (condition is None and conditions is not None):
            halves.append(Half(name=name, picture=picture, condition=condition))
            faults.append(Fault(NO_PICTURE if picture is None else NO_CONDITION, name))
            continue
        caption = _caption(by_name[name])
        samples.append(Sample(name=name, picture=picture, condition=condition, caption=caption))
    there = {*by_name, *partners, *(fault.name for fault in faults)}
    faults = [fault for fault in faults if fault.name not in leave_out]
    faults += [Fault(NOT_THERE, name) for name in leave_out if name not in there]
    return Found(samples=samples, faults=faults, halves=halves)


def read_leave_out(file: Path) -> list[str]:
    """The names of a text file, one a line, as the contact sheet shows them. Raises `OSError` for a missing file."""
    lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    return list(dict.fromkeys(name for line in lines if (name := line.strip())))


def _by_name(folder: Path) -> tuple[Mapping[str, Path], list[Fault]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder that holds the pictures")
    by_name: dict[str, Path] = {}
    faults = []
    for path in _pictures(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in by_name:
            faults.append(Fault(SAME_NAME, name, f"{by_name[name].name} is taken, {path.name} is not"))
        by_name.setdefault(name, path)
    if not by_name:
        raise ValueError(f"{folder} holds no picture; expected files that end in {', '.join(SUFFIXES)}")
    return by_name, faults


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())


def _captions_alone(folder: Path, pictures: Collection[str]) -> list[Fault]:
    names = [path.relative_to(folder).with_suffix("").as_posix() for path in sorted(folder.rglob("*.txt"))]
    return [Fault(CAPTION_ALONE, name) for name in names if name not in pictures]


def _caption(picture: Path) -> str:
    path = picture.with_suffix(".txt")
    return " ".join(path.read_text(encoding="utf-8-sig", errors="replace").split()) if path.is_file() else ""
