"""A strength for each image of a run, and tokens of a control's own in the place of the prompt's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from zeroctl_core import ControlStack, ControlUnit, Residuals
from zeroctl_core.connections import Connection
from zeroctl_core.control.image_strengths import ImageStrengths
from zeroctl_core.control.own_context import OwnContext
from zeroctl_core.control.rows import Rows
from zeroctl_core.control.run import Run

ROWS = Rows(("uncond",) * 3 + ("cond",) * 3, (0, 1, 2) * 2, (None,) * 6)


class Base:
    name = "sd15"
    connections = (Connection("skip", 4, 1), Connection("middle", 4, 1))
    condition_channels = 3


class Net:
    """Its residuals are the mean of what it reads, for each row; it keeps what it was called with."""

    base = Base()

    def __init__(self) -> None:
        self.contexts: list[Tensor] = []

    def encode(self, image: Tensor) -> Tensor:
        return image[:, :1, ::8, ::8]

    def __call__(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Any, y: Any = None) -> Residuals:
        self.contexts.append(context)
        value = context.mean(dim=(1, 2)).reshape(-1, 1, 1, 1).expand(-1, 4, 2, 2)
        return Residuals((value,), value * 2.0)


def call(units: list[ControlUnit], run: Run | None = None) -> Residuals | None:
    context = torch.arange(6.0).reshape(6, 1, 1) + 1.0
    x, t = torch.zeros(6, 4, 2, 2), torch.zeros(6)
    return ControlStack(units)(x, t, context, rows=ROWS, run=run)


def unit(net: Net, image: Tensor | None = None, **options: Any) -> ControlUnit:
    return ControlUnit(net, torch.zeros(1, 3, 16, 16) if image is None else image, **options)


def of_rows(result: Residuals | None) -> list[float]:
    assert result is not None
    return [float(row.mean()) for row in result.skips[0]]


@pytest.mark.parametrize(
    ("text", "samples"),
    [
        ("1, 0.5, 0", [1.0, 0.5, 0.0, 1.0, 0.5]),
        (" -2 ", [-2.0] * 5),
        ("1@0, 0@4", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("0@1, 1@3", [0.0, 0.0, 0.5, 1.0, 1.0]),
        ("1@0, 0@0.5, 0.5@3.5", [1.0, pytest.approx(1 / 12), 0.25, pytest.approx(5 / 12), 0.5]),
    ],
)
def test_a_list_begins_anew_and_a_curve_goes_on(text, samples) -> None:
    strengths = ImageStrengths.parse(text)
    assert strengths is not None and list(strengths.of(range(5))) == samples


def test_its_length_is_the_batch_that_it_is_made_for() -> None:
    assert [len(ImageStrengths.parse(text) or ()) for text in ("1, 0.5, 0", "1@0, 0@15", "1@0, 0@3.5")] == [3, 16, 4]
    assert ImageStrengths.parse(" \n") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1, half", "'half' is not a number for latent 1; write a number for each latent, such as 1, 0.5, 0"),
        ("1,,2", "nothing is written for latent 1"),
        ("1, nan", "the strength of latent 1 is nan; write a number from -1000 to 1000"),
        ("inf", "the strength of latent 0 is inf"),
        ("1@0, 2", "'2' is not a point"),
        ("1@3, 0@1", "write the points in the order of the latents, with rising positions"),
        ("1@-1", "is at -1; positions are 0 or more"),
    ],
)
def test_what_cannot_be_read_is_refused(text, message) -> None:
    with pytest.raises(ValueError, match=message):
        ImageStrengths.parse(text)


def test_each_row_has_the_strength_of_its_image_and_rows_of_0_are_not_computed() -> None:
    net = Net()
    assert of_rows(call([unit(net, strength=2.0, image_strengths=ImageStrengths.parse("1, 0, 0.5"))])) == [
        2.0,
        0.0,
        3.0,
        8.0,
        0.0,
        6.0,
    ]
    assert len(net.contexts[0]) == 4
    cond = call([unit(net, branches="cond", image_strengths=ImageStrengths.parse("0, 0, 3"))])
    assert of_rows(cond) == [0.0] * 5 + [18.0] and len(net.contexts[1]) == 1
    assert call([unit(net, image_strengths=ImageStrengths.parse("0@0, 0@2"))]) is None and len(net.contexts) == 2


def test_ones_are_none_to_the_bit() -> None:
    with_ones = call([unit(Net(), image_strengths=ImageStrengths.parse("1@0, 1@5"))])
    assert of_rows(with_ones) == of_rows(call([unit(Net())]))


def test_a_control_for_each_image() -> None:
    one, two = Net(), Net()
    first = unit(one, image_strengths=ImageStrengths.parse("1, 0, 0"))
    second = unit(two, image_strengths=ImageStrengths.parse("0, 1, 0"))
    assert of_rows(call([first, second])) == [1.0, 2.0, 0.0, 4.0, 5.0, 0.0]
    assert [len(net.contexts[0]) for net in (one, two)] == [2, 2]


def test_two_units_of_one_net_with_their_strengths_share_a_run() -> None:
    net = Net()
    image = torch.zeros(1, 3, 16, 16)
    units = [unit(net, image, image_strengths=ImageStrengths.parse(text)) for text in ("1, 0, 0", "0, 0.5, 0")]
    assert of_rows(call(units)) == [1.0, 1.0, 0.0, 4.0, 2.5, 0.0]
    assert len(net.contexts) == 1 and len(net.contexts[0]) == 4


def test_a_control_reads_its_own_tokens_and_the_one_beside_it_the_prompt() -> None:
    face, canny = Net(), Net()
    own = OwnContext(torch.full((1, 4, 1), 10.0), torch.full((1, 4, 1), -10.0))
    assert of_rows(call([unit(face, context=own)])) == [-10.0] * 3 + [10.0] * 3
    assert of_rows(call([unit(face, context=own), unit(canny)])) == [-9.0, -8.0, -7.0, 14.0, 15.0, 16.0]


def test_sides_with_different_numbers_of_tokens_go_through_one_run() -> None:
    own = OwnContext(torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1), torch.tensor([5.0, 7.0]).reshape(1, 2, 1))
    net = Net()
    assert of_rows(call([unit(net, context=own)])) == [6.0] * 3 + [3.0] * 3
    assert net.contexts[0].shape == (6, 6, 1)
    single = OwnContext(torch.ones(1, 3, 1))
    assert of_rows(call([unit(Net(), context=single)])) == [1.0] * 6


def test_each_sample_reads_its_own_tokens_and_they_are_put_together_once() -> None:
    own = OwnContext(torch.arange(3.0).reshape(3, 1, 1))
    net, run = Net(), Run(lambda percent: 1.0 - percent, [1.0, 0.0])
    for _ in range(2):
        assert of_rows(call([unit(net, context=own)], run)) == [0.0, 1.0, 2.0] * 2
    assert net.contexts[0] is net.contexts[1]


def test_equal_tokens_share_a_run_and_others_do_not() -> None:
    net, image = Net(), torch.zeros(1, 3, 16, 16)

    def units(*values: float | None) -> list[ControlUnit]:
        contexts = [None if value is None else OwnContext(torch.full((1, 4, 1), value)) for value in values]
        return [unit(net, image, context=context, strength=0.5) for context in contexts]

    for values, runs in (((1.0, 1.0), 1), ((1.0, 2.0), 2), ((1.0, None), 2), ((None, None), 1)):
        net.contexts.clear()
        call(units(*values))
        assert len(net.contexts) == runs


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((torch.zeros(3, 4),), r"the tokens have the shape \(3, 4\); expected \[n, T, D\]"),
        ((torch.zeros(1, 4, 8), torch.zeros(1, 4, 6)), "the two sides are 8 and 6 numbers wide"),
    ],
)
def test_tokens_that_are_none_are_refused(tokens, message) -> None:
    with pytest.raises(ValueError, match=message):
        OwnContext(*tokens)
