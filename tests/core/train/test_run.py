"""A run from its settings to its file, on an untrained model: what is logged, resumed, refused and saved."""

from __future__ import annotations

import gc
import json
import shutil
import signal
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from demo_weights import write_random
from safetensors import safe_open
from toy_training import apart, weights_of

from zeroctl_core import load_controlnet
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.source import World
from zeroctl_core.train.__main__ import main
from zeroctl_core.train.checkpointing import ResumeError
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.interrupt import deferred_interrupts
from zeroctl_core.train.run import new_control, train_control


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return write_random(tmp_path_factory.mktemp("weights"))


class ScoredWorld(World):
    """Random weights draw pictures that show nothing, nor do those of their autoencoder: the score is the
    ground's."""

    def score(self, net, condition, **settings):
        scores = super().score(net, condition, **settings)
        assert "follow" not in scores
        return {"follow": scores["ground"], **scores}


@pytest.fixture(scope="module")
def source(weights) -> World:
    return ScoredWorld(weights)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ControlConfig:
    return ControlConfig(
        n_scenes=4,
        steps=3,
        batch_size=1,
        warmup_steps=1,
        ema_decay=0.9,
        score_every=2,
        n_score=1,
        score_sampling_steps=1,
        gap_every=2,
        checkpoint_every=2,
        work=tmp_path_factory.mktemp("work"),
    )


@pytest.fixture(scope="module")
def run(config, source):
    messages: list[str] = []
    return train_control(config, source, say=messages.append), messages


def test_the_log_has_every_step_once_with_what_was_measured(config, run):
    lines = [json.loads(line) for line in (config.folder / "log.jsonl").read_text().splitlines()]
    assert lines == list(run[0].log)
    assert [line["step"] for line in lines] == [0, 1, 2, 3]
    assert ["loss" in line for line in lines] == [False, True, True, True]
    assert ["gap" in line for line in lines] == ["follow" in line for line in lines] == [True, False, True, True]
    assert lines[0]["gap"] == 0 and lines[1]["lr"] == config.learning_rate
    assert all(one["seconds"] <= other["seconds"] for one, other in zip(lines, lines[1:], strict=False))


def test_the_file_loads_as_a_control_and_tells_how_it_was_made(config, run):
    net = load_controlnet(run[0].path)
    assert run[0].path == config.folder / "edges.safetensors" and net.base.name == "tiny"
    half = {name: weight.half() for name, weight in weights_of(run[0].net).items()}
    assert not apart(half, weights_of(net))
    with safe_open(run[0].path, framework="pt") as file:
        provenance = json.loads(file.metadata()["zeroctl.provenance"])
    assert provenance["config"]["condition"] == "edges" and provenance["config"]["steps"] == 3
    assert [step for step, _ in provenance["training"]["follow"]] == [0, 2, 3]
    assert "work" not in provenance["config"] and str(config.work) not in json.dumps(provenance)


def test_a_run_that_was_interrupted_says_how_to_go_on_and_ends_in_the_same_bits(config, source, run, tmp_path):
    def press(now) -> None:
        if now.step == 1:
            signal.raise_signal(signal.SIGINT)

    here, messages = replace(config, work=tmp_path), []
    with pytest.raises(KeyboardInterrupt):
        train_control(here, source, callbacks=[press], say=messages.append)
    assert (
        "after step 1 of 3" in messages[-1]
        and str(here.folder) in messages[-1]
        and "goes on from there" in messages[-1]
    )
    steps: list[int] = []
    again = train_control(here, source, callbacks=[lambda now: steps.append(now.step)], say=messages.append)
    assert steps == [2, 3] and not apart(weights_of(again.net), weights_of(run[0].net))
    for mine, theirs in zip(again.log, run[0].log, strict=True):
        assert {**mine, "seconds": 0} == {**theirs, "seconds": 0}


class InterruptedWorld(ScoredWorld):
    """Its nth score is interrupted."""

    def __init__(self, folder: Path, nth: int) -> None:
        super().__init__(folder)
        self.nth, self.n_scores = nth, 0

    def score(self, net, condition, **settings):
        self.n_scores += 1
        if self.n_scores == self.nth:
            raise KeyboardInterrupt
        return super().score(net, condition, **settings)


