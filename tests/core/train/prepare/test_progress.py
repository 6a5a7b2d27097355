"""How far a preparation is, as a user reads it: the lines of the command, and the bar of a terminal."""

from __future__ import annotations

import io
import re
import sys

import pytest
from scene_files import write_scenes

from zeroctl_core.train.prepare import progress
from zeroctl_core.train.prepare.__main__ import main
from zeroctl_core.train.prepare.progress import shown_progress

LINE = re.compile(r"(\d+) of (\d+) (picture|row)s, (\d+) a second, (\d+:\d\d) left")


class Clock:
    """Half a second later at every look."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        self.now += 0.5
        return self.now


@pytest.fixture
def lines(monkeypatch, capsys):
    """What is printed of a preparation of 60 rows, half a second each."""
    monkeypatch.setattr(progress, "time", Clock())
    with shown_progress() as report:
        for number in range(1, 61):
            report(number, 60)
    return [LINE.fullmatch(line) for line in capsys.readouterr().out.splitlines()]


def test_a_line_comes_every_ten_seconds_and_at_the_end_with_rate_and_time_left(lines):
    assert [line.group(1, 2, 3, 4, 5) for line in lines] == [
        ("20", "60", "row", "2", "0:20"),
        ("40", "60", "row", "2", "0:10"),
        ("60", "60", "row", "2", "0:00"),
    ]


def test_a_terminal_shows_a_bar_with_rate_and_time_left(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    with shown_progress("picture") as report:
        for number in range(1, 4):
            report(number, 3)
    last = screen.getvalue().split("\r")[-1]
    assert "3/3" in last and "100%" in last and re.search(r"[\d.]+picture/s", last) and "<" in last


def test_the_command_tells_how_far_it_is_of_looking_and_of_encoding(tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    write_scenes(pictures, 6)
    options = ["--annotator", "canny", "--held-out", "1", "--width", "64", "--height", "64"]
    assert main([str(pictures), "--output", str(tmp_path / "data"), *options]) == 0
    matches = [match.groups() for match in map(LINE.fullmatch, capsys.readouterr().out.splitlines()) if match]
    looked, encoded = ([row for row in matches if row[2] == unit] for unit in ("picture", "row"))
    captions = len({path.read_text() for path in pictures.glob("*.txt")})
    assert looked[-1][:2] == ("6", "6") and encoded[-1][:2] == (str(2 * 6 + captions + 1),) * 2
    assert all(int(rate) > 0 and int(n) <= int(total) for n, total, _, rate, _ in matches)
    assert {left for n, total, *_, left in matches if n == total} == {"0:00"}
