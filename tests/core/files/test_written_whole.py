"""A file or a folder appears whole or not at all, also where the system cannot flush a folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from zeroctl_core.files import written_whole as module
from zeroctl_core.files.leftovers import MACHINE, is_running, new_part
from zeroctl_core.files.written_whole import check_writable, folder_written_whole, written_whole
from zeroctl_core.train.checkpointing import Checkpoint, latest_checkpoint, write_checkpoint


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_at_the_end_and_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with written_whole(path) as part:
        part.write_text("whole")
        assert part.parent == path.parent and not path.exists()
    assert path.read_text() == "whole" and names(path.parent) == ["a.txt"]


def test_a_file_has_the_rights_of_any_new_file(tmp_path):
    (tmp_path / "any").touch()
    with written_whole(tmp_path / "a.safetensors") as part:
        save_file({"weight": torch.ones(2)}, part)
    assert (tmp_path / "a.safetensors").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_a_share_that_lets_nobody_set_rights_loses_no_file(tmp_path, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chmod", refuse)
    with written_whole(tmp_path / "a.txt") as part:
        part.write_text("whole")
    assert (tmp_path / "a.txt").read_text() == "whole" and names(tmp_path) == ["a.txt"]


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


def test_a_checkpoint_is_written_where_folders_cannot_be_opened(windows_files, tmp_path):
    write_checkpoint(tmp_path / "run", Checkpoint(3, "run", {"weight": torch.ones(2)}))
    assert latest_checkpoint(tmp_path / "run", "run").step == 3
    assert len(windows_files.flushed) == 2  # both files


@pytest.fixture
def quick(monkeypatch):
    """Give up after moments, so that a test of what stays refused does not wait."""
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.1)


def write(path, text: str = "new") -> None:
    with written_whole(path) as part:
        part.write_text(text)


def write_folder(path, text: str = "new") -> None:
    with folder_written_whole(path) as part:
        (part / "a.txt").write_text(text)


@pytest.mark.parametrize("n_refusals", [1, 2, 5])
def test_a_rename_that_is_refused_for_moments_is_tried_again(windows_files, tmp_path, n_refusals):
    (tmp_path / "a.txt").write_text("old")
    windows_files.refuse(n_refusals)
    write(tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_text() == "new"
    write_folder(tmp_path / "folder", "old")
    windows_files.refuse(n_refusals)
    write_folder(tmp_path / "folder")
    assert (tmp_path / "folder" / "a.txt").read_text() == "new" and names(tmp_path) == ["a.txt", "folder"]


def test_a_file_in_use_stays_and_the_new_one_is_kept_beside_it_with_both_named(windows_files, quick, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    for number in (2, 3):
        with path.open(), pytest.raises(PermissionError) as caught:
            write(path, f"new {number}")
        place = tmp_path / f"a-{number}.txt"
        assert place.read_text() == f"new {number}" and path.read_text() == "old"
        assert str(path) in str(caught.value) and str(place) in str(caught.value)
    assert names(tmp_path) == ["a-2.txt", "a-3.txt", "a.txt"]


def test_a_folder_in_use_stays_and_the_new_one_is_kept_beside_it(windows_files, quick, tmp_path):
    write_folder(tmp_path / "folder", "old")
    with (tmp_path / "folder" / "a.txt").open(), pytest.raises(PermissionError, match="folder-2"):
        write_folder(tmp_path / "folder")
    assert (tmp_path / "folder" / "a.txt").read_text() == "old"
    assert (tmp_path / "folder-2" / "a.txt").read_text() == "new" and names(tmp_path) == ["folder", "folder-2"]


def test_what_no_rename_moves_is_copied_beside_its_place(windows_files, quick, tmp_path):
    windows_files.refuse(10**9)
    with pytest.raises(PermissionError, match="a-2.txt"):
        write(tmp_path / "a.txt")
    with pytest.raises(PermissionError, match="folder-2"):
        write_folder(tmp_path / "folder")
    assert names(tmp_path) == ["a-2.txt", "folder-2"] and (tmp_path / "a-2.txt").read_text() == "new"


def test_a_name_that_a_folder_took_meanwhile_loses_nothing(tmp_path):
    with pytest.raises(OSError, match="a-2.txt"):
        with written_whole(tmp_path / "a.txt") as part:
            part.write_text("new")
            (tmp_path / "a.txt").mkdir()
    assert (tmp_path / "a-2.txt").read_text() == "new" and names(tmp_path) == ["a-2.txt", "a.txt"]


def ended_process() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(folder, process: int, name: str = "a.txt", machine: str = MACHINE) -> str:
    part = f".{name}.{machine}-{process}-0123abcd.part"
    (folder / part).write_text("half")
    return part


def test_leftovers_of_ended_processes_are_cleared_and_those_of_living_ones_stay(tmp_path):
    ended = ended_process()
    leave(tmp_path, ended)
    leave(tmp_path, ended, name="another.txt")
    leave(tmp_path, os.getpid(), name="before.txt")  # a container's processes have the same number at every start
    (tmp_path / f".folder.{MACHINE}-{ended}-0123abcd.part").mkdir()
    (tmp_path / f".folder.{MACHINE}-{ended}-0123abcd.part" / "half.txt").write_text("half")
    left = [
        leave(tmp_path, os.getppid()),
        leave(tmp_path, ended, machine="ffffff" if MACHINE != "ffffff" else "eeeeee"),
    ]
    (tmp_path / ".mine.part").write_text("a person's own")
    write(tmp_path / "b.txt")
    assert names(tmp_path) == sorted([*left, ".mine.part", "b.txt"])


def test_a_killed_writer_leaves_nothing_after_the_next_write(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from zeroctl_core.files.written_whole import written_whole\n"
        "with written_whole(Path(sys.argv[1])) as part:\n"
        "    part.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    root = os.fspath(module.__file__).rpartition("/zeroctl_core/")[0]
    subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], env={**os.environ, "PYTHONPATH": root})
    assert len(names(tmp_path)) == 1 and names(tmp_path)[0].endswith(".part")
    write(tmp_path / "b.txt")
    assert names(tmp_path) == ["b.txt"]


def test_a_write_within_a_write_leaves_the_other_alone(tmp_path):
    with written_whole(tmp_path / "a.txt") as part:
        part.write_text("outer")
        write(tmp_path / "b.txt")
        check_writable(tmp_path / "c.txt")
        assert part.exists()
    assert names(tmp_path) == ["a.txt", "b.txt"]


def test_which_processes_run():
    assert is_running(os.getpid()) and is_running(os.getppid()) and is_running(1)
    assert not is_running(ended_process()) and is_running(10**30)  # not a number of a process: nothing is known


@pytest.mark.parametrize(
    "name", ["x" * 250 + ".txt", "\N{CYRILLIC SMALL LETTER YA}" * 120 + ".txt", "\N{GRINNING FACE}" * 60]
)
def test_a_name_that_fits_the_file_system_can_be_written(tmp_path, name):
    write(tmp_path / name)
    assert names(tmp_path) == [name] and len(os.fsencode(new_part(tmp_path / name).name)) <= 255


def test_a_file_in_use_is_refused_before_anything_is_computed(windows_files, tmp_path):
    from mmap import ACCESS_READ, mmap

    path = tmp_path / "a.txt"
    path.write_text("old")
    check_writable(path)
    with path.open("rb") as file:
        content = mmap(file.fileno(), 0, access=ACCESS_READ)
    with pytest.raises(ValueError, match="a.txt cannot be written .*user-mapped"):
        check_writable(path)
    content.close()
    check_writable(path)
    assert names(tmp_path) == ["a.txt"] and path.read_text() == "old"


def test_a_file_that_is_only_protected_is_replaced(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(0o444)
    check_writable(path)
    write(path)
    assert path.read_text() == "new"


def test_a_folder_takes_the_place_of_a_link_to_nothing(tmp_path):
    (tmp_path / "model").symlink_to(tmp_path / "gone", target_is_directory=True)
    with folder_written_whole(tmp_path / "model") as part:
        (part / "file").write_text("new")
    assert not (tmp_path / "model").is_symlink() and (tmp_path / "model" / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