@pytest.mark.parametrize("nth", [2, 3])
def test_a_step_whose_score_was_interrupted_is_scored_when_the_run_goes_on(config, source, run, weights, tmp_path, nth):
    """In the middle, and at the last step. Interrupted once more, it is still not lost."""
    here = replace(config, work=tmp_path)
    for interrupted in (InterruptedWorld(weights, nth), InterruptedWorld(weights, 1)):
        with pytest.raises(KeyboardInterrupt):
            train_control(here, interrupted, say=lambda text: None)
    messages: list[str] = []
    again = train_control(here, source, say=messages.append)
    assert [{**line, "seconds": 0} for line in again.log] == [{**line, "seconds": 0} for line in run[0].log]
    assert not apart(weights_of(again.net), weights_of(run[0].net))
    assert any(f"step {(2, 3)[nth - 2]}/3: " in message for message in messages)
    best = [load_controlnet(folder / "best.safetensors") for folder in (here.folder, config.folder)]
    assert not apart(weights_of(best[0]), weights_of(best[1]))
    quiet: list[str] = []
    assert train_control(here, source, say=quiet.append).log == again.log
    assert not [message for message in quiet if "/3: " in message]  # nothing is measured twice


class Parameters:
    """Counts the numbers of all parameters that are in memory, wherever it is asked for; the same memory once."""

    def __init__(self) -> None:
        self.counts: list[int] = []

    def __call__(self, *_: object) -> None:
        alive = [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Parameter)]
        self.counts.append(sum({one.data_ptr(): one.numel() for one in alive if not one.is_meta}.values()))


def test_a_score_and_the_files_of_a_run_copy_no_network(config, source, tmp_path, monkeypatch):
    """At each call of the locked UNet while samples are drawn there are as many parameters as between two steps."""
    parameters = Parameters()

    class Counted(ScoredWorld):
        def score(self, net, condition, **settings):
            parameters()
            counting = self.unet.register_forward_pre_hook(parameters)
            try:
                return super().score(net, condition, **settings)
            finally:
                counting.remove()

    def copied(thing, memo=None):
        assert not isinstance(thing, torch.nn.Module | torch.Tensor), f"{type(thing).__name__} is copied"
        return deepcopy(thing, memo)

    monkeypatch.setattr("copy.deepcopy", copied)
    here = replace(config, work=tmp_path, steps=2, ema_decay=None)
    result = train_control(here, Counted(parts=source.model), say=lambda text: None)
    assert result.path.is_file() and result.path.with_name("best.safetensors").is_file()
    n_base, n_control = (sum(p.numel() for p in net.parameters()) for net in (source.unet, result.net))
    assert len(parameters.counts) > 4 and len(set(parameters.counts)) == 1
    assert parameters.counts[0] >= n_base + n_control


@pytest.mark.parametrize("resume", [True, False])
def test_an_interruption_before_the_first_step_promises_no_checkpoint(config, source, tmp_path, resume):
    def press(now) -> None:
        raise KeyboardInterrupt

    here, messages = replace(config, work=tmp_path, resume=resume), []
    with pytest.raises(KeyboardInterrupt):
        train_control(here, source, callbacks=[press], say=messages.append)
    assert messages[-1] == ("interrupted after step 0 of 3; there is no checkpoint yet: started again it begins anew")
    assert not (here.folder / "checkpoints").exists()


def test_an_interruption_names_the_step_of_the_checkpoint_that_is_there(config, source, tmp_path, monkeypatch):
    def press_twice_in_step_2(now) -> None:
        if now.step == 1:  # in the optimiser's own step: between two steps a checkpoint would be written
            monkeypatch.setattr(torch.optim.AdamW, "step", stop)

    def stop(optimiser, closure=None) -> None:
        raise KeyboardInterrupt

    here, messages = replace(config, work=tmp_path, checkpoint_every=1, resume=False), []
    with pytest.raises(KeyboardInterrupt):
        train_control(here, source, callbacks=[press_twice_in_step_2], say=messages.append)
    assert messages[-1] == (
        f"interrupted after step 1 of 3; the checkpoint of step 1 is in {here.folder}: "
        "started again without --no-resume it goes on from there"
    )


LOSSES = {
    "deleted": lambda log: log.unlink(),
    "emptied": lambda log: log.write_bytes(b""),
    "cut in a line": lambda log: log.write_bytes(log.read_bytes()[:-20]),
    "torn inside": lambda log: log.write_text(log.read_text().replace('"step": 1', '"st\n')),
    "overwritten": lambda log: log.write_bytes(b"\x00\xff\n[1, 2]\n{}\n"),
}


