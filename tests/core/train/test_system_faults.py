"""What a machine does to a run: other processes, damaged files, full disks, Windows' rules, narrow outputs."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from demo_weights import write_random
from toy_training import HOW, apart, new_task, weights_of

from zeroctl_core.command_line import run_command
from zeroctl_core.demo.data import encoded
from zeroctl_core.demo.model import load_autoencoder
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.source import World
from zeroctl_core.files import written_whole as writing
from zeroctl_core.train import checkpointing
from zeroctl_core.train import run as running
from zeroctl_core.train.__main__ import main
from zeroctl_core.train.checkpointing import Checkpoint, ResumeError, latest_checkpoint, write_checkpoint
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.lock import sole_run
from zeroctl_core.train.loop import fit
from zeroctl_core.train.run import train_control
from zeroctl_core.train.surprise import Surprise
from zeroctl_core.train.watching import Log

ROOT = Path(__file__).resolve().parents[3]
QUICK = [
    *("--steps", "4", "--n-scenes", "4", "--batch-size", "1", "--score-every", "0"),
    *("--gap-every", "0", "--checkpoint-every", "1", "--warmup-steps", "1"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_random(tmp_path_factory.mktemp("weights"))


@pytest.fixture
def source(weights) -> World:
    return World(weights)


@pytest.fixture
def config(tmp_path) -> ControlConfig:
    return ControlConfig(
        n_scenes=4,
        steps=3,
        batch_size=1,
        warmup_steps=1,
        score_every=0,
        gap_every=0,
        checkpoint_every=1,
        work=tmp_path / "work",
    )


def quiet(text: str) -> None:
    pass


def start(code: str, *arguments: object, **options) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, **options)


HOLD = """
import sys, time
from pathlib import Path
from zeroctl_core.train.lock import sole_run
with sole_run(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(config):
    """Another process that has the folder of the run."""
    process = start(HOLD, config.folder)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("resume", [True, False])
def test_a_second_run_in_a_folder_is_refused_with_the_process_of_the_first(config, source, holder, resume):
    (config.folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(ValueError, match=rf"edges-released-0 is in use by another run \(process {holder.pid}\)"):
        train_control(replace(config, resume=resume, output=config.work / "other.safetensors"), source, say=quiet)
    assert (config.folder / "checkpoints").is_dir()
    train_control(replace(config, seed=1), source, say=quiet)  # another run beside it


def test_a_killed_run_leaves_its_folder_to_the_next(config, source, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert len(train_control(config, source, say=quiet).log) == 4


def test_an_end_by_an_error_gives_the_folder_free(tmp_path):
    for _ in range(2):
        with pytest.raises(RuntimeError), sole_run(tmp_path / "run"):
            with pytest.raises(ValueError, match=f"process {os.getpid()}"), sole_run(tmp_path / "run"):
                pass
            raise RuntimeError


def flip(path: Path, place: int, bit: int = 0x80) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= bit
    path.write_bytes(bytes(content))


def in_run(state: Path) -> int:
    return state.read_bytes().index(b"seed")


DAMAGES = {
    "the top bit of a byte": lambda folder: flip(folder / "state.json", 30),
    "one bit of what the run is": lambda folder: flip(folder / "state.json", in_run(folder / "state.json"), 1),
    "one bit of the step": lambda folder: flip(
        folder / "state.json", (folder / "state.json").read_bytes().index(b'"step": 4') + 8, 1
    ),
    "nested without an end": lambda folder: (folder / "state.json").write_text("[" * 100000),
    "another checkpoint's": lambda folder: (folder / "state.json").write_bytes(
        (folder.with_name("step-00000002") / "state.json").read_bytes()
    ),
    "a number": lambda folder: (folder / "state.json").write_text("4"),
    "a file in its place": lambda folder: (
        folder.rename(folder.with_name("away")),
        folder.write_bytes(b"nothing"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_gone_back_from_and_the_run_ends_in_the_same_bits(tmp_path, damage):
    expected = new_task()
    fit(expected, HOW)
    fit(new_task(), HOW, folder=tmp_path, stop_at=4)
    damage(tmp_path / "step-00000004")
    task, steps = new_task(), []
    with pytest.warns(UserWarning, match="going back to the checkpoint before it"):
        fit(task, HOW, folder=tmp_path, callbacks=[lambda now: steps.append(now.step)])
    assert steps == [3, 4, 5, 6] and not apart(weights_of(task.net), weights_of(expected.net))
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000004", "step-00000006"]


def test_no_flipped_bit_of_a_state_is_taken_for_another_run(tmp_path):
    write_checkpoint(tmp_path, Checkpoint(4, "seed 3 'steps': 6", {"weight": torch.ones(2)}, 1))
    state = tmp_path / "step-00000004" / "state.json"
    content = state.read_bytes()
    for place in range(len(content)):
        flip(state, place, 1 << place % 8)
        try:
            assert latest_checkpoint(tmp_path, "seed 3 'steps': 6").step == 4
        except ResumeError as error:
            assert "is whole" in str(error)
        state.write_bytes(content)


def test_when_all_checkpoints_are_damaged_the_run_is_refused_and_nothing_is_lost(tmp_path):
    fit(new_task(), HOW, folder=tmp_path, stop_at=6)
    folders = sorted(tmp_path.glob("step-*"))
    for folder in folders:
        (folder / "state.json").write_bytes(b"\xff")
    with pytest.raises(ResumeError, match=r"is whole: .*step-00000006.*step-00000004.*another name, or delete "):
        fit(new_task(), HOW, folder=tmp_path)
    assert sorted(tmp_path.glob("step-*")) == folders


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(b""),
        lambda path: flip(path, -1, 0x40),
        lambda path: flip(path, 12),
        lambda path: safetensors.torch.save_file({"latents": torch.full((4, 4, 16, 16), torch.nan)}, path),
        lambda path: safetensors.torch.save_file({"others": torch.zeros(1)}, path),
    ],
    ids=["cut", "empty", "one bit of a number", "one bit of the header", "without a digest", "other tensors"],
)
def test_damaged_latents_are_warned_of_and_encoded_anew(weights, tmp_path, damage):
    autoencoder = load_autoencoder(weights)
    images = render(scenes(1, 0, 4, shapes_only=True)).image

    def latents_again() -> torch.Tensor:
        return encoded(autoencoder, lambda start: images, "latents", 4, tmp_path)

    latents = latents_again()
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    damage(path)
    with pytest.warns(UserWarning, match="is damaged .*encoded anew"):
        assert torch.equal(latents_again(), latents)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert path.read_bytes() == content and torch.equal(latents_again(), latents)


@pytest.mark.parametrize(
    "texts",
    [["garbage", "more"], ['{"loss": 1.0, "seconds": 1}'] * 2, ['{"step": NaN, "seconds": 1}', "[" * 100000]],
    ids=["garbage", "without a step", "not a number, nested"],
)
def test_a_log_with_other_lines_is_continued_with_a_warning(config, source, texts):
    train_control(replace(config, steps=2), source, say=quiet)
    log = config.folder / "log.jsonl"
    first, *others = log.read_text().splitlines()
    log.write_text("\n".join([first, *texts, first, *others]) + "\n")
    with pytest.warns(UserWarning, match="3 lines not as a run writes them are left out"):
        run = train_control(config, source, say=quiet)
    assert [line["step"] for line in run.log] == [0, 1, 2, 3] and Log(log).lines == list(run.log)


def test_one_damaged_line_of_a_log_is_said_unless_it_is_the_last(tmp_path):
    lines = [json.dumps({"step": step, "seconds": step}) for step in range(4)]
    log = tmp_path / "log.jsonl"
    log.write_text("\n".join([*lines, lines[0][:9]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [line["step"] for line in Log(log).lines] == [0, 1, 2, 3]
    log.write_text("\n".join([lines[0], lines[1][:9], *lines[2:]]))
    with pytest.warns(Surprise, match="1 line not as a run writes them"):
        assert [line["step"] for line in Log(log).lines] == [0, 2, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "meta"], "the device 'meta' cannot be used"),
        (["--learning-rate", "1e30"], "lower the learning rate (1e+30)"),
        (["--work", "FILE/work"], "cannot be written (Not a directory)"),
        (["--output", "FOLDER"], "o.safetensors is a folder"),
    ],
)
def test_what_cannot_be_run_is_an_error_in_words(weights, tmp_path, capsys, options, message):
    (tmp_path / "file").touch()
    (tmp_path / "o.safetensors").mkdir()
    places = {"FILE": str(tmp_path / "file"), "FOLDER": str(tmp_path / "o.safetensors")}
    words = [re.sub("FILE|FOLDER", lambda match: places[match[0]], option) for option in options]
    assert main([*QUICK, "--weights", str(weights), "--work", str(tmp_path / "work"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and message in error


def test_a_full_disk_is_an_error_in_words_and_the_last_checkpoint_stays(weights, tmp_path, capsys, monkeypatch):
    real = checkpointing.stream_safetensors

    def full(path: Path, tensors) -> str:
        if "step-00000003" not in os.fspath(path):
            return real(path, tensors)
        path.write_bytes(bytes(1000))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpointing, "stream_safetensors", full)
    arguments = [*QUICK, "--weights", str(weights), "--work", str(tmp_path)]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "step-00000003 could not be written, the disk is full: it needs" in error
    assert "are free" in error and "Traceback" not in error
    assert (tmp_path / "edges-released-0" / "checkpoints" / "step-00000002").is_dir()
    monkeypatch.undo()
    assert main(arguments) == 0


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), ImportError("install it")])
def test_a_command_ends_with_status_2_for_what_is_not_its_fault(error, capsys):
    def command() -> int:
        raise error

    assert run_command(command) == 2
    assert capsys.readouterr().err == f"error: {str(error) or 'the memory is full'}\n"


def test_a_fault_of_the_program_keeps_its_traceback():
    with pytest.raises(KeyError):
        run_command(lambda: {}["a"])


def test_a_resume_may_save_at_other_steps_and_take_more_of_them(tmp_path):
    expected = new_task()
    fit(expected, replace(HOW, steps=8))
    fit(new_task(), HOW, folder=tmp_path)
    task = new_task()
    fit(task, replace(HOW, steps=8, checkpoint_every=3), folder=tmp_path)
    assert not apart(weights_of(task.net), weights_of(expected.net))
    with pytest.raises(ResumeError, match="has taken 8 steps, and 7 steps are asked for"):
        fit(new_task(), replace(HOW, steps=7), folder=tmp_path)


def test_a_cosine_needs_all_its_steps(tmp_path):
    how = replace(HOW, decay="cosine")
    fit(new_task(), how, folder=tmp_path, stop_at=4)
    fit(new_task(), replace(how, checkpoint_every=1), folder=tmp_path, stop_at=5)
    with pytest.raises(ResumeError, match="there .*6.*here .*8"):
        fit(new_task(), replace(how, steps=8), folder=tmp_path)


def test_another_number_of_threads_is_warned_of(tmp_path):
    fit(new_task(), HOW, folder=tmp_path, stop_at=4)
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with pytest.warns(UserWarning, match=f"goes on with {before + 1}"):
            fit(new_task(), HOW, folder=tmp_path)
    finally:
        torch.set_num_threads(before)


def test_a_checkpoint_of_an_earlier_version_is_resumed(tmp_path):
    fit(new_task(), HOW, folder=tmp_path, stop_at=4)
    path = tmp_path / "step-00000004" / "state.json"
    state = json.loads(path.read_text())
    path.write_text(json.dumps({key: state[key] for key in ("step", "run", "sha256")}))
    steps = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(new_task(), HOW, folder=tmp_path, callbacks=[lambda now: steps.append(now.step)])
    assert steps == [5, 6]


def test_two_folders_are_left_after_a_resume_where_files_in_use_cannot_be_removed(windows_files, tmp_path):
    fit(new_task(), replace(HOW, checkpoint_every=1), folder=tmp_path, stop_at=3)
    fit(new_task(), replace(HOW, checkpoint_every=1), folder=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000005", "step-00000006"]


def test_beginning_anew_names_what_is_open_and_removes_nothing(windows_files, config, source):
    train_control(config, source, say=quiet)
    files = sorted(config.folder.rglob("*"))
    anew = replace(config, resume=False)
    with (config.folder / "log.jsonl").open(), pytest.raises(ValueError, match="log.jsonl is in use by another prog"):
        train_control(anew, source, say=quiet)
    assert sorted(config.folder.rglob("*")) == files
    assert len(train_control(anew, source, say=quiet).log) == 4


@pytest.mark.parametrize("n_refusals", [1, 2])
def test_a_scanner_that_holds_files_for_moments_ends_no_run(windows_files, config, source, monkeypatch, n_refusals):
    places: list[str] = []
    real = writing._rename

    def rename(source, target) -> None:
        places.append(target.name)
        windows_files.refuse(n_refusals)  # at every place that is written
        real(source, target)

    monkeypatch.setattr(writing, "_rename", rename)
    run = train_control(config, source, say=quiet)
    assert len(run.log) == 4 and run.path.is_file()
    kinds = {re.sub(r"\d+|-\w+\.", "N", name) for name in places}
    assert {"log.jsonl", "step-N", "edges.safetensors"} <= kinds and len(kinds) == 4, kinds  # and the latents


def test_an_output_that_is_mapped_is_refused_before_the_first_step(windows_files, config, source, monkeypatch):
    path = config.work / "o.safetensors"
    path.parent.mkdir(parents=True)
    safetensors.torch.save_file({"a": torch.zeros(8)}, path)
    monkeypatch.setattr(running, "new_control", lambda *_: pytest.fail("weights are read"))
    with safetensors.safe_open(path, framework="pt") as file:
        tensor = file.get_tensor("a")
    with pytest.raises(ValueError, match="o.safetensors cannot be written"):
        train_control(replace(config, output=path), source, say=quiet)
    assert tensor.sum() == 0


def test_an_output_that_is_mapped_meanwhile_is_kept_beside_it(windows_files, config, source, monkeypatch):
    monkeypatch.setattr(writing, "RETRY_SECONDS", 0.1)
    path = config.work / "o.safetensors"
    maps = []

    def load(now) -> None:
        if now.step == 3:
            path.write_bytes(safetensors.torch.save({"a": torch.zeros(8)}))
            with safetensors.safe_open(path, framework="pt") as file:
                maps.append(file.get_tensor("a"))

    with pytest.raises(PermissionError, match=r"o\.safetensors could not be replaced .* whole in .*o-2\.safetensors"):
        train_control(replace(config, output=path), source, callbacks=[load], say=quiet)
    assert "input_hint_block.0.weight" in safetensors.torch.load((config.work / "o-2.safetensors").read_bytes())


NARROW = {"PYTHONIOENCODING": "cp1252:strict", "PYTHONPATH": os.fspath(ROOT), "OMP_NUM_THREADS": "1"}


def narrow(module: str, *arguments: object) -> subprocess.CompletedProcess[bytes]:
    line = [sys.executable, "-m", f"zeroctl_core.{module}", *map(str, arguments)]
    return subprocess.run(line, env={**os.environ, **NARROW}, capture_output=True)


def test_a_path_that_the_output_cannot_carry_ends_no_finished_run(weights, tmp_path):
    output = tmp_path / "Модель" / "o.safetensors"
    options = [*QUICK, "--weights", weights, "--work", tmp_path / "work", "--output", output]
    process = narrow("train", *options)
    assert process.returncode == 0 and output.is_file(), process.stderr
    assert b"\\u041c\\u043e\\u0434" in process.stdout


def test_five_ctrl_c_name_no_checkpoint_that_is_not_there(weights, tmp_path):
    line = [sys.executable, "-m", "zeroctl_core.train", *QUICK, "--steps", "5000", "--checkpoint-every", "5000"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*line, "--weights", str(weights), "--work", str(tmp_path)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    log, until = tmp_path / "edges-released-0" / "log.jsonl", time.monotonic() + 60
    while not (log.is_file() and len(log.read_bytes().splitlines()) > 2) and time.monotonic() < until:
        time.sleep(0.01)
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        time.sleep(0.002)
    text = process.communicate()[0]
    steps = [path.name for path in (tmp_path / "edges-released-0").glob("checkpoints/step-*")]
    # Ctrl-C may also come while Python ends
    assert "interrupted after step" not in text or ("there is no checkpoint yet" in text) == (not steps), text
