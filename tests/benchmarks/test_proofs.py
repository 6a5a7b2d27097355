"""The proofs: what they state, how they go on, and what they compare. Their results are records, not tests."""

from __future__ import annotations

import json
import shutil
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.criterion import Figure, at_least
from benchmarks.drawings.prompts import COUNT, PROMPTS, UNKNOWN, certainty, thing_on_ground
from benchmarks.proof.__main__ import NAMES, Options, arguments_of, chosen_by
from benchmarks.proof.p4_ablation import OTHERS, VARIANTS, ZERO
from benchmarks.proof.p7_data_size import FirstScenes
from benchmarks.proof.p9_finetuned_base import off_ink, printed
from benchmarks.proof.record import Common, Proof
from benchmarks.proof.training import train_once
from benchmarks.proof.wording import Worded
from benchmarks.proof.zero_convolutions import zero_convolutions
from zeroctl_core import BASES, ControlNet, UNet
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.pictures import VARIABLE
from zeroctl_core.demo.scene import scenes
from zeroctl_core.demo.words import THING, tokenise, words_of
from zeroctl_core.train.optimisation import Optimisation

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


@pytest.mark.parametrize("name", [*NAMES, "drawings"])
def test_a_claim_and_its_criterion_are_stated_and_a_record_has_the_same_ones(name):
    is_proof = name != "drawings"
    module = import_module(f"benchmarks.proof.{name}" if is_proof else "benchmarks.drawings.__main__")
    assert len(module.CLAIM) > 20 and not module.CLAIM.endswith(".") and any(c.isdigit() for c in module.CRITERION)
    path = (RESULTS / "proof" if is_proof else RESULTS) / f"{name}.json"
    if path.is_file():
        record = json.loads(path.read_text(encoding="utf-8"))
        assert (record["claim"], record["criterion"]) == (module.CLAIM, module.CRITERION), "it was changed afterwards"
        assert record["verdict"] == ("PASS" if all(part["holds"] for part in record["parts"]) else "FAIL")


def test_proofs_run_in_their_order_and_by_their_beginnings():
    assert [name.split("_")[0] for name in NAMES] == [f"p{n}" for n in range(1, len(NAMES) + 1)]
    assert chosen_by(("p1", "p10_conditions")) == ["p1_no_op", "p10_conditions"] and chosen_by(()) == list(NAMES)
    with pytest.raises(ValueError, match="only names 'p0'"):
        Options(only=("p0",))


def test_the_options_that_every_proof_has_are_handed_on():
    arguments = arguments_of(Options(seeds=(3, 4), threads=2, work=Path("some where")))
    assert arguments[:3] == ["--seeds", "3", "4"] and "--emoji" not in arguments
    assert arguments[arguments.index("--work") + 1] == "some where" and arguments[-4:-2] == ["--threads", "2"]


@pytest.fixture
def proof(tmp_path, monkeypatch):
    """One without a package of pictures."""
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(sys, "argv", ["", "--out", str(tmp_path), "--seeds", "0", "1"])
    return Proof("p0_trial", Common, claim="It holds", criterion="a figure of at least 1")


def test_a_proof_states_its_criterion_before_it_runs_and_bears_its_verdict_in_title_and_record(proof, tmp_path, capsys):
    with pytest.raises(RuntimeError, match="has not concluded"):
        _ = proof.title
    proof.conclude([at_least("a figure", Figure.of([0.5, 0.7]), 1)], "a figure of 0.60")
    assert proof.title == "FAIL: It holds\na figure of 0.60"
    proof.sheet([("a heading", [Tile(torch.zeros(3, 16, 16), "black")])])
    proof.write({"figure": Figure.of([0.5, 0.7])})
    assert (tmp_path / "p0_trial.png").is_file()
    record = json.loads((tmp_path / "p0_trial.json").read_text(encoding="utf-8"))
    assert record["verdict"] == "FAIL" and record["fails"] == "a figure 0.60 ± 0.10 (at least 1)"
    assert record["criterion"] == "a figure of at least 1" and record["scenes"].startswith("drawn shapes alone")
    assert record["results"]["figure"]["seeds"] == [0.5, 0.7] and record["options"]["seeds"] == [0, 1]


def test_what_is_missing_is_told_in_words(proof, tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match="needs the pictures of the things"):
        proof.needs_things()
    monkeypatch.setattr(sys, "argv", ["", "--emoji", str(tmp_path / "nothing.tgz")])
    with pytest.raises(SystemExit, match="error: .*nothing.tgz is missing"):
        Proof("p0_trial", Common, claim="It holds", criterion="")


class Line:
    """A task of a few numbers."""

    name = "a line"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.line, self.n_steps = nn.Linear(3, 1), 0

    @property
    def modules(self):
        return {"line": self.line}

    def loss(self, step):
        self.n_steps += 1
        x = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        return (self.line(x).sum(dim=1) - x.sum(dim=1)).square().mean()


HOW = Optimisation(steps=9, learning_rate=0.1, ema_decay=0.9, checkpoint_every=4)


