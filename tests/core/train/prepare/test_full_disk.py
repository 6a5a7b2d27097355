"""A preparation on a small tmpfs that is full at every kind of file in turn, and goes on when there is room."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prepare_killed import digests
from toy_base import DRAWING, HELD_OUT, ToyBase, toy_samples

from zeroctl_core.files.full_disk import DiskFullError
from zeroctl_core.train.prepare.preparing import prepare

SIZE, PAGE = 1 << 20, 4096


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder]).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_stops_at_any_file_with_a_sentence_and_goes_on_with_room(small_disk, tmp_path):
    samples, stopped_at = toy_samples(150), set()
    prepare(samples, DRAWING, ToyBase(), tmp_path / "whole", held_out=HELD_OUT)
    whole, folder = digests(tmp_path / "whole"), small_disk / "set"
    for room in range(0, SIZE, PAGE):
        (small_disk / "filler").write_bytes(bytes(SIZE - room - PAGE))
        try:
            prepare(samples, DRAWING, ToyBase(), folder, held_out=HELD_OUT)
            break
        except DiskFullError as error:
            assert "it needs" in str(error) and "are free" in str(error)
            stopped_at.add(str(error).split(" could")[0].removeprefix(f"{folder}/").split("-")[0])
        finally:
            (small_disk / "filler").unlink()
        assert digests(folder).items() <= whole.items(), "what was written is not whole"
    assert digests(folder) == whole
    assert stopped_at == {"latents", "conditions", "prompts", "index.json"}
