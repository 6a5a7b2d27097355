"""A preparation on a small tmpfs that is full at every kind of file in turn, and goes on when there is room."""

from __future__ import annotations

from prepare_killed import digests
from small_disk import FILLER, PAGE, make_room
from toy_base import DRAWING, HELD_OUT, ToyBase, toy_samples

from zeroctl_core.files.full_disk import DiskFullError
from zeroctl_core.train.prepare.preparing import prepare

SIZE = 1 << 20


def test_a_full_disk_stops_at_any_file_with_a_sentence_and_goes_on_with_room(small_disk, tmp_path):
    samples, stopped_at = toy_samples(150), set()
    prepare(samples, DRAWING, ToyBase(), tmp_path / "whole", held_out=HELD_OUT)
    disk = small_disk(SIZE)
    whole, folder = digests(tmp_path / "whole"), disk / "set"
    for size in range(SIZE - PAGE, 0, -PAGE):
        (disk / FILLER).write_bytes(bytes(size))
        try:
            prepare(samples, DRAWING, ToyBase(), folder, held_out=HELD_OUT)
            break
        except DiskFullError as error:
            assert "it needs" in str(error) and "are free" in str(error)
            stopped_at.add(str(error).split(" could")[0].removeprefix(f"{folder}/").split("-")[0])
        finally:
            make_room(disk)
        assert digests(folder).items() <= whole.items(), "what was written is not whole"
    assert digests(folder) == whole
    assert stopped_at == {"latents", "conditions", "prompts", "index.json"}
