"""Checkpoints are whole or absent, and belong to one run."""

from __future__ import annotations

import warnings

import pytest
import torch
from toy_training import at_line

from zeroctl_core.train.checkpointing import Checkpoint, ResumeError, latest_checkpoint, write_checkpoint


def checkpoint(step: int, run: str = "run") -> Checkpoint:
    return Checkpoint(step, run, {"weight": torch.full((50, 50), float(step))})


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_is_read(tmp_path):
    assert latest_checkpoint(tmp_path / "nowhere", "run") is None and latest_checkpoint(tmp_path, "run") is None
    write_checkpoint(tmp_path, checkpoint(3))
    newest = latest_checkpoint(tmp_path, "run")
    assert newest.step == 3 and torch.equal(newest.tensors["weight"], torch.full((50, 50), 3.0))


def test_the_two_newest_are_kept_and_what_a_killed_process_left_is_cleared(tmp_path):
    (tmp_path / ".step-00000001.99.part").mkdir()
    (tmp_path / "notes.txt").write_text("a person's own")
    for step in (2, 4, 10):
        write_checkpoint(tmp_path, checkpoint(step))
    assert names(tmp_path) == ["notes.txt", "step-00000004", "step-00000010"]


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: cut(folder / "tensors.safetensors"),
        lambda folder: flip(folder / "tensors.safetensors"),
        lambda folder: (folder / "tensors.safetensors").write_bytes(b""),
        lambda folder: (folder / "tensors.safetensors").unlink(),
        lambda folder: (folder / "state.json").unlink(),
        lambda folder: (folder / "state.json").write_text('{"step": 4, "ru'),
        lambda folder: (folder / "state.json").write_text("{}"),
    ],
    ids=["cut", "one bit", "empty", "no tensors", "no state", "half a state", "empty state"],
)
def test_a_damaged_checkpoint_is_warned_of_and_the_one_before_is_taken(tmp_path, damage):
    for step in (2, 4):
        write_checkpoint(tmp_path, checkpoint(step))
    damage(tmp_path / "step-00000004")
    with pytest.warns(UserWarning, match="step-00000004.*going back to the checkpoint before it"):
        newest = latest_checkpoint(tmp_path, "run")
    assert newest.step == 2
    write_checkpoint(tmp_path, checkpoint(4))  # the run goes on and gets there again
    assert latest_checkpoint(tmp_path, "run").step == 4


def test_another_run_is_refused_with_what_differs(tmp_path):
    write_checkpoint(tmp_path, checkpoint(2, "control toy seed 3 batch 16 rate 0.001"))
    with pytest.raises(ResumeError) as caught:
        latest_checkpoint(tmp_path, "control toy seed 3 batch 8 rate 0.002")
    message = str(caught.value)
    assert "there 'batch 16', here 'batch 8'; there 'rate 0.001', here 'rate 0.002'" in message
    assert "seed" not in message and "another name" in message


def test_stopping_at_any_line_of_the_writing_leaves_this_checkpoint_or_the_last(tmp_path):
    def stop() -> None:
        raise KeyboardInterrupt

    line, stopped = 1, True
    while stopped:
        folder = tmp_path / str(line)
        write_checkpoint(folder, checkpoint(2))
        stopped = False
        try:
            with at_line(line, stop):
                write_checkpoint(folder, checkpoint(4))
        except KeyboardInterrupt:
            stopped = True
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # not one of them may be damaged
            newest = latest_checkpoint(folder, "run")
        assert newest.step in (2, 4) and torch.equal(newest.tensors["weight"], torch.full((50, 50), float(newest.step)))
        write_checkpoint(folder, checkpoint(4))
        assert latest_checkpoint(folder, "run").step == 4
        line += 1
    assert line > 20
