"""A stack adds what its units give, runs a network only where one acts, and encodes a condition once a run.

The network here is a fake of three connections that counts its rows; each row depends on nothing but itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zeroctl_core import (
    BASES,
    Connection,
    ConnectionWeights,
    ControlNet,
    ControlStack,
    ControlUnit,
    Crop,
    Residuals,
    Rows,
    Run,
    Schedule,
    UNet,
    load_controlnet,
    save_controlnet,
)
from zeroctl_core.network.noise_levels import sd_percent_to_sigma

CONNECTIONS = (Connection("skip", 6, 1), Connection("skip", 8, 2), Connection("middle", 8, 2))
SIGMAS = [14.0, 10.0, 5.0, 1.0, 0.0]


@dataclass(frozen=True)
class FakeBase:
    name: str = "fake"
    connections: tuple[Connection, ...] = CONNECTIONS
    condition_channels: int = 3


class FakeNet(nn.Module):
    """Counts: `runs` holds the number of rows of every forward, `encoded` the shape of every condition image."""

    def __init__(self, seed: int = 0, base: FakeBase | None = None) -> None:
        super().__init__()
        self.base = base or FakeBase()
        random = torch.Generator().manual_seed(seed)
        self.weights = [torch.randn(c.channels, 4 + 3, 1, 1, generator=random) for c in self.base.connections]
        self.runs: list[int] = []
        self.encoded: list[tuple[int, ...]] = []
        self.feature_rows: list[int] = []

    def encode(self, image: Tensor) -> Tensor:
        self.encoded.append(tuple(image.shape))
        return F.avg_pool2d(image, 8)

    def forward(self, x: Tensor, t: Tensor, context: Tensor, *, feature: Tensor, y: Tensor | None = None) -> Residuals:
        self.runs.append(x.shape[0])
        self.feature_rows.append(feature.shape[0])
        assert x.shape[0] == t.shape[0] == context.shape[0] and feature.shape[0] in (1, x.shape[0])
        h = torch.cat([x, feature.expand(x.shape[0], -1, -1, -1)], dim=1)
        maps = []
        for weight, c in zip(self.weights, self.base.connections, strict=True):
            rows = []
            for r in range(x.shape[0]):  # one at a time: some versions of torch round a batch otherwise than its rows
                of_row = t[r] + context[r].mean() + (0.0 if y is None else y[r].mean())
                rows.append(F.avg_pool2d(F.conv2d(h[r : r + 1], weight) + of_row, c.downsample))
            maps.append(torch.cat(rows))
        return Residuals.of(maps)


def image(n: int = 1, h: int = 8, w: int = 8, seed: int = 1) -> Tensor:
    return torch.rand(n, 3, 8 * h, 8 * w, generator=torch.Generator().manual_seed(seed))


@dataclass
class Call:
    """The arguments of one call with a batch of 4: two uncond rows first, then the same two samples as cond."""

    x: Tensor
    t: Tensor
    context: Tensor
    y: Tensor

    @property
    def args(self) -> tuple[Tensor, ...]:
        return self.x, self.t, self.context, self.y

    def pick(self, row: int) -> tuple[Tensor, ...]:
        return tuple(arg[row : row + 1] for arg in self.args)


@pytest.fixture
def call() -> Call:
    random = torch.Generator().manual_seed(7)
    return Call(
        torch.randn(4, 4, 8, 8, generator=random),
        torch.tensor([1.0, 2.0, 3.0, 4.0]),
        torch.randn(4, 5, 16, generator=random),
        torch.randn(4, 6, generator=random),
    )


ROWS = Rows(("uncond", "uncond", "cond", "cond"), (0, 1, 0, 1), (None,) * 4)


def run() -> Run:
    return Run(sd_percent_to_sigma, SIGMAS)


def direct(net: FakeNet, picture: Tensor, args: tuple[Tensor, ...]) -> Residuals:
    """The network by itself, without a stack."""
    x, t, context, y = args
    return net(x, t, context, feature=net.encode(picture), y=y)


def assert_equal(a: Residuals | None, b: Residuals | None, atol: float = 0.0) -> None:
    assert a is not None and b is not None and len(a) == len(b)
    for place, (mine, theirs) in enumerate(zip(a, b, strict=True)):
        assert mine.shape == theirs.shape, place
        assert (mine - theirs).abs().max() <= atol, place


def test_one_unit_gives_the_networks_own_residuals(call):
    net, picture = FakeNet(), image()
    assert_equal(ControlStack([ControlUnit(net, picture)])(*call.args), direct(net, picture, call.args))


def test_strength_and_weights_multiply_each_connection(call):
    net, picture = FakeNet(), image()
    unit = ControlUnit(net, picture, strength=0.5, weights=ConnectionWeights((1.0, -2.0, 0.0)))
    expected = direct(net, picture, call.args).scaled([0.5, -1.0, 0.0])
    assert_equal(ControlStack([unit])(*call.args), expected)


def test_two_half_controls_equal_one_to_the_bit(call):
    net, picture = FakeNet(), image()
    half = ControlUnit(net, picture, strength=0.5)
    assert_equal(ControlStack([half, half])(*call.args), ControlStack([ControlUnit(net, picture)])(*call.args))


def test_the_order_of_a_stack_does_not_matter(call):
    units = [
        ControlUnit(FakeNet(1), image(seed=1), strength=0.7),
        ControlUnit(FakeNet(2), image(seed=2), branches="cond"),
        ControlUnit(FakeNet(3), image(seed=3), strength=-1.3, mask=torch.rand(1, 1, 64, 64)),
    ]
    expected = ControlStack(units)(*call.args, rows=ROWS)
    for order in itertools.permutations(units):
        assert_equal(ControlStack(order)(*call.args, rows=ROWS), expected, atol=1e-5)


def test_different_networks_add(call):
    nets, pictures = (FakeNet(1), FakeNet(2)), (image(seed=1), image(seed=2))
    stack = ControlStack([ControlUnit(net, picture) for net, picture in zip(nets, pictures, strict=True)])
    assert_equal(stack(*call.args), direct(nets[0], pictures[0], call.args) + direct(nets[1], pictures[1], call.args))


def test_the_same_network_on_an_equal_image_runs_once(call):
    net, picture = FakeNet(), image()
    stack = ControlStack(
        [
            ControlUnit(net, picture, strength=0.25),
            ControlUnit(net, picture.clone(), weights=ConnectionWeights((0.0, 0.0, 1.0))),
        ]
    )
    out = stack(*call.args)
    assert net.runs == [4] and len(net.encoded) == 1
    assert_equal(out, direct(net, picture, call.args).scaled([0.25, 0.25, 1.25]))


def test_another_image_or_another_network_runs_by_itself(call):
    net, picture = FakeNet(), image()
    ControlStack([ControlUnit(net, picture), ControlUnit(net, image(seed=2))])(*call.args)
    assert net.runs == [4, 4]
    other = FakeNet()
    ControlStack([ControlUnit(net, picture), ControlUnit(other, picture)])(*call.args)
    assert net.runs == [4, 4, 4] and other.runs == [4]


def test_cond_only_runs_the_network_on_the_cond_rows_only(call):
    net, picture = FakeNet(), image()
    out = ControlStack([ControlUnit(net, picture, branches="cond")])(*call.args, rows=ROWS)
    assert net.runs == [2]
    full = direct(net, picture, call.args)
    for result, expected in zip(out, full, strict=True):
        assert result.shape == expected.shape
        assert not result[:2].any()
        assert torch.equal(result[2:], expected[2:])


@pytest.mark.parametrize("roles", list(itertools.product(("cond", "uncond"), repeat=4)))
def test_roles_may_stand_in_any_order(call, roles):
    net, picture = FakeNet(), image()
    rows = Rows(roles, (0, 1, 0, 1), (None,) * 4)
    out = ControlStack([ControlUnit(net, picture, branches="uncond")])(*call.args, rows=rows)
    visible = [row for row in range(4) if roles[row] == "uncond"]
    if not visible:
        assert out is None and net.runs == []
        return
    assert net.runs == [len(visible)]
    for result, expected in zip(out, direct(net, picture, call.args), strict=True):
        for row in range(4):
            assert torch.equal(result[row], expected[row] if row in visible else torch.zeros_like(result[row]))


def test_a_shared_run_covers_the_union_of_the_rows(call):
    net, picture = FakeNet(), image()
    cond = ControlUnit(net, picture, strength=0.5, branches="cond")
    rows = Rows(("cond", "uncond", "uncond", "cond"), (0, 0, 0, 0), (None,) * 4)
    ControlStack([cond, cond])(*call.args, rows=rows)
    assert net.runs == [2]
    uncond = ControlUnit(net, picture, strength=2.0, branches="uncond")
    out = ControlStack([cond, uncond])(*call.args, rows=rows)
    assert net.runs == [2, 4]
    factor = torch.tensor([0.5, 2.0, 2.0, 0.5]).reshape(4, 1, 1, 1)
    for result, expected in zip(out, direct(net, picture, call.args), strict=True):
        assert torch.equal(result, expected * factor)


def test_branches_of_both_halves_equal_one_unit_on_both(call):
    net, picture = FakeNet(), image()
    halves = [ControlUnit(net, picture, branches="cond"), ControlUnit(net, picture, branches="uncond")]
    assert_equal(
        ControlStack(halves)(*call.args, rows=ROWS), ControlStack([ControlUnit(net, picture)])(*call.args, rows=ROWS)
    )


def test_a_unit_on_one_branch_needs_to_know_the_rows(call):
    with pytest.raises(ValueError, match=r"a unit acts on cond only, .* pass rows=Rows"):
        ControlStack([ControlUnit(FakeNet(), image(), branches="cond")])(*call.args)


def test_rows_must_be_those_of_the_batch(call):
    with pytest.raises(ValueError, match="rows has the length 3, the batch 4"):
        ControlStack([ControlUnit(FakeNet(), image())])(*call.args, rows=ROWS.pick([0, 1, 2]))
    with pytest.raises(ValueError, match="the lengths 1, 2 and 1;"):
        Rows(("cond",), (0, 1), (None,))
    with pytest.raises(ValueError, match="a row has the role 'positive'; expected one of cond, uncond"):
        Rows(("positive",), (0,), (None,))
    with pytest.raises(ValueError, match=r"samples \(-1,\); a sample is counted from 0"):
        Rows(("cond",), (-1,), (None,))


def test_nothing_that_acts_is_none_and_no_network_runs(call):
    net, picture = FakeNet(), image()
    closed = Schedule(0.5, 1.0)
    idle = [
        ControlUnit(net, picture, strength=0.0),
        ControlUnit(net, picture, schedule=closed),
        ControlUnit(net, picture, weights=ConnectionWeights.uniform(3, 0.0)),
        ControlUnit(net, picture, schedule=Schedule(curve="0@0, 1@1"), strength=2.0),
    ]
    for unit in idle:
        assert ControlStack([unit])(*call.args, sigma=14.7, run=run(), rows=ROWS) is None
    assert ControlStack(idle)(*call.args, sigma=14.7, run=run(), rows=ROWS) is None
    assert ControlStack([])(*call.args) is None
    assert net.runs == [] and net.encoded == []


def test_the_units_that_act_are_those_whose_networks_run(call):
    nets = [FakeNet(seed) for seed in range(6)]
    units = [
        ControlUnit(nets[0], image()),
        ControlUnit(nets[1], image(), strength=0.0),
        ControlUnit(nets[2], image(), branches="cond"),
        ControlUnit(nets[3], image(), branches="uncond"),
        ControlUnit(nets[4], image(), schedule=Schedule(0.5, 1.0, "steps")),
        ControlUnit(nets[5], image(), weights=ConnectionWeights.uniform(3, 0.0)),
    ]
    stack, rows, this_run = ControlStack(units), Rows(("cond",) * 4, (0, 1, 2, 3), (None,) * 4), run()
    assert [stack.acting(sigma, this_run, rows) for sigma in (14.0, 5.0, None)] == [(0, 2), (0, 2, 4), (0, 2, 4)]
    for sigma in (14.0, 5.0, None):
        for net in nets:
            net.runs.clear()
        stack(*call.args, sigma=sigma, run=this_run, rows=rows)
        assert tuple(place for place, net in enumerate(nets) if net.runs) == stack.acting(sigma, this_run, rows)


def test_a_stack_needs_the_sigma_only_where_a_schedule_depends_on_it():
    def needs(*schedules: Schedule | None) -> bool:
        return ControlStack([ControlUnit(FakeNet(), image(), schedule=schedule) for schedule in schedules]).needs_sigma

    assert not needs() and not needs(None, Schedule(), Schedule(unit="steps"), Schedule(0.0, 0.0, "sigma"))
    assert needs(None, Schedule(0.1)) and needs(Schedule(end=0.9)) and needs(Schedule(curve="1@0"))
    assert needs(Schedule(0.0, 1.0, "sigma")) and needs(Schedule(5.0, 0.0, "sigma"))


def test_a_schedule_opens_and_closes_in_its_run(call):
    net, picture = FakeNet(), image()
    stack = ControlStack([ControlUnit(net, picture, strength=2.0, schedule=Schedule(0.25, 0.5, "steps", "1@0, 0@1"))])
    this_run = run()
    outs = [stack(*call.args, sigma=sigma, run=this_run) for sigma in SIGMAS[:-1]]
    assert [out is None for out in outs] == [True, False, False, True]
    assert_equal(outs[1], direct(net, picture, call.args).scaled([1.5] * 3))
    assert_equal(outs[2], direct(net, picture, call.args).scaled([1.0] * 3))


def test_without_sigma_every_schedule_is_open(call):
    net, picture = FakeNet(), image()
    out = ControlStack([ControlUnit(net, picture, schedule=Schedule(0.9, 1.0))])(*call.args)
    assert_equal(out, direct(net, picture, call.args))


def test_a_schedule_at_a_sigma_needs_a_run(call):
    stack = ControlStack([ControlUnit(FakeNet(), image(), schedule=Schedule())])
    with pytest.raises(ValueError, match=r"no run; pass run=Run\(percent_to_sigma, sigmas\)"):
        stack(*call.args, sigma=5.0)


def test_a_condition_is_encoded_once_a_run(call):
    net = FakeNet()
    stack = ControlStack([ControlUnit(net, image(2))])
    this_run = run()
    for sigma in SIGMAS[:-1]:
        stack(*call.args, sigma=sigma, run=this_run, rows=ROWS)
    assert net.runs == [4] * 4
    assert net.encoded == [(1, 3, 64, 64)] * 2, "one for each image"
    stack(*call.args, sigma=5.0, run=run(), rows=ROWS)
    assert len(net.encoded) == 4, "another run knows nothing of the first"


def test_a_feature_is_kept_apart_by_dtype_and_network(call):
    nets, picture, this_run = (FakeNet(1), FakeNet(2)), image(), run()
    stack = ControlStack([ControlUnit(net, picture) for net in nets])
    stack(*call.args, run=this_run)
    for net in nets:
        net.weights = [weight.double() for weight in net.weights]
    out = stack(*(arg.double() for arg in call.args), run=this_run)
    assert all(residual.dtype == torch.float64 for residual in out)
    assert [len(net.encoded) for net in nets] == [2, 2]


def test_rows_that_share_a_feature_get_it_once(call):
    net = FakeNet()
    ControlStack([ControlUnit(net, image())])(*call.args)
    assert net.feature_rows == [1]
    ControlStack([ControlUnit(net, image(2))])(*call.args)
    assert net.feature_rows == [1, 4]


def test_row_r_uses_image_and_mask_r_mod_n(call):
    net, pictures = FakeNet(), image(2)
    masks = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    out = ControlStack([ControlUnit(net, pictures, mask=masks)])(*call.args)
    for row in range(4):
        single = direct(net, pictures[row % 2 : row % 2 + 1], call.pick(row)).masked(masks[row % 2 : row % 2 + 1])
        for result, expected in zip(out, single, strict=True):
            torch.testing.assert_close(result[row : row + 1], expected, rtol=1e-5, atol=1e-5)


def test_a_chunk_uses_the_images_of_its_samples_not_of_its_rows(call):
    """Rows of a call are chunks: the second chunk starts again at sample 0, whatever its place in the batch."""
    net, pictures = FakeNet(), image(3)
    rows = Rows(("uncond", "cond", "cond", "cond"), (2, 0, 1, 2), (None,) * 4)
    out = ControlStack([ControlUnit(net, pictures, branches="cond")])(*call.args, rows=rows)
    for row, n in ((1, 0), (2, 1), (3, 2)):
        single = direct(net, pictures[n : n + 1], call.pick(row))
        for result, expected in zip(out, single, strict=True):
            torch.testing.assert_close(result[row : row + 1], expected, rtol=1e-5, atol=1e-5)


def test_a_batch_equals_its_items(call):
    units = [ControlUnit(FakeNet(1), image(), branches="cond"), ControlUnit(FakeNet(2), image(2, seed=5), strength=0.3)]
    stack = ControlStack(units)
    together = stack(*call.args, rows=ROWS)
    for row in range(4):
        alone = stack(*call.pick(row), rows=ROWS.pick([row]))
        for a, b in zip(alone, together, strict=True):
            torch.testing.assert_close(a, b[row : row + 1], rtol=1e-5, atol=1e-5)


def test_a_mask_acts_where_it_is_1(call):
    net, picture = FakeNet(), image()
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :24] = 1.0
    expected = direct(net, picture, call.args).masked(mask).scaled([0.5] * 3)
    assert_equal(ControlStack([ControlUnit(net, picture, strength=0.5, mask=mask)])(*call.args), expected, atol=1e-6)


def test_complementary_masks_share_one_run_and_make_a_whole(call):
    net, picture = FakeNet(), image()
    mask = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(3))
    stack = ControlStack([ControlUnit(net, picture, mask=mask), ControlUnit(net, picture, mask=1.0 - mask)])
    out = stack(*call.args)
    assert net.runs == [4]
    assert_equal(out, direct(net, picture, call.args), atol=1e-5)


def test_masks_are_shrunk_once_a_run(call):
    mask = torch.rand(1, 1, 640, 640, generator=torch.Generator().manual_seed(3))
    stack, this_run = ControlStack([ControlUnit(FakeNet(), image(), mask=mask)]), run()
    first = stack(*call.args, sigma=SIGMAS[0], run=this_run)
    mask.zero_()
    assert_equal(stack(*call.args, sigma=SIGMAS[1], run=this_run), first)
    assert not any(residual.any() for residual in stack(*call.args, sigma=SIGMAS[1], run=run())), "another run looks"


CROPS = (Crop(0, 0, 8, 8), Crop(4, 8, 8, 8), Crop(8, 16, 8, 8), Crop(1, 3, 8, 8))


def by_hand(canvas: Tensor, crop: Crop) -> Tensor:
    return canvas[:, :, 8 * crop.y : 8 * (crop.y + crop.h), 8 * crop.x : 8 * (crop.x + crop.w)]


@pytest.mark.parametrize("mask_size", [(128, 192), (16, 24), (256, 384)])
def test_a_crop_of_the_latent_gets_the_same_crop_of_image_and_mask(call, mask_size):
    net, canvas = FakeNet(), image(1, 16, 24)
    coarse = torch.rand(1, 1, 16, 24, generator=torch.Generator().manual_seed(3))
    mask = F.interpolate(coarse, size=mask_size, mode="nearest")
    rows = Rows(("cond", "uncond", "cond", "cond"), (0,) * 4, CROPS)
    out = ControlStack([ControlUnit(net, canvas, mask=mask)])(*call.args, rows=rows)
    assert net.runs == [4] and net.feature_rows == [4], "rows with different crops are one run"
    full_mask = F.interpolate(coarse, size=(128, 192), mode="nearest")
    for row, crop in enumerate(CROPS):
        single = direct(net, by_hand(canvas, crop).contiguous(), call.pick(row)).masked(by_hand(full_mask, crop))
        for result, expected in zip(out, single, strict=True):
            torch.testing.assert_close(result[row : row + 1], expected, rtol=1e-5, atol=1e-5)


def test_a_crop_is_encoded_once_a_run(call):
    net, this_run = FakeNet(), run()
    stack = ControlStack([ControlUnit(net, image(1, 16, 24))])
    for crop in (CROPS[0], CROPS[1], CROPS[0]):
        stack(*call.args, run=this_run, rows=Rows(ROWS.roles, ROWS.images, (crop,) * 4))
    assert len(net.encoded) == 2 and net.feature_rows == [1, 1, 1]


def test_an_image_that_is_not_the_canvas_is_refused_with_both_sizes(call):
    stack = ControlStack([ControlUnit(FakeNet(), image(1, 8, 12))])
    with pytest.raises(ValueError, match=r"image is 96x64 pixels, the latent 8x8 cells and so 64x64 pixels; resize"):
        stack(*call.args)
    with pytest.raises(ValueError, match=r"a crop reaches to pixel 128x64, the condition image has 96x64; resize"):
        stack(*call.args, rows=Rows(ROWS.roles, ROWS.images, (Crop(0, 8, 8, 8),) * 4))
    with pytest.raises(ValueError, match=r"the latent is 8x8 cells, its crop 4x8"):
        stack(*call.args, rows=Rows(ROWS.roles, ROWS.images, (Crop(0, 0, 8, 4),) * 4))
    with pytest.raises(ValueError, match="is not inside any canvas"):
        Crop(-1, 0, 8, 8)


def test_what_is_handed_out_can_be_changed_without_harm(call):
    """Hosts scale residuals in place; the next step must not see it."""
    picture = image()
    for unit in (ControlUnit(FakeNet(), picture), ControlUnit(FakeNet(), picture, mask=torch.ones(1, 1, 64, 64))):
        stack, this_run = ControlStack([unit]), run()
        first = stack(*call.args, run=this_run)
        before = [residual.clone() for residual in first]
        for residual in first:
            residual.mul_(100.0)
        assert_equal(stack(*call.args, run=this_run), Residuals.of(before))


def overflowing() -> FakeNet:
    """A network whose first connection overflows, as one in fp16 may."""
    net = FakeNet()
    net.weights[0] = torch.full_like(net.weights[0], math.inf)
    return net


def test_an_overflow_at_weight_0_does_not_spread(call):
    unit = ControlUnit(overflowing(), image(), weights=ConnectionWeights((0.0, 1.0, 1.0)))
    out = ControlStack([unit])(*call.args)
    assert not out.skips[0].any() and torch.isfinite(out.middle).all()


def test_an_overflow_where_the_mask_is_0_does_not_spread(call):
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., :24] = 1.0
    out = ControlStack([ControlUnit(overflowing(), image(), mask=mask)])(*call.args)
    assert not out.skips[0][..., 3:].any() and not torch.isfinite(out.skips[0][..., :3]).any()


def test_an_overflow_on_rows_of_weight_0_does_not_spread(call):
    """One run of the network serves both units; at the first connection only one of them has a weight."""
    net, picture = overflowing(), image()
    units = [
        ControlUnit(net, picture, branches="cond"),
        ControlUnit(net, picture, branches="uncond", weights=ConnectionWeights((0.0, 1.0, 1.0))),
    ]
    out = ControlStack(units)(*call.args, rows=ROWS)
    assert net.runs == [4]
    assert not out.skips[0][:2].any() and not torch.isfinite(out.skips[0][2:]).any()


def test_gradients_pass_through(call):
    net, picture = FakeNet(), image()
    for weight in net.weights:
        weight.requires_grad_()
    units = [ControlUnit(net, picture, strength=0.5, branches="cond"), ControlUnit(FakeNet(2), picture)]
    out = ControlStack(units)(*call.args, rows=ROWS)
    sum(residual.sum() for residual in out).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in net.weights)


def test_a_real_network_is_run_as_the_fake_is():
    base = BASES["tiny"]
    torch.manual_seed(0)
    net = ControlNet(base).requires_grad_(False)
    for conv in (*net.zero_convs, net.middle_block_out):
        conv[0].weight.normal_(std=0.1)
    args = torch.randn(4, 4, 8, 8), torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.randn(4, 5, base.spec.context_dim)
    picture = image()
    expected = net(*args, feature=net.encode(picture))
    out = ControlStack([ControlUnit(net, picture, strength=0.5, branches="cond")])(*args, rows=ROWS)
    for result, full in zip(out, expected, strict=True):
        assert full.any() and not result[:2].any()
        torch.testing.assert_close(result[2:], 0.5 * full[2:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_unit_takes_the_channels_that_its_network_reads(tmp_path, channels):
    """From the copy of a UNet through a file to the residuals."""
    net = ControlNet.trainable_copy(UNet(BASES["tiny"]), condition_channels=channels)
    net = load_controlnet(save_controlnet(net, tmp_path / "grey.safetensors"))
    args = torch.randn(1, 4, 8, 8), torch.tensor([1.0]), torch.randn(1, 5, BASES["tiny"].spec.context_dim)
    out = ControlStack([ControlUnit(net, torch.rand(1, channels, 64, 64))])(*args)
    assert out is not None and out.batch == 1
    with pytest.raises(ValueError, match=rf"\(1, 3, 64, 64\); this tiny control reads \[n, {channels}, H, W\]"):
        ControlUnit(net, image())


def test_networks_of_different_families_are_refused():
    other = FakeNet(base=FakeBase("other", (*CONNECTIONS[:1], *CONNECTIONS)))
    with pytest.raises(
        ValueError, match=r"controls for fake \(3 connections\) and for other \(4\) do not fit the same model"
    ):
        ControlStack([ControlUnit(FakeNet(), image()), ControlUnit(other, image())])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"branches": "positive"}, r"branches 'positive' are not known; use one of both, cond, uncond"),
        ({"strength": math.nan}, r"strength is nan; give a finite number"),
        ({"condition_image": torch.zeros(3, 64, 64)}, r"image has the shape \(3, 64, 64\); .* reads \[n, 3, H, W\]"),
        ({"condition_image": torch.zeros(1, 64, 64, 3)}, r"image has the shape \(1, 64, 64, 3\)"),
        ({"condition_image": torch.zeros(0, 3, 64, 64)}, r"with at least one image"),
        ({"condition_image": torch.full((1, 3, 64, 64), math.inf)}, r"values that are not finite"),
        ({"weights": ConnectionWeights.uniform(13)}, r"expected 3 weights for a fake control, .*; got 13"),
        ({"mask": torch.zeros(64, 64)}, r"mask has the shape \(64, 64\)"),
        ({"mask": torch.full((1, 1, 64, 64), 2.0)}, r"mask has values from 2 to 2"),
    ],
)
def test_a_unit_that_cannot_work_is_refused_when_it_is_made(change, message):
    unit = ControlUnit(FakeNet(), image())
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(unit, **change)
