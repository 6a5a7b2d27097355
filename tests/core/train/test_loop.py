"""The loop: rates, averages, and that a stopped run goes on as if it had not been stopped."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from toy_training import HOW, apart, at_line, new_task, weights_of

from zeroctl_core.train.averages import Averages
from zeroctl_core.train.checkpointing import ResumeError
from zeroctl_core.train.loop import Progress, fit
from zeroctl_core.train.optimisation import Optimisation

ROOT = Path(__file__).parents[3]


class Line:
    """Fit one weight to 1: a task whose steps are known in closed form."""

    name = "line"

    def __init__(self) -> None:
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)

    @property
    def modules(self):
        return {"layer": self.layer}

    def loss(self, step: int):
        return (self.layer.weight - 1).square().sum()


class Measure:
    """A callback that looks at the averaged weights, as a score does."""

    def __call__(self, now: Progress) -> None:
        if now.averaged is not None:
            with now.averaged.applied():
                pass


@pytest.fixture(scope="module")
def uninterrupted():
    task = new_task()
    averages = fit(task, HOW)
    weights = weights_of(task.net)
    averages.swap()
    return weights, weights_of(task.net), task.data.batches


def finished(folder, uninterrupted) -> None:
    """Go on to the end; weights and averages must be those of the run that nothing stopped."""
    task = new_task()
    averages = fit(task, HOW, folder=folder, callbacks=[Measure()])
    assert not apart(weights_of(task.net), uninterrupted[0])
    averages.swap()
    assert not apart(weights_of(task.net), uninterrupted[1])


@pytest.mark.parametrize("stop", [1, 2, 5])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits_on_the_same_samples(tmp_path, uninterrupted, stop):
    first = new_task()
    fit(first, HOW, folder=tmp_path, stop_at=stop)
    second = new_task()
    fit(second, HOW, folder=tmp_path)
    samples = first.data.batches[:stop] + second.data.batches[: HOW.steps - stop]  # one more is read ahead
    assert samples == uninterrupted[2][: HOW.steps]
    assert not apart(weights_of(second.net), uninterrupted[0])


def test_stopping_it_at_random_lines_never_changes_the_result(tmp_path, uninterrupted):
    """As Ctrl-C would: in the middle of a step, of an average, of a checkpoint."""

    def stop() -> None:
        raise KeyboardInterrupt

    with at_line(0, stop) as lines:
        fit(new_task(), HOW, folder=tmp_path / "counted", callbacks=[Measure()])
    draw = random.Random(11)
    for moment in sorted(draw.sample(range(1, lines[0]), 3)):
        folder = tmp_path / str(moment)
        with pytest.raises(KeyboardInterrupt), at_line(moment, stop):
            fit(new_task(), HOW, folder=folder, callbacks=[Measure()])
        finished(folder, uninterrupted)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which this system cannot")
@pytest.mark.parametrize("kills", [20, pytest.param(50, marks=pytest.mark.long)])
def test_a_run_killed_at_random_moments_ends_in_the_same_bits(tmp_path, kills):
    process = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_often.py")), str(tmp_path), str(kills)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["killed"] == kills
    assert result["left_half"] > 0, "no process died while it wrote a checkpoint"
    assert result["result"] == result["whole"]


def test_ctrl_c_between_two_steps_loses_no_step(tmp_path):
    def stop(now: Progress) -> None:
        if now.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(new_task(), HOW, folder=tmp_path, callbacks=[stop])
    steps = []
    fit(new_task(), HOW, folder=tmp_path, callbacks=[lambda now: steps.append(now.step)])
    assert steps == [4, 5, 6]


def test_a_folder_of_another_run_is_refused_with_what_differs(tmp_path):
    fit(new_task(), HOW, folder=tmp_path, stop_at=2)
    with pytest.raises(ResumeError, match="there 'seed 3', here 'seed 4'"):
        fit(new_task(seed=4), HOW, folder=tmp_path)
    with pytest.raises(ResumeError, match="'learning_rate': 0.001,.*'learning_rate': 0.01"):
        fit(new_task(), replace(HOW, learning_rate=0.01), folder=tmp_path)


def test_a_finished_run_is_not_repeated(tmp_path, uninterrupted):
    fit(new_task(), HOW, folder=tmp_path)
    task = new_task()
    fit(task, HOW, folder=tmp_path)
    assert task.data.batches == [] and not apart(weights_of(task.net), uninterrupted[0])


def test_the_rate_rises_in_the_warm_up_and_falls_with_the_cosine():
    how = Optimisation(steps=100, learning_rate=1.0, warmup_steps=10)
    assert [how.rate(step) for step in (0, 4, 9, 50, 99)] == [0.1, 0.5, 1.0, 1.0, 1.0]
    falling = replace(how, decay="cosine")
    assert falling.rate(50) == pytest.approx(0.5) and falling.rate(99) == pytest.approx(0, abs=1e-3)


def test_a_step_is_adamws():
    """From zero state the first step is the rate times the sign; the decay of a weight that is 0 is nothing."""
    task = Line()
    fit(task, Optimisation(steps=1, learning_rate=0.01, warmup_steps=1))
    assert task.layer.weight.item() == pytest.approx(0.01, rel=1e-5)


def test_the_average_follows_its_formula():
    task, weights = Line(), []
    how = Optimisation(steps=5, learning_rate=0.1, warmup_steps=1, ema_decay=0.3)
    averages = fit(task, how, callbacks=[lambda now: weights.append(task.layer.weight.item())])
    expected = weights[0]
    for step, weight in enumerate(weights[1:], start=1):
        decay = min(0.3, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * weight
    with averages.applied():
        assert task.layer.weight.item() == pytest.approx(expected, rel=1e-5)
    assert task.layer.weight.item() == weights[-1]


def test_looking_at_the_averages_does_not_change_the_run(uninterrupted):
    task = new_task()
    fit(task, HOW, callbacks=[Measure()])
    assert not apart(weights_of(task.net), uninterrupted[0])


def test_weights_are_put_back_when_what_looks_at_the_averages_fails():
    layer = nn.Linear(1, 1)
    averages = Averages(dict(layer.named_parameters()), 0.5)
    with torch.no_grad():
        layer.weight.fill_(7)
    with pytest.raises(OSError), averages.applied():
        assert float(layer.weight.detach()) != 7
        raise OSError
    assert float(layer.weight.detach()) == 7


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_run_and_is_not_saved(tmp_path, value):
    class Broken(Line):
        def loss(self, step: int):
            return super().loss(step) * (value if step == 3 else 1)

    how = Optimisation(steps=9, learning_rate=0.01, checkpoint_every=2)
    with pytest.raises(FloatingPointError, match=f"the loss of line is {value} at step 3; lower the learning rate"):
        fit(Broken(), how, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_a_gradient_that_is_not_finite_ends_the_run():
    class Steep(Line):
        def loss(self, step: int):
            return self.layer.weight.sum().abs().sqrt()  # 0 at 0, with an infinite slope

    with pytest.raises(FloatingPointError, match="the gradient of line is"):
        fit(Steep(), Optimisation(steps=2, learning_rate=0.01))
