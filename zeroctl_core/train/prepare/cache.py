"""The folder of a data set that was prepared: its index, and what a run takes from it."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...files.plural import plural
from ...files.written_whole import written_whole
from ..data import ControlBatch, Prompts
from ..display import Say
from ..surprise import Surprise
from .keys import key_of
from .table import ROWS, DamagedShard, read_shard

INDEX = "index.json"
TABLES = ("latents", "conditions", "prompts")
MOST_CHECKED = 50_000_000_000  # bytes of data that are read before a run: about a minute on a fast disk
OPEN_SHARDS = 64  # of each table that are kept in memory


@dataclass(frozen=True, kw_only=True)
class Index:
    """What a folder holds: the samples in order, the first `held_out` of them for scores alone, and their shards."""

    names: tuple[str, ...]
    captions: tuple[int, ...]  # of each sample, its row of the prompts; row 0 is the empty prompt
    held_out: int
    annotator: str  # what drew the conditions, "" where they are pictures of the user's own
    settings: str  # of the annotator
    size: tuple[int, int]  # height and width of the pictures
    encoders: tuple[str, str]  # digits of the autoencoder and of the text encoder
    latents: tuple[str, ...]  # the files of the shards in order
    conditions: tuple[str, ...]
    prompts: tuple[str, ...]
    network: str = ""  # digits of the annotator's network, "" where it needs none

    @property
    def key(self) -> str:
        """Of everything that shaped the data: runs on data of the same key see the same numbers."""
        return key_of(self._content())

    @property
    def condition(self) -> str:
        """What a control of this data follows."""
        return self.annotator or "condition"

    def write(self, folder: Path) -> None:
        content = json.dumps({**self._content(), "key": self.key}, indent=1).encode()
        with written_whole(folder / INDEX, len(content)) as part:
            part.write_bytes(content)

    def _content(self) -> dict[str, Any]:
        """Without a network where there is none: data that was prepared before there were any keeps its key."""
        return {name: value for name, value in asdict(self).items() if name != "network" or value}


def read_index(folder: Path) -> Index:
    """Raises `ValueError` for a folder that was not prepared, or not to the end, and for a damaged index."""
    try:
        return _read_index(folder / INDEX)
    except FileNotFoundError as error:
        raise ValueError(
            f"{folder} holds no prepared data ({INDEX} is missing): run python -m zeroctl_core.train.prepare with "
            "--output to this folder, to its end"
        ) from error
    except ValueError as error:
        raise ValueError(f"{error}; run the preparation again") from error


def _read_index(path: Path) -> Index:
    """Raises `ValueError` for a damaged index, and `FileNotFoundError` for none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        key = content.pop("key")
        fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in content.items()}
        index = Index(**fields)
        index_key = index.key
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error})") from error
    if key != index_key:
        raise ValueError(f"{path} is damaged (it does not hold what was written)")
    return index


def previous_index(folder: Path) -> Index | None:
    """What a folder holds from the last time; None for nothing, and for an index that is damaged, which is warned
    of."""
    if not (folder / INDEX).exists():
        return None
    try:
        return _read_index(folder / INDEX)
    except ValueError as error:
        warnings.warn(
            f"{error}; it is written anew, and what the set before this one alone needs is removed",
            Surprise,
            stacklevel=3,
        )
        return None


def remove_unnamed(folder: Path, indices: Sequence[Index], say: Say) -> None:
    """Remove the shards that none of the indices names, and say how many there were.

    What another program holds stays until the next time.
    """
    named = {file for index in indices for files in (index.latents, index.conditions, index.prompts) for file in files}
    paths = [path for table in TABLES for path in folder.glob(f"{table}-*.safetensors") if path.name not in named]
    n_removed = n_bytes = 0
    for path in paths:
        size = path.stat().st_size
        with suppress(OSError):
            path.unlink()
            n_removed, n_bytes = n_removed + 1, n_bytes + size
    if n_removed:
        say(f"{plural(n_removed, 'file')} of earlier sets in {folder} ({n_bytes / 1e6:.1f} MB) are removed")


class CachedData:
    """Samples of a folder for a run: the `ControlData` of `zeroctl_core.train`. `count` None: all but the held-out.

    Every shard is compared with its digest when it is first read. Raises `ValueError` for more samples than there are,
    and `DamagedShard` for a shard that does not hold what was written.
    """

    def __init__(self, folder: Path, index: Index, count: int | None = None, *, held_out: bool = False) -> None:
        self.index, self.first = index, 0 if held_out else index.held_out
        there = index.held_out if held_out else len(index.names) - index.held_out
        if count is not None and count > there:
            raise ValueError(f"{count} samples are asked for; {folder} holds {there}")
        self.count = there if count is None else count
        self._read = lru_cache(maxsize=3 * OPEN_SHARDS)(lambda file: _columns(folder / file))
        self.empty = self._prompts([0])

    @property
    def name(self) -> str:
        return f"prepared {self.index.key} count {self.count}"

    def __len__(self) -> int:
        return self.count

    def batch(self, indices: Sequence[int]) -> ControlBatch:
        rows = [self.first + index for index in indices]
        prompts = self._prompts([self.index.captions[row] for row in rows])
        if "sizes" in self._read(self.index.latents[0]):
            prompts = replace(prompts, sizes=self._column(self.index.latents, "sizes", rows))
        return ControlBatch(
            latent=self._column(self.index.latents, "mean", rows),
            deviation=self._column(self.index.latents, "deviation", rows),
            prompts=prompts,
            condition=self._column(self.index.conditions, "pixels", rows).float() / 255,
        )

    def _prompts(self, rows: Sequence[int]) -> Prompts:
        y = self._column(self.index.prompts, "y", rows) if "y" in self._read(self.index.prompts[0]) else None
        return Prompts(self._column(self.index.prompts, "context", rows), y)

    def _column(self, files: Sequence[str], column: str, rows: Sequence[int]) -> Tensor:
        return torch.stack([self._read(files[row // ROWS])[column][row % ROWS] for row in rows])


def check_shards(folder: Path, index: Index) -> None:
    """Find out whether the shards hold what was written before a run has trained for hours.

    Of more than `MOST_CHECKED` bytes it is only looked for whether the files are there; each is compared with its
    digest when it is first read, as all are. Raises `DamagedShard`.
    """
    paths = [folder / file for file in dict.fromkeys((*index.latents, *index.conditions, *index.prompts))]
    is_read = sum(path.stat().st_size for path in paths if path.is_file()) <= MOST_CHECKED
    for path in paths:
        if is_read or not path.is_file():
            _columns(path)


def _columns(path: Path) -> dict[str, Tensor]:
    try:
        return read_shard(path)[1]
    except DamagedShard as error:
        raise DamagedShard(f"{error}; run the preparation again, which makes it anew") from error