@pytest.mark.parametrize("lose", LOSSES.values(), ids=LOSSES)
def test_a_finished_run_whose_log_was_lost_ends_as_before(config, source, run, tmp_path, lose):
    here, messages = replace(config, work=tmp_path), []
    shutil.copytree(config.folder, here.folder)
    lose(here.folder / "log.jsonl")
    again = train_control(here, source, say=messages.append)
    assert not apart(weights_of(again.net), weights_of(run[0].net))
    assert str(again.path) in messages[-1] and ("of training" in messages[-1]) == bool(again.log)
    with safe_open(again.path, framework="pt") as file:
        training = json.loads(file.metadata()["zeroctl.provenance"])["training"]
    assert (training["seconds"] is None) == (not again.log)


def test_a_folder_with_another_run_is_refused_and_can_be_begun_anew(config, source, tmp_path):
    here = replace(config, work=tmp_path, steps=1, score_every=0, gap_every=0)
    train_control(here, source, say=lambda text: None)
    other = replace(here, learning_rate=1e-4)
    with pytest.raises(ResumeError, match="there .*0.001,.*here .*0.0001,"):
        train_control(other, source, say=lambda text: None)
    anew = replace(other, resume=False)
    assert [line["step"] for line in train_control(anew, source, say=lambda text: None).log] == [0, 1]


@pytest.mark.parametrize("form", ["released", "paper"])
def test_the_start_is_a_copy_and_depends_on_the_seed_alone(weights, form):
    source, state = World(weights), torch.random.get_rng_state()
    config = ControlConfig(form=form, seed=5)
    one, same, other = (new_control(c, source) for c in (config, config, replace(config, seed=6)))
    assert torch.equal(state, torch.random.get_rng_state())
    assert not apart(weights_of(one), weights_of(same))
    base = dict(source.unet.named_parameters())
    assert {name.split(".")[0] for name in apart(weights_of(one), weights_of(other))} == {"input_hint_block"}
    assert not apart({name: weight for name, weight in weights_of(one).items() if name in base}, base)


def test_the_second_ctrl_c_stops_at_once_and_handlers_are_put_back():
    before, messages = signal.getsignal(signal.SIGINT), []
    with pytest.raises(KeyboardInterrupt), deferred_interrupts(messages.append) as interruption:
        interruption()
        signal.raise_signal(signal.SIGINT)
        assert interruption.is_requested and len(messages) == 1
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--condition", "egdes"], ["no condition 'egdes'", *CONDITIONS]),
        (["--device", "warp"], ["the device 'warp' cannot be used", "cpu always can"]),
        (["--batch-size", "9", "--n-scenes", "8"], ["batch_size is 9 and n_scenes 8", "lower batch_size"]),
        (["--steps", "0"], ["steps is 0; expected 1 or more"]),
        (["--ema-decay", "1"], ["ema_decay is 1; expected 0 to below 1"]),
        (["--high-noise", "nan"], ["high_noise is nan; expected 1 (uniform timesteps) or more"]),
        (["--high-noise", "inf"], ["high_noise is inf; expected 1 (uniform timesteps) or more"]),
        (["--snr-gamma", "nan"], ["snr_gamma is nan; expected a finite number above 0"]),
        (["--learning-rate", "inf"], ["learning_rate is inf; expected a finite number above 0"]),
        (["--seed", "99999999999999999999"], ["seed is 99999999999999999999; expected 0 to 4611686018427387903"]),
        (["--score-steps", "-5"], ["score_steps is -5; expected 0 or more"]),
        (["--prompt-dropout", "50"], ["prompt_dropout is 50; expected a share of 0 to 1"]),
        (["--output", "control.ckpt"], ["output is control.ckpt", ".safetensors"]),
    ],
)
def test_bad_options_are_refused_before_weights_are_looked_for(options, named, capsys):
    try:
        status = main([*options, "--weights", "/nowhere"])
    except SystemExit as stopped:  # by tyro, for what the settings themselves refuse
        status = stopped.code
    output = capsys.readouterr()
    messages = " ".join((output.out + output.err).replace("│", " ").split())
    assert status == 2 and not [part for part in named if part not in messages], messages


def test_missing_weights_are_named(capsys):
    assert main(["--weights", "/nowhere"]) == 2
    assert "/nowhere/model.safetensors is missing" in capsys.readouterr().err
