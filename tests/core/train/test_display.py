"""Progress is shown with the time left, as lines or as a bar."""

from __future__ import annotations

from zeroctl_core.train.display import Bar, Lines, display, duration
from zeroctl_core.train.loop import Progress


def progress(step: int, loss: float | None = 0.5, left: float | None = 65.0) -> Progress:
    return Progress(step=step, steps=100, loss=loss, learning_rate=1e-3, seconds=10.0, seconds_left=left, averaged=None)


def test_lines_come_every_50_steps_and_at_the_end():
    texts: list[str] = []
    lines = Lines("edges", texts.append)
    for now in (progress(0, None, None), progress(1), progress(50), progress(99), progress(100, left=0.0)):
        lines(now)
    assert texts == ["edges: step 50/100, loss 0.5000, 1:05 left", "edges: step 100/100, loss 0.5000, 0:00 left"]


def test_there_is_no_bar_where_nobody_watches_or_somebody_else_speaks(capsys):
    assert isinstance(display("edges", 100, print), Lines)  # the test's standard error is not a terminal
    assert isinstance(display("edges", 100, lambda text: None), Lines)


def test_the_bar_shows_steps_and_loss_and_goes_on_where_a_run_went_on(capsys):
    bar = Bar("edges", 100)
    bar(progress(41))
    bar(progress(42, loss=0.25))
    bar.say("a line between")
    bar.close()
    output = capsys.readouterr()
    assert "edges" in output.err and "42/100" in output.err and "loss 0.2500" in output.err
    assert "a line between" in output.out + output.err


def test_durations_are_read_as_clocks():
    assert [duration(seconds) for seconds in (0.4, 65, 3599.6, 7265)] == ["0:00", "1:05", "1:00:00", "2:01:05"]


def test_a_step_that_was_told_with_its_score_is_not_told_again():
    texts: list[str] = []
    lines = Lines("edges", texts.append)
    lines(progress(50))
    lines.say("edges: step 100/100: loss 0.5000, iou 0.900")
    lines(progress(100))
    assert len(texts) == 2 and "iou" in texts[1]
