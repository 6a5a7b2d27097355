"""Normal maps change their order of axes without loss."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from zeroctl_core.annotators import ANNOTATORS

convert = ANNOTATORS["normal_convert"]
ORDERS = ("bae", "midas_cn10", "opengl", "directx")

# what (10, 60, 240) of each order is in each other, by hand from the axes
COLORS = {
    ("bae", "midas_cn10"): (240, 60, 10),
    ("bae", "opengl"): (245, 60, 240),
    ("bae", "directx"): (245, 195, 240),
    ("midas_cn10", "bae"): (240, 60, 10),
    ("midas_cn10", "opengl"): (15, 60, 10),
    ("midas_cn10", "directx"): (15, 195, 10),
    ("opengl", "bae"): (245, 60, 240),
    ("opengl", "midas_cn10"): (240, 60, 245),
    ("opengl", "directx"): (10, 195, 240),
    ("directx", "bae"): (245, 195, 240),
    ("directx", "midas_cn10"): (240, 195, 245),
    ("directx", "opengl"): (10, 195, 240),
}


def as_image(*colors: tuple[int, int, int]) -> torch.Tensor:
    return torch.tensor(colors, dtype=torch.float32).div(255).T[None, :, None].contiguous()


def as_pixels(image: torch.Tensor) -> np.ndarray:
    return image.movedim(1, -1).mul(255).round().to(torch.uint8).numpy()


@pytest.mark.parametrize(("source", "target"), COLORS)
def test_colours_by_hand(source, target):
    result = convert(as_image((10, 60, 240)), source=source, target=target)
    assert tuple(as_pixels(result)[0, 0, 0]) == COLORS[source, target]


def test_default_brings_opengl_to_bae():
    """As with the host's MoGe normals: only red is turned round."""
    assert tuple(as_pixels(convert(as_image((128, 127, 255))))[0, 0, 0]) == (127, 127, 255)


@pytest.mark.parametrize(("source", "target"), list(product(ORDERS, ORDERS)))
def test_there_and_back_is_the_identity(source, target):
    ends = list(product((0, 1, 127, 128, 254, 255), repeat=3))
    pixels = np.concatenate([np.random.default_rng(0).integers(0, 256, (5000, 3)), np.array(ends)])
    image = as_image(*map(tuple, pixels.tolist()))
    there = convert(image, source=source, target=target)
    assert torch.equal(convert(there, source=target, target=source), image)
    assert source != target or torch.equal(there, image)


@pytest.mark.parametrize(("source", "target"), list(product(ORDERS, ORDERS)))
def test_black_background_stays_black_and_nothing_else_becomes_it(source, target):
    colors = list(product((0, 255), repeat=3))
    pixels = as_pixels(convert(as_image(*colors), source=source, target=target))[0, 0]
    assert [not pixel.any() for pixel in pixels] == [color == (0, 0, 0) for color in colors]


@pytest.mark.parametrize("order", ORDERS)
def test_any_way_round_is_the_same_for_normals(order):
    vectors = torch.randn(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    image = (vectors / vectors.norm(dim=1, keepdim=True) + 1) / 2
    straight = convert(image, source="opengl", target=order)
    for middle in ORDERS:
        through = convert(image, source="opengl", target=middle)
        assert torch.equal(convert(through, source=middle, target=order), straight)
