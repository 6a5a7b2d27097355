"""What is said of a run while it goes."""

from __future__ import annotations

import json

import pytest

from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.loop import Progress
from zeroctl_core.train.watching import Watch

RISE = [0.0, 0.0, 0.01, 0.0, 0.0, 0.46, 0.48, 0.50, 0.70, 0.84, 0.86, 0.87, 0.86, 0.85, 0.86, 0.87, 0.87]
CONFIG = ControlConfig(steps=10 * (len(RISE) - 1), score_every=10)


def now(step: int) -> Progress:
    rate = CONFIG.learning_rate
    return Progress(
        step=step, steps=CONFIG.steps, loss=0.1, learning_rate=rate, seconds=1.0, seconds_left=None, averaged=None
    )


@pytest.fixture
def watch(tmp_path):
    """A watch that measures what the test says, and what it says."""

    def made(scores) -> tuple[Watch, list[str]]:
        lines: list[str] = []
        watch = Watch(CONFIG, None, None, log=tmp_path / "log.jsonl", say=lines.append)
        watch._figures = lambda now: {"follow": scores[now.step // 10]} if now.step % 10 == 0 else {}
        return watch, lines

    return made


def test_a_rise_is_announced_when_it_is_seen_and_in_whole_when_it_is_over(watch):
    watching, lines = watch(RISE)
    for step in range(CONFIG.steps + 1):
        watching(now(step))
    announced = [line for line in lines if line.startswith("*** ")]
    assert ["from 0.00 to 0.48" in line for line in announced] == [True, False]
    assert "from 0.00 to 0.86" in announced[1] and lines.index(announced[1]) > lines.index(announced[0])


def test_a_run_that_goes_on_after_a_jump_says_it_once_more(watch, tmp_path):
    first, _ = watch(RISE)
    for step in range(145):
        first(now(step))
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["step"] == 144
    second, lines = watch(RISE)
    second.resumed(now(144))
    for step in range(145, CONFIG.steps + 1):
        second(now(step))
    announced = [line for line in lines if line.startswith("*** ")]
    assert len(announced) == 1 and "from 0.00 to 0.86" in announced[0]


def test_a_rise_that_still_goes_on_at_the_last_step_is_told_as_far_as_it_is_known(watch):
    watching, lines = watch([0.0] * 11 + RISE[5:11])
    for step in range(CONFIG.steps + 1):
        watching(now(step))
    assert sum(line.startswith("*** ") for line in lines) == 2 and "from 0.00 to 0.84" in lines[-1]
