"""Weights of TensorFlow.js: read as they are stored, and refused wherever list and bytes are not of one another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tfjs_graph import write_tfjs
from torch import Tensor

from zeroctl_core.files.tfjs_file import LONGEST_LIST, MOST_TENSORS, open_tfjs_file
from zeroctl_core.files.weight_file import CheckpointError

WEIGHTS = {
    "conv/kernel": torch.linspace(-2, 2, 24).reshape(1, 2, 3, 4),
    "axis": torch.tensor(-1, dtype=torch.int32),
    "conv/bias": torch.tensor([0.5, 1.25, -3.0, 0.0]),
    "none": torch.zeros(0, 3),
}


def write(path: Path, **changes: Any) -> Path:
    return write_tfjs(path, WEIGHTS, **changes)


@pytest.mark.parametrize(("stored", "tolerance"), [("float32", 0), ("float16", 1e-3), ("uint8", 0.01)])
def test_reads_what_was_written(tmp_path, stored, tolerance) -> None:
    weights = {name: tensor for name, tensor in WEIGHTS.items() if stored != "uint8" or tensor.numel()}
    tensors = open_tfjs_file(write_tfjs(tmp_path / "net.json", weights, stored=stored))
    assert list(tensors) == list(weights)
    for name, tensor in weights.items():
        assert tensors[name].dtype == tensor.dtype and tensors[name].shape == tensor.shape
        assert (tensors[name] - tensor).abs().le(tolerance).all()


def test_reads_a_list_without_a_graph_and_a_group_of_several_files(tmp_path) -> None:
    path = write(tmp_path / "net.json")
    expected, content = open_tfjs_file(path), path.with_suffix(".bin").read_bytes()
    (tmp_path / "group1-shard1of2").write_bytes(content[:7])
    (tmp_path / "group1-shard2of2").write_bytes(content[7:])
    path.with_suffix(".bin").unlink()
    groups = json.loads(path.read_text())["weightsManifest"]
    groups[0]["paths"] = ["group1-shard1of2", "group1-shard2of2"]
    path.write_text(json.dumps(groups))
    tensors = open_tfjs_file(path)
    assert all(tensors[name].equal(tensor) for name, tensor in expected.items())


def test_what_happens_to_the_file_later_changes_nothing(tmp_path) -> None:
    path = write(tmp_path / "net.json")
    tensors = open_tfjs_file(path)
    path.with_suffix(".bin").write_bytes(b"")
    assert tensors["conv/bias"].equal(WEIGHTS["conv/bias"])
    tensors["conv/bias"][0] = 1.0  # memory of its own


def changed(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Callable[[Path], None]:
    """An entry of the list, or its group, in another form."""

    def apply(path: Path) -> None:
        model = json.loads(path.read_text())
        group = model["weightsManifest"][0]
        change(group["weights"][0], group)
        path.write_text(json.dumps(model))

    return apply


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut off": (lambda p: p.with_suffix(".bin").write_bytes(bytes(9)), "net.bin: 9 bytes, its weights need 60"),
    "too long": (lambda p: p.with_suffix(".bin").write_bytes(bytes(99)), "99 bytes, its weights need 60"),
    "half": (lambda p: p.with_suffix(".bin").unlink(), "names the file net.bin, which is not beside it; put both"),
    "a page": (lambda p: p.write_text("<!doctype html>"), "download it again"),
    "no list": (lambda p: p.write_text('{"layers": []}'), "it has no weightsManifest"),
    "nothing": (lambda p: p.write_text('{"weightsManifest": []}'), "it lists no weights"),
    "deep": (lambda p: p.write_text("[" * 100_000), "cannot be read as weights of TensorFlow.js"),
    "long": (lambda p: os.truncate(p, LONGEST_LIST + 1), "expected a list of weights of at most"),
    "outside": (changed(lambda entry, group: group.update(paths=["../net.bin"])), "expected a name without a folder"),
    "drive": (changed(lambda entry, group: group.update(paths=["C:net.bin"])), "expected a name without a folder"),
    "parent": (changed(lambda entry, group: group.update(paths=[".."])), "expected a name without a folder"),
    "number": (changed(lambda entry, group: group.update(paths=[7])), "expected a name without a folder"),
    "twice": (changed(lambda entry, group: entry.update(name="conv/bias")), "conv/bias is listed twice"),
    "negative": (changed(lambda entry, group: entry.update(shape=[-1, -24])), "expected whole numbers from 0"),
    "huge": (changed(lambda entry, group: entry.update(shape=[10**9, 10**9])), "bytes, its weights need 2000000"),
    "true": (changed(lambda entry, group: entry.update(shape=[True, 24])), "expected whole numbers from 0"),
    "text": (changed(lambda entry, group: entry.update(dtype="string")), "conv/kernel is string stored as float16"),
    "odd": (changed(lambda entry, group: entry.update(quantization={"dtype": "int4"})), "which is not read here"),
    "nameless": (changed(lambda entry, group: entry.pop("name")), "cannot be read as weights of TensorFlow.js"),
    "many": (
        changed(lambda entry, group: group.update(weights=[{"name": "axis"}] * (MOST_TENSORS + 1))),
        "it lists more than 50000 weights",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_whatever_is_wrong_is_one_error_that_names_the_file(tmp_path, kind) -> None:
    damage, message = DAMAGES[kind]
    path = write(tmp_path / "net.json")
    damage(path)
    with pytest.raises(CheckpointError, match=message) as error:
        open_tfjs_file(path)
    assert "net.json" in str(error.value) and len(str(error.value)) < 700


@pytest.mark.parametrize("key", ["scale", "min"])
def test_a_scale_that_is_not_a_number_is_refused(tmp_path, key) -> None:
    path = write_tfjs(tmp_path / "net.json", {"kernel": torch.linspace(0, 1, 5)}, stored="uint8")
    changed(lambda entry, group: entry["quantization"].update({key: float("nan")}))(path)
    with pytest.raises(CheckpointError, match="kernel is scaled by"):
        open_tfjs_file(path)


def test_a_missing_list_is_a_missing_file(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        open_tfjs_file(tmp_path / "net.json")


def test_every_cut_of_the_list_is_refused(tmp_path) -> None:
    path = write(tmp_path / "net.json")
    text = path.read_text()
    for end in range(0, len(text), 7):
        path.write_text(text[:end])
        with pytest.raises(CheckpointError):
            open_tfjs_file(path)


def test_a_random_bit_gives_weights_or_the_one_error(tmp_path) -> None:
    path = write(tmp_path / "net.json")
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << place % 7)]) + content[place + 1 :])
        try:
            tensors: dict[str, Tensor] = open_tfjs_file(path)
        except CheckpointError:
            continue
        assert sum(tensor.numel() for tensor in tensors.values()) > 0
