"""Folders of pictures, conditions and captions as samples: paired by name, with all that is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .sample import FilePicture, Sample

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif")


@dataclass(frozen=True)
class Fault:
    """What is wrong with one sample. `kind` is the same words for all samples that have it."""

    kind: str
    name: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


def find_samples(
    pictures: Path, conditions: Path | None = None, *, background: str = "white", leave_out: Sequence[str] = ()
) -> tuple[list[Sample], list[Fault]]:
    """The samples of a folder, subfolders too, and what is wrong with its names.

    The name of a sample is its path in the folder without the suffix; its condition has the same name in the other
    folder, its caption the same name with `.txt`. Names in `leave_out` are passed over.

    Raises `ValueError` for a folder that does not exist or holds no picture.
    """
    by_name, faults = _by_name(pictures)
    partners, more = _by_name(conditions) if conditions is not None else ({}, [])
    faults = [*faults, *more]
    samples = []
    for name, path in by_name.items():
        if name in leave_out:
            continue
        if conditions is not None and name not in partners:
            faults.append(Fault("without a condition", name))
            continue
        condition = FilePicture(partners[name], "black") if name in partners else None
        picture = FilePicture(path, background)
        samples.append(Sample(name=name, picture=picture, condition=condition, caption=_caption(path)))
    faults += [Fault("a condition without a picture", name) for name in partners if name not in by_name]
    return samples, faults


def _by_name(folder: Path) -> tuple[Mapping[str, Path], list[Fault]]:
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder; give the folder that holds the pictures")
    by_name: dict[str, Path] = {}
    faults = []
    for path in _pictures(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in by_name:
            faults.append(Fault("two pictures of one name", name, f"{by_name[name].name} is taken, {path.name} is not"))
        by_name.setdefault(name, path)
    if not by_name:
        raise ValueError(f"{folder} holds no picture; expected files that end in {', '.join(SUFFIXES)}")
    return by_name, faults


def _pictures(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file())


def _caption(picture: Path) -> str:
    path = picture.with_suffix(".txt")
    return " ".join(path.read_text(encoding="utf-8-sig", errors="replace").split()) if path.is_file() else ""
