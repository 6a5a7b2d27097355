"""A full disk: a sentence with the path, what it needs and what is free; nothing else is lost."""

from __future__ import annotations

import errno
import os

import pytest
import safetensors

from zeroctl_core.files.full_disk import DiskFullError, full_disk_named
from zeroctl_core.files.written_whole import folder_written_whole, written_whole

SENTENCE = r"could not be written, the disk is full: it needs 2\.5 MB, and [0-9.]+ (kB|MB|GB) are free"
FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL, ids=["disk", "quota", "safetensors"])
@pytest.mark.parametrize("writer", [written_whole, folder_written_whole])
def test_a_full_disk_is_named_with_path_need_and_room_and_the_old_file_stays(tmp_path, writer, error):
    path = tmp_path / "name"
    if writer is written_whole:
        path.write_text("old")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(DiskFullError, match=SENTENCE) as caught, writer(path, 2_500_000):
        raise error
    assert str(caught.value).startswith(str(path)) and "goes on from there" in str(caught.value)
    assert sorted(tmp_path.iterdir()) == before


def test_a_need_that_is_not_known_is_left_out(tmp_path):
    with (
        pytest.raises(DiskFullError, match=r"the disk is full: [0-9.]+ (kB|MB|GB) are free"),
        written_whole(tmp_path / "a"),
    ):
        raise FULL[0]


def test_a_folder_that_could_not_be_made_is_named_too(tmp_path):
    with pytest.raises(DiskFullError, match="are free"), full_disk_named(tmp_path / "x" / "y" / "z", 1):
        raise FULL[0]


@pytest.mark.parametrize(
    "error", [PermissionError(13, "no"), OSError(errno.EIO, "no"), safetensors.SafetensorError("x")]
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, written_whole(tmp_path / "a", 1):
        raise error
    assert caught.value is error