def test_a_training_that_was_killed_goes_on_to_equal_bits_and_is_not_repeated(tmp_path):
    def kill(now):
        if now.step == 6:
            raise MemoryError

    whole, first, second, third = Line(), Line(), Line(), Line()
    train_once(whole, HOW, tmp_path / "whole", print)
    with pytest.raises(MemoryError):
        train_once(first, HOW, tmp_path / "killed", print, callbacks=[kill])
    shutil.rmtree(tmp_path / "killed" / "checkpoints" / "step-00000006")  # which a process that is killed cannot write
    train_once(second, HOW, tmp_path / "killed", print)
    train_once(third, HOW, tmp_path / "killed", print)
    assert second.n_steps == 5 and third.n_steps == 0
    for task in (second, third):
        assert torch.equal(task.line.weight, whole.line.weight)
    assert sorted(path.name for path in (tmp_path / "killed").iterdir()) == ["finished.safetensors"]


def test_a_training_of_other_settings_does_not_take_what_was_finished(tmp_path):
    train_once(Line(), HOW, tmp_path / "run", print)
    other = Line()
    other.name = "another line"
    train_once(other, HOW, tmp_path / "run", print)
    assert other.n_steps == HOW.steps


def test_the_prompts_of_the_four_settings_are_in_words_that_the_base_knows():
    world = scenes(31, 0, 16, "held_out")

    def prompts(setting):
        return Worded(n=16, seed=31, setting=setting).prompts(world)

    for setting in ("no prompt", "insufficient", "conflicting", "perfect"):
        assert not any(tokenise(prompt).unknown for prompt in prompts(setting))
    assert set(prompts("no prompt")) == {""}
    for one, prompt in zip(world, prompts("insufficient"), strict=True):
        assert words_of(prompt).count(THING) == len(one.things) and one.ground in prompt
    for one, prompt in zip(world, prompts("conflicting"), strict=True):
        words = words_of(prompt)
        assert words[-2] != one.ground and not {thing.name for thing in one.things} & set(words)


def test_variants_of_the_ablation_differ_in_the_convolutions_between_copy_and_unet():
    torch.manual_seed(0)
    nets = {}
    for name, variant in VARIANTS.items():
        torch.manual_seed(1)
        nets[name] = variant(ControlNet.trainable_copy(UNet(BASES["tiny"])))
    spreads = {
        name: zero_convolutions(nets[name])[0].weight.detach().std() for name in VARIANTS if name != "ControlNet-lite"
    }
    assert spreads[ZERO] == 0
    assert [round(float(spreads[name]) * 32**0.5, 2) for name in OTHERS[:3]] == pytest.approx([1, 0.1, 0.58], abs=0.06)
    lite = nets["ControlNet-lite"]
    residuals = lite(torch.zeros(2, 4, 16, 16), None, None, feature=lite.encode(torch.rand(1, 3, 128, 128)))
    shapes = [tuple(residual.shape[1:]) for residual in residuals]
    assert shapes == [(c.channels, 16 // c.downsample, 16 // c.downsample) for c in lite.base.connections]


def test_a_part_of_a_set_is_its_first_scenes_and_has_a_name_of_its_own():
    class Data:
        name, empty = "all", None

        def batch(self, indices):
            return list(indices)

    few = FirstScenes(Data(), 10)
    assert len(few) == 10 and few.batch([3, 9]) == [3, 9] and few.name == "all first 10"


def test_prints_lie_on_the_ink_and_colours_do_not():
    picture = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert off_ink(printed(picture)) < 1e-6 < 0.05 < off_ink(picture)


def test_a_thing_on_a_ground_is_a_part_of_a_picture_on_one_colour():
    def judge(pictures):
        """Red is a thing of the second class."""
        red = F.avg_pool2d(pictures, 8)[:, :1]
        return torch.cat([torch.zeros_like(red), 20 * red - 10], dim=1)

    ground = torch.zeros(3, 128, 128)
    ground[2] = 0.7
    thing, all_of_it, two_grounds = ground.clone(), ground.clone(), ground.clone()
    thing[0, 40:90, 0:90] = 1.0
    all_of_it[0] = 1.0
    two_grounds[0, 40:90, 40:90] = 1.0
    two_grounds[2, :, :64] = 0.1
    pictures = torch.stack([ground, thing, all_of_it, two_grounds])
    assert thing_on_ground(judge, pictures).tolist() == [False, True, False, False]
    assert certainty(judge, pictures)[1] > 0.99


def test_there_are_fourteen_prompts_of_every_damage():
    assert {len(prompts) for prompts in PROMPTS.values()} == {COUNT} == {14}
    pairs = zip(UNKNOWN, PROMPTS["unknown noun"], strict=True)
    assert all(tokenise(prompt).read_as[noun] == THING for noun, prompt in pairs)
    clean = [prompt for kind, prompts in PROMPTS.items() if kind != "unknown noun" for prompt in prompts]
    assert not any(tokenise(prompt).unknown for prompt in clean)
