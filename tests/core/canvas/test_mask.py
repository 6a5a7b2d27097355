"""Masks: placed as their image is, turned round, softened at the edge, and refused when they are not masks."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.nn.functional as F

from zeroctl_core.canvas import RESIZE_MODES, place_mask, prepared_mask
from zeroctl_core.canvas.mask import check_mask, feathered


def left_half(side: int = 64) -> torch.Tensor:
    mask = torch.zeros(1, 1, side, side)
    mask[..., : side // 2] = 1.0
    return mask


def on_own_canvas(mask: torch.Tensor, **settings: object) -> torch.Tensor:
    size = (mask.shape[-2], mask.shape[-1])
    return prepared_mask(mask, image_size=size, canvas_size=size, **settings)


@contextmanager
def on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_on_a_canvas_of_its_own_size_the_mask_is_a_copy_of_itself(mode):
    mask = torch.rand(2, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    out = on_own_canvas(mask, mode=mode)
    assert torch.equal(out, mask)
    assert out.data_ptr() != mask.data_ptr()


def test_invert_exchanges_0_and_1():
    assert torch.equal(on_own_canvas(left_half(), invert=True), 1.0 - left_half())


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_prepared_mask_is_inverted_placed_and_feathered_in_this_order(mode):
    mask = torch.rand(2, 30, 50, generator=torch.Generator().manual_seed(0))
    out = prepared_mask(mask, image_size=(60, 100), canvas_size=(64, 64), mode=mode, invert=True, feather=3.0)
    assert torch.equal(out, feathered(place_mask(1.0 - mask, 60, 100, 64, 64, mode=mode), 3.0))


def test_the_borders_of_fit_are_0_of_an_inverted_mask_too():
    out = prepared_mask(torch.zeros(1, 20, 40), image_size=(20, 40), canvas_size=(40, 40), mode="fit", invert=True)
    assert not out[..., :10, :].any() and not out[..., 30:, :].any() and out[..., 10:30, :].min() == 1.0


def test_feather_fades_within_its_distance_to_either_side():
    row = feathered(left_half(), 8)[0, 0, 32]
    assert torch.all(row[1:] <= row[:-1] + 1e-6), "an edge falls without ripples"
    assert row[31].item() + row[32].item() == pytest.approx(1.0, abs=1e-5), "the edge stays where it was"
    assert row[:24].min() > 0.97 and row[40:].max() < 0.03
    assert 0.6 < row[29].item() < 0.9


def test_feather_keeps_the_border_of_the_canvas():
    """Beyond the border the mask goes on: a mask of ones stays a mask of ones."""
    for value in (0.0, 0.25, 1.0):
        whole = torch.full((1, 1, 32, 48), value)
        assert torch.allclose(feathered(whole, 20), whole, atol=1e-6)
    assert feathered(left_half(), 8)[0, 0, :, 0].min() > 0.999


def test_feather_may_be_wider_than_the_mask():
    out = feathered(left_half(16), 200.0)
    assert out.shape == (1, 1, 16, 16)
    assert out.min() >= 0.0 and out.max() <= 1.0


def convolved(mask: torch.Tensor, feather: float) -> torch.Tensor:
    """The same edge in float64, tap by tap: beyond the border a tap reads the pixel at it."""
    sigma = feather / 2
    distances = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1)
    kernel = torch.exp(-0.5 * (distances.double() / sigma) ** 2)

    def taps(n: int) -> torch.Tensor:
        sources = (torch.arange(n)[:, None] + distances).clamp(0, n - 1)
        return torch.zeros(n, n).double().scatter_add(1, sources, (kernel / kernel.sum()).expand(n, -1))

    return taps(mask.shape[-2]) @ mask.double() @ taps(mask.shape[-1]).T


@pytest.mark.parametrize("feather", [0.01, 0.5, 1, 2.5, 8, 64, 256, 1024])
@pytest.mark.parametrize("size", [(1, 1), (3, 70), (300, 517)])
def test_feather_is_the_gaussian_at_any_width(feather, size):
    """Noise shows every tap, rectangles the edges; 300 rows are more than one block."""
    noise = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    for mask in (noise, (noise > 0.5).float(), F.interpolate(noise[..., :3, :5].round(), size=size)):
        assert (feathered(mask, feather) - convolved(mask, feather)).abs().max() < 2e-6


def test_the_widest_feather_takes_no_longer_than_a_narrow_one():
    """A convolution of this size has 3,073 taps and takes 40 times as long as this bound."""
    mask = F.interpolate(
        torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0)).round(), size=(1024, 1024)
    )
    with on_one_thread():
        feathered(mask, 8)
        times = []
        for _ in range(3):
            start = time.thread_time()
            feathered(mask, 1024)
            times.append(time.thread_time() - start)
    assert min(times) < 0.5


def test_feather_and_invert_commute():
    a = on_own_canvas(left_half(), feather=6, invert=True)
    assert torch.allclose(a, 1.0 - on_own_canvas(left_half(), feather=6), atol=1e-6)


def test_a_batch_equals_its_items():
    masks = torch.rand(3, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    together = on_own_canvas(masks, feather=5)
    for n in range(3):
        assert torch.allclose(together[n : n + 1], on_own_canvas(masks[n : n + 1], feather=5), atol=1e-6)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(1, 3, 8, 8), r"the shape \(1, 3, 8, 8\); expected \[n, 1, H, W\]"),
        (torch.zeros(0, 1, 8, 8), r"none of them 0"),
        (torch.zeros(1, 1, 0, 8), r"none of them 0"),
        (torch.full((1, 1, 8, 8), 1.5), r"values from 1.5 to 1.5; expected 0"),
        (torch.full((1, 1, 8, 8), -0.5), r"values from -0.5 to -0.5"),
        (torch.full((1, 1, 8, 8), float("nan")), r"values from nan to nan"),
        (torch.full((1, 1, 8, 8), 1.0000002), r"values from 1\.0000002 to 1\.0000002; expected 0 "),
    ],
)
def test_what_is_not_a_mask_is_refused(mask, message):
    for use in (check_mask, on_own_canvas, lambda mask: place_mask(mask, 8, 8, 8, 8)):
        with pytest.raises(ValueError, match=message):
            use(mask)


def test_a_unit_takes_no_mask_without_its_channel():
    with pytest.raises(ValueError, match=r"the shape \(1, 8, 8\); expected \[n, 1, H, W\]"):
        check_mask(torch.zeros(1, 8, 8))


@pytest.mark.parametrize("feather", [-1.0, float("inf"), float("nan")])
def test_a_feather_that_is_not_a_distance_is_refused(feather):
    with pytest.raises(ValueError, match=r"feather is .* pixels; expected 0 or more"):
        on_own_canvas(left_half(), feather=feather)


def test_a_feather_can_be_stopped_within_one_mask():
    calls = []

    def stop():
        calls.append(1)
        if len(calls) == 3:
            raise InterruptedError

    mask = torch.rand(600, 40)
    sizes = {"image_size": (600, 40), "canvas_size": (600, 40)}
    with pytest.raises(InterruptedError):
        prepared_mask(mask, **sizes, feather=9.0, pause=stop)
    calls.clear()
    prepared_mask(mask, **sizes, pause=stop)
    assert not calls
