"""A step of sampling on the meta device: a read-back raises, a tensor left on the CPU meets one on meta."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from readbacks import Transfers
from torch import Tensor

from zeroctl_core import (
    BASES,
    ConnectionWeights,
    ControlNet,
    ControlStack,
    ControlUnit,
    Crop,
    Rows,
    Run,
    Schedule,
    UNet,
)
from zeroctl_core.network.noise_levels import sd_percent_to_sigma

TINY = BASES["tiny"]
SIGMAS = [14.0, 10.0, 5.0, 1.0, 0.0]
ROWS = Rows(("uncond", "cond", "uncond", "cond"), (0, 0, 1, 1), (None,) * 4)
"""Two samples; the rows of one branch are not neighbours, so that a slice cannot pick them."""
CROPS = Rows(ROWS.roles, ROWS.images, (Crop(0, 0, 8, 8), Crop(0, 0, 8, 8), Crop(4, 8, 8, 8), Crop(4, 8, 8, 8)))


def stack_of_everything(device: str, h: int, w: int) -> ControlStack:
    """Two networks; masks, schedules with a window and a curve, both branches, weights, one image and several."""
    nets = [ControlNet(TINY, device="meta").requires_grad_(False) for _ in range(2)]
    image, images = (torch.rand(n, 3, 8 * h, 8 * w, device=device) for n in (1, 2))
    mask, masks = torch.rand(1, 1, 40, 56, device=device), torch.rand(2, 1, 8 * h, 8 * w, device=device)
    return ControlStack(
        [
            ControlUnit(nets[0], image, mask=mask, schedule=Schedule(0.0, 0.9)),
            ControlUnit(nets[0], image, branches="cond", mask=masks, schedule=Schedule(curve="1@0, 0.5@1")),
            ControlUnit(nets[1], image, branches="uncond", strength=0.5),
            ControlUnit(nets[1], images, branches="cond", weights=ConnectionWeights.uniform(13, 0.3)),
        ]
    )


def steps(stack: ControlStack, rows: Rows) -> list[Callable[[], Tensor]]:
    """A run's steps: the control of four rows, and the UNet with it."""
    unet = UNet(TINY, device="meta").requires_grad_(False)
    run = Run(sd_percent_to_sigma, SIGMAS)
    x, t = torch.randn(4, 4, 8, 8, device="meta"), torch.rand(4, device="meta")
    context = torch.randn(4, 5, TINY.spec.context_dim, device="meta")

    def step(sigma: float) -> Tensor:
        residuals = stack(x, t, context, sigma=sigma, run=run, rows=rows)
        assert residuals is not None
        return unet(x, t, context, residuals=residuals)

    return [lambda sigma=sigma: step(sigma) for sigma in SIGMAS[:-1]]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("rows", "size"), [(ROWS, (8, 8)), (CROPS, (16, 24))], ids=["canvas", "crops"])
def test_a_step_reads_nothing_back_and_from_the_second_on_copies_nothing(device, rows, size):
    first, *others = steps(stack_of_everything(device, *size), rows)
    with Transfers() as of_the_first:
        first()
    assert of_the_first.copies, "conditions, masks and rows come to the device"
    with Transfers() as of_the_others:
        for step in others:
            assert step().shape == (4, 4, 8, 8)
    for transfers in (of_the_first, of_the_others):
        assert not transfers.read_backs, "\n".join(map(str, transfers.read_backs))
    assert not of_the_others.copies, "\n".join(map(str, of_the_others.copies))


@pytest.mark.parametrize(
    ("call", "read_backs", "copies"),
    [
        (lambda x: float(x[0]), ["_local_scalar_dense"], []),
        (lambda x: bool((x > 0).any()), ["_local_scalar_dense"], []),
        (lambda x: x.tolist(), ["tolist"], []),
        (lambda x: x[x > 0], ["index"], []),
        (lambda x: torch.equal(x, x + 1), ["equal"], []),
        (lambda x: x[[0, 2]], [], ["__getitem__"]),
        (lambda x: torch.tensor([1.0], device=x.device), [], ["tensor"]),
        (lambda x: x[1:] * 2.0 + torch.zeros(3, device=x.device), [], []),
    ],
)
def test_what_waits_or_copies_is_counted_with_its_line(call, read_backs, copies):
    with Transfers() as transfers:
        call(torch.rand(4))
    assert [one.call for one in transfers.read_backs] == read_backs
    assert [one.call for one in transfers.copies] == copies
    assert all(one.file == __file__ for one in (*transfers.read_backs, *transfers.copies))


def test_a_tensor_left_on_the_cpu_shows_on_meta():
    with Transfers() as transfers:
        torch.rand(4).to("meta")
    assert [one.call for one in transfers.copies] == ["_to_copy"]
