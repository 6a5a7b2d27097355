"""Files that are written a tensor at a time are those that safetensors reads, and hold no second copy in memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch

from zeroctl_core.files.sha256 import file_sha256
from zeroctl_core.files.streamed_safetensors import n_bytes_of, stream_safetensors

ROOT = Path(__file__).resolve().parents[3]


def test_what_is_streamed_is_read_by_safetensors_whatever_its_layout_and_dtype(tmp_path):
    grid = torch.randn(4, 3, 5, 7)
    tensors = {
        "byte": torch.arange(3, dtype=torch.uint8),
        "channels last": grid.to(memory_format=torch.channels_last),
        "half": grid.half(),
        "bfloat": grid[:, 1].bfloat16(),
        "turned": grid[0, 0].T,
        "shared": grid,
        "scalar": torch.tensor(3.0),
        "none": torch.empty(0, 4),
        "whole": torch.tensor([1 << 40]),
        "trained": torch.nn.Parameter(torch.ones(2)),
    }
    digest = stream_safetensors(tmp_path / "a.safetensors", tensors)
    read = safetensors.torch.load_file(tmp_path / "a.safetensors")
    assert read.keys() == tensors.keys() and digest == file_sha256(tmp_path / "a.safetensors")
    assert all(torch.equal(read[name], tensors[name]) and read[name].dtype == tensors[name].dtype for name in tensors)


def test_tensors_of_any_dtype_are_written_in_another(tmp_path):
    grid = torch.randn(4, 3, 5, 7)
    tensors = {"a": grid, "b": grid.to(memory_format=torch.channels_last), "c": grid.half(), "d": torch.empty(0, 4)}
    path = tmp_path / "a.safetensors"
    stream_safetensors(path, tensors, dtype=torch.float16)
    read = safetensors.torch.load_file(path)
    assert read.keys() == tensors.keys() and all(torch.equal(read[name], tensors[name].half()) for name in tensors)
    assert {one.dtype for one in read.values()} == {torch.float16} and n_bytes_of(tensors, torch.float16) == 3 * 420 * 2


@pytest.mark.parametrize("names", [(), ("a",)])
def test_the_order_and_the_header_are_those_that_others_expect(tmp_path, names):
    path = tmp_path / "a.safetensors"
    stream_safetensors(path, {name: torch.ones(3) for name in names})
    content = path.read_bytes()
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert safetensors.torch.load(content).keys() == set(names)


PEAK = """
import sys, torch
from pathlib import Path
from zeroctl_core.train.checkpointing import Checkpoint, write_checkpoint
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024
tensors = {f"weight.{i}": torch.ones(1024, 1024, 1, 4).to(memory_format=torch.channels_last) for i in range(16)}
before = peak()
write_checkpoint(Path(sys.argv[1]), Checkpoint(1, "run", tensors))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
def test_a_checkpoint_of_256_mb_is_written_with_one_tensor_more_in_memory(tmp_path):
    command = [sys.executable, "-c", PEAK, str(tmp_path)]
    process = subprocess.run(command, env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True)
    assert process.returncode == 0, process.stderr
    assert float(process.stdout) < 64  # MiB; a tensor has 16


def test_metadata_is_written_in_one_order_so_that_the_bytes_are_those_of_the_content(tmp_path):
    metadata = {f"key {n}": f'"ü{n}\n\t\\' for n in range(12)}
    tensors = {"b": torch.ones(2, 3), "a": torch.zeros(2)}
    stream_safetensors(tmp_path / "one", tensors, metadata)
    stream_safetensors(tmp_path / "other", dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    with safetensors.safe_open(tmp_path / "one", framework="pt") as file:
        assert file.metadata() == metadata
