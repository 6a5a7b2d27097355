"""Tensors that are read: equal to the bit whatever the system offers, and never from a file that changes meanwhile."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from zeroctl_core.files import extremes as extremes_module
from zeroctl_core.files import reading
from zeroctl_core.files.extremes import extremes_of
from zeroctl_core.files.weight_file import CheckpointError, open_weight_file


def _weights() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "large": torch.randn(1100, 1000),  # more than a huge page, and more than a part
        "half": torch.randn(7, 5).half(),
        "bfloat": torch.randn(3).bfloat16(),
        "double": torch.randn(2, 2).double(),
        "number": torch.tensor(3.5),
        "count": torch.arange(5),
        "none": torch.empty(0, 4),
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(_weights(), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("lacks", [(), ("preadv",), ("huge pages",), ("memory for huge pages",)])
@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_read_equals_the_file_on_every_system(lacks, threads, path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(reading, "PIECE", 1 << 19)
    if "preadv" in lacks:
        monkeypatch.delattr(os, "preadv")
    if "huge pages" in lacks:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    if "memory for huge pages" in lacks:

        def refuse(*arguments: object, **options: object) -> None:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(mmap, "mmap", refuse)
    file = open_weight_file(path, mapped=False)
    for key, value in _weights().items():
        assert torch.equal(file.tensors[key], value) and file.tensors[key].dtype == value.dtype, key
    looked_at = {key for key, tensor in file.tensors.items() if id(tensor) in file.extremes}
    assert looked_at == {"large", "half", "bfloat", "double", "number"}
    for key in looked_at:
        assert file.extremes[id(file.tensors[key])] == extremes_of(_weights()[key])


@pytest.mark.parametrize("change", ["cut", "emptied", "overwritten", "longer", "replaced", "deleted"])
def test_a_file_that_changes_while_it_is_read_is_refused_or_read_as_it_was(change, path, monkeypatch):
    before = {key: value.clone() for key, value in _weights().items()}
    content = path.read_bytes()
    os.utime(path, (1, 1))
    original, calls = extremes_module.extremes_of_bytes, []

    def changing(array: extremes_module.Bytes, dtype: torch.dtype) -> extremes_module.Extremes:
        if not calls:
            calls.append(change)
            if change == "cut":
                os.truncate(path, len(content) // 2)
            elif change == "emptied":
                os.truncate(path, 0)
            elif change in ("overwritten", "longer"):
                with path.open("r+b") as file:
                    file.write(bytes(len(content) + (change == "longer")))
            elif change == "replaced":
                other = path.with_suffix(".new")
                other.write_bytes(bytes(len(content)))
                os.replace(other, path)
            else:
                path.unlink()
        return original(array, dtype)

    monkeypatch.setattr(reading, "extremes_of_bytes", changing)
    if change in ("replaced", "deleted"):
        file = open_weight_file(path, mapped=False)
        assert all(torch.equal(file.tensors[key], value) for key, value in before.items())
    else:
        with pytest.raises(CheckpointError, match=r"a.safetensors was (cut off|written to) while it was read; load it"):
            open_weight_file(path, mapped=False)
    assert calls == [change]
