"""The ControlNet files of the host's folders and the MODEL's family, by their headers; read again when they change."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import folder_paths

from zeroctl_core import CheckpointError
from zeroctl_core.checkpoint.kinds import ControlKind, control_kind, control_suspect, unet_base
from zeroctl_core.checkpoint.pooling import PUBLISHED_NAME
from zeroctl_core.demo.model import MODEL
from zeroctl_core.files.key_faults import short

from ..family import Family, family_of_base
from ..paths import EMBEDDED, controlnet_paths, demo_weights, fingerprint
from .name_words import OTHERS, words_in

__all__ = ["Condition", "Net", "nets", "source_family"]

FOLDERS = ("checkpoints", "diffusion_models")
"""Of the host, with the MODELs that its loaders list."""
DEMO = "demo"
"""In place of a folder: the embedded model."""
LONGEST_REASON = 160
GONE = "the file is gone"
UNION_RANK = 100
"""Of a union among the nets for an annotator: one that was trained on nothing else comes before it."""

T = TypeVar("T")


@dataclass(frozen=True)
class Condition:
    """What an annotator draws: words in the names of nets for it, the best first, and its type for a union."""

    net_names: tuple[str, ...]
    union_type: int | None


@dataclass(frozen=True, kw_only=True)
class Net:
    """A ControlNet file. family: None where it is not known. kind: what people call it where it is not a ControlNet.
    fault: why it cannot be loaded here, else empty.

    reads: what it was trained on, as far as its header or its name says it. annotators: those that draw that, and their
    ranks, 0 for the best.
    """

    name: str
    family: Family | None = None
    kind: str = ""
    fault: str = ""
    reads: str = ""
    annotators: Mapping[str, int] = field(default_factory=dict)


class _Cache:
    """What was made of files, while they stay as they were."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, Any]] = {}
        self._lock = threading.Lock()

    def get(self, path: Path, make: Callable[[Path], T]) -> T:
        """Raises `OSError` for a file that is gone, and what `make` raises."""
        state = fingerprint(path)
        with self._lock:
            entry = self._values.get(str(path))
        if entry is not None and entry[0] == state:
            value: T = entry[1]
            return value
        value = make(path)
        with self._lock:
            self._values[str(path)] = (state, value)
        return value

    def keep(self, paths: set[str]) -> None:
        """Drop what was made of other files."""
        with self._lock:
            self._values = {path: value for path, value in self._values.items() if path in paths}


_controls, _models = _Cache(), _Cache()


def nets(conditions: Mapping[str, Condition]) -> list[Net]:
    """Every file of the list of ControlNet, in its order."""
    words = [*dict.fromkeys(word for condition in conditions.values() for word in condition.net_names), *OTHERS]
    paths = controlnet_paths()
    _controls.keep({str(path) for path in paths.values()})
    result = []
    for name, path in paths.items():
        kind = GONE if path is None else _kind(path)
        if path is None or isinstance(kind, str):
            result.append(Net(name=name, fault=str(kind)))
        elif kind.n_types is not None:
            result.append(_union(name, kind, conditions))
        else:
            result.append(_plain(name, kind, words_in(_speaking_name(name, path), words), conditions))
    return result


def _kind(path: Path) -> ControlKind | str:
    try:
        return _controls.get(path, _read_control)
    except OSError:
        return GONE


def source_family(folder: str, name: str) -> Family | None:
    """The family of a MODEL's file, as a loader names it; None for a name that the host does not list, and where the
    header does not show one of our families."""
    path: str | Path | None = None
    if folder == DEMO:
        path = demo_weights() / MODEL
    elif folder in FOLDERS and name in folder_paths.get_filename_list(folder):
        path = folder_paths.get_full_path(folder, name)
    if path is None:
        return None
    try:
        base = _models.get(Path(path), unet_base)
    except (OSError, CheckpointError):  # its loader says more
        return None
    return None if base is None else family_of_base(base)


def _read_control(path: Path) -> ControlKind | str:
    """What a file is, or why it cannot be loaded."""
    try:
        return control_kind(path)
    except (OSError, CheckpointError, MemoryError) as error:
        return control_suspect(path) or short(str(error), LONGEST_REASON)


def _speaking_name(name: str, path: Path) -> str:
    """The name of the file, of its folder where the file has diffusers' general one."""
    stem = name.removeprefix(EMBEDDED) if name.startswith(EMBEDDED) else path.stem
    return path.parent.name if stem.startswith(PUBLISHED_NAME) else stem


def _union(name: str, kind: ControlKind, conditions: Mapping[str, Condition]) -> Net:
    number = kind.n_types or 0
    types = {annotator: condition.union_type for annotator, condition in conditions.items()}
    annotators = {annotator: UNION_RANK for annotator, kind in types.items() if kind is not None and kind < number}
    return Net(name=name, family=_family(kind), reads=f"{number} types", annotators=annotators)


def _plain(name: str, kind: ControlKind, in_name: list[str], conditions: Mapping[str, Condition]) -> Net:
    """in_name: words in the name of the file; what its header says comes before them."""
    in_header = [kind.condition] if kind.condition else []
    words = in_header if any(word in c.net_names for word in in_header for c in conditions.values()) else in_name
    annotators = {
        annotator: min(condition.net_names.index(word) for word in words if word in condition.net_names)
        for annotator, condition in conditions.items()
        if not set(words).isdisjoint(condition.net_names)
    }
    return Net(name=name, family=_family(kind), kind=kind.kind, reads=", ".join(words), annotators=annotators)


def _family(kind: ControlKind) -> Family | None:
    return None if kind.base is None else family_of_base(kind.base)
