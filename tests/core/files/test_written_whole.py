"""A file or a folder appears whole or not at all, also where the system cannot flush a folder."""

from __future__ import annotations

import os

import pytest
import torch

from zeroctl_core.files.written_whole import folder_written_whole, written_whole
from zeroctl_core.train.checkpointing import Checkpoint, latest_checkpoint, write_checkpoint


@pytest.fixture
def windows(monkeypatch):
    """Windows opens no folder, and flushes a file only through a handle that may write."""
    real_open, real_fsync = os.open, os.fsync
    flushed = []

    def open_(path, flags, *args, **kwargs):
        if os.path.isdir(path):
            raise PermissionError(13, "Permission denied", str(path))
        return real_open(path, flags, *args, **kwargs)

    def fsync(handle):
        import fcntl

        if fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(9, "Bad file descriptor")
        flushed.append(handle)
        real_fsync(handle)

    monkeypatch.setattr(os, "open", open_)
    monkeypatch.setattr(os, "fsync", fsync)
    return flushed


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with written_whole(path) as part:
        part.write_text("whole")
        assert part.parent == path.parent and not path.exists()
    assert path.read_text() == "whole" and names(path.parent) == ["a.txt"]


@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_what_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)):
        with written_whole(path) as part:
            part.write_text("ne")
            raise error
    assert path.read_text() == "old" and names(tmp_path) == ["a.txt"]


def test_two_writers_of_one_file_do_not_share_a_place(tmp_path):
    path = tmp_path / "a.txt"
    with written_whole(path) as one, written_whole(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other
    assert path.read_text() == "one" and names(tmp_path) == ["a.txt"]


def test_a_folder_replaces_one_with_other_files_and_leaves_one_with_the_same(tmp_path):
    path = tmp_path / "folder"
    for text in ("old", "new"):
        with folder_written_whole(path) as part:
            (part / "a.txt").write_text(text)
        assert (path / "a.txt").read_text() == text and names(tmp_path) == ["folder"]
    before = (path / "a.txt").stat().st_ino
    with folder_written_whole(path) as part:
        (part / "a.txt").write_text("new")
    assert (path / "a.txt").stat().st_ino == before and names(tmp_path) == ["folder"]


def test_a_checkpoint_is_written_where_folders_cannot_be_opened(windows, tmp_path):
    write_checkpoint(tmp_path / "run", Checkpoint(3, "run", {"weight": torch.ones(2)}))
    assert latest_checkpoint(tmp_path / "run", "run").step == 3
    assert len(windows) == 2  # both files
