"""Rows by key, in shards of safetensors that are whole or absent: what is there is kept, what lacks is made."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from ...files.streamed_safetensors import n_bytes_of, stream_safetensors
from ...files.written_whole import written_whole
from ..surprise import Surprise
from .keys import key_of

ROWS = 64  # of a shard

Row = Mapping[str, Tensor]
"""The tensors of one row, by column."""


class DamagedShard(ValueError):
    """A shard that does not hold what was written."""


@dataclass(frozen=True)
class Shard:
    """Consecutive rows of a table. Its file is named by their keys: other rows, another file."""

    table: str
    keys: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"{self.table}-{key_of(*self.keys)}.safetensors"


def shards_of(table: str, keys: Sequence[str]) -> list[Shard]:
    """The rows of a table in order, `ROWS` to a shard."""
    return [Shard(table, tuple(keys[start : start + ROWS])) for start in range(0, len(keys), ROWS)]


def fill_shards(
    folder: Path, shards: Sequence[Shard], make: Callable[[str], Row], report: Callable[[Shard], None]
) -> None:
    """Write the shards that the folder lacks.

    Rows that another shard in the folder holds are taken from there, all others made from their keys, one by one: a
    row depends on its key alone, to the bit, and so does a shard. A file that does not hold what was written is warned
    of and made anew. `report` is called after each shard. A process that is killed at any moment loses no other shard
    than the one that it was at.

    Raises what `make` raises, and `OSError` where the disk is full.
    """
    whole = {path: keys for table in {shard.table for shard in shards} for path, keys in _whole_shards(folder, table)}
    where = {key: (path, row) for path, keys in whole.items() for row, key in enumerate(keys)}
    read = lru_cache(maxsize=2)(read_shard)

    def row_of(key: str) -> Row:
        if key not in where:
            return make(key)
        path, row = where[key]
        return {column: values[row] for column, values in read(path)[1].items()}

    for shard in shards:
        path = folder / shard.file
        if path not in whole:
            _write(path, shard, [row_of(key) for key in shard.keys])
            where |= {key: (path, row) for row, key in enumerate(shard.keys)}
        report(shard)


def read_shard(path: Path) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The keys of a shard's rows, and its columns, [rows, ...] each. Nothing keeps the file open.

    Raises `DamagedShard` for a file that does not hold what was written.
    """
    try:
        data = path.read_bytes()
        columns = safetensors.torch.load(data)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        if metadata["digest"] != _digest(metadata["keys"], columns):
            raise ValueError("it does not hold what was written")
        return tuple(json.loads(metadata["keys"])), columns
    except (OSError, KeyError, ValueError, TypeError, safetensors.SafetensorError) as error:
        raise DamagedShard(f"{path} is damaged ({error})") from error


def _whole_shards(folder: Path, table: str) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """The files of a table with the keys of their rows; a damaged one is warned of and left out."""
    for path in sorted(folder.glob(f"{table}-*.safetensors")):
        try:
            yield path, read_shard(path)[0]
        except DamagedShard as error:
            warnings.warn(f"{error}; its rows are made anew", Surprise, stacklevel=3)


def _write(path: Path, shard: Shard, rows: Sequence[Row]) -> None:
    columns = {name: torch.stack([row[name].cpu() for row in rows]).contiguous() for name in rows[0]}
    keys = json.dumps(shard.keys)
    with written_whole(path, n_bytes_of(columns)) as part:
        stream_safetensors(part, columns, {"keys": keys, "digest": _digest(keys, columns)})


def _digest(keys: str, columns: Mapping[str, Tensor]) -> str:
    """Of the keys, and of every column's type, shape and values."""
    digest = hashlib.sha256(keys.encode())
    for name in sorted(columns):
        values = columns[name].contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}".encode())
        digest.update(values.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
