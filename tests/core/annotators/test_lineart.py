"""Line art: the formula as other packs have it, the networks' drawings inverted."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS

lineart = ANNOTATORS["lineart"]
PHOTOS = {"astronaut": data.astronaut(), "cat": data.chelsea()[:256, :448]}

# comfyui_controlnet_aux, LineartStandardDetector, run with OpenCV 5.0.0 and 4.10.0: sha1 of the one plane, and the sums
# of its levels in each of 4 x 4 blocks
GOLDEN = {
    ("astronaut", 6.0, 8): (
        "cc52b9971dde2cbbe56ba8d82b567ce549545c68",
        [
            [367509, 571998, 354349, 520831],
            [377161, 824061, 395511, 577762],
            [300898, 539592, 701286, 666380],
            [363867, 712124, 564987, 636677],
        ],
    ),
    ("astronaut", 2.5, 3): (
        "ab262e30c6ad7f3c635f46c4bbe1cc5776f6d257",
        [
            [206669, 422308, 226081, 289931],
            [236753, 583006, 301218, 344415],
            [222560, 516305, 541418, 340096],
            [271466, 585853, 356336, 389852],
        ],
    ),
    ("cat", 6.0, 8): (
        "6d0b946b15528e54451ef8c0f9fa93573931ddbd",
        [
            [173763, 329879, 355844, 67838],
            [229650, 350876, 283229, 137951],
            [181671, 334434, 252294, 162798],
            [139041, 214451, 209589, 94425],
        ],
    ),
    ("cat", 2.5, 3): (
        "3364c271060a60268b175f46ea91d032088346fe",
        [
            [95864, 272032, 238993, 31859],
            [118179, 201919, 198255, 48030],
            [86586, 215962, 157539, 44267],
            [86131, 173906, 117053, 26148],
        ],
    ),
}


class Paper(nn.Module):
    """Hands the red channel on as a drawing: dark on white stays dark on white."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1, dtype=dtype))
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        assert image.dtype == self.weight.dtype
        assert image.shape[2] % 4 == 0 and image.shape[3] % 4 == 0
        self.seen.append(image)
        return image[:, :1]


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].float() / 255


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_standard_equals_the_peer_on_photographs(case):
    name, sigma, intensity = case
    sha1, blocks = GOLDEN[case]
    lines = lineart(as_image(PHOTOS[name]), sigma=sigma, intensity=intensity)
    assert torch.equal(lines[:, 0], lines[:, 1]) and torch.equal(lines[:, 0], lines[:, 2])
    levels = lines[0, 0].mul(255).round().to(torch.uint8).numpy()
    height, width = levels.shape
    sums = levels.astype(int).reshape(4, height // 4, 4, width // 4).sum((1, 3))
    wrong = np.abs(sums - blocks).sum()
    same = hashlib.sha1(levels.tobytes()).hexdigest() == sha1
    # a level in a thousand pixels
    assert same or wrong <= levels.size / 1000, f"{wrong} levels over {levels.size} pixels differ from the peer"


def test_standard_draws_dark_lines_white_and_ignores_light_ones():
    page = torch.full((1, 3, 64, 96), 0.6)
    page[..., 20:23, :] = 0.2
    page[..., 44:47, :] = 0.9
    lines = lineart(page)[0, 0]
    assert lines[21].min() > 0.4
    assert lines[45].max() == 0


def test_more_intensity_makes_weak_lines_fainter():
    picture = as_image(PHOTOS["astronaut"])
    means = [lineart(picture, sigma=30.0, intensity=intensity).mean().item() for intensity in (0, 8, 16)]
    assert means[0] > means[1] > means[2] > 0


def test_paper_without_strong_lines_stays_dark():
    """Where nothing is above `intensity` the divisor is 16, not the median of nothing."""
    page = torch.full((1, 3, 64, 64), 200 / 255)
    page[..., 30:32, :] = 198 / 255
    lines = lineart(page)
    assert 0 < lines.max() < 0.1 and lines.isfinite().all()
    assert lineart(torch.full((2, 3, 33, 17), 0.7)).abs().max() == 0


@pytest.mark.parametrize("sigma", [0.1, 6.0, 100.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_standard_takes_any_size_and_sigma(sigma, size):
    if sigma == 100 and size[0] == 333:
        size = (133, 117)
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    lines = lineart(image, sigma=sigma)
    assert lines.shape == image.shape and torch.equal(image, before)
    assert 0 <= lines.min() and lines.max() <= 1
    assert torch.equal(lines[1:], lineart(image[1:], sigma=sigma))


@pytest.mark.parametrize("style", ["realistic", "coarse"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (133, 117), (64, 96)])
def test_networks_are_inverted_and_take_any_size(style, size):
    paper = torch.ones(2, 3, *size)
    paper[..., -1] = 0.25
    lines = lineart(paper, style=style, net=Paper())
    assert lines.shape == paper.shape and lines.dtype == torch.float32
    assert (lines[..., -1] == 0.75).all() and (lines[..., :-1] == 0).all()


def test_the_network_sees_the_picture_padded_by_its_last_pixels():
    net = Paper()
    picture = as_image(PHOTOS["cat"][:21, :30])
    lineart(picture * 1.2, style="coarse", net=net)
    (padded,) = net.seen
    inside = (picture * 1.2).clamp(0, 1)
    assert padded.shape == (1, 3, 24, 32)
    assert torch.equal(padded[:, :, :21, :30], inside)
    assert torch.equal(padded[:, :, 21:, :30], inside[:, :, -1:].expand(-1, -1, 3, -1))
    assert torch.equal(padded[:, :, :21, 30:], inside[..., -1:].expand(-1, -1, -1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_the_network_keeps_its_type(dtype):
    """The module itself checks what it is given."""
    lines = lineart(as_image(PHOTOS["cat"][:24, :32]), style="realistic", net=Paper(dtype))
    assert lines.dtype == torch.float32


@pytest.mark.parametrize("name", ["lineart_realistic", "lineart_coarse"])
def test_keeps_its_contract_with_the_real_architecture(name, seeded_net):
    style, net = name.removeprefix("lineart_"), seeded_net(name)
    pictures = torch.cat([as_image(PHOTOS[photo][:61, :75]) for photo in PHOTOS])
    lines = lineart(pictures, style=style, net=net)
    assert lines.shape == pictures.shape and 0 <= lines.min() and lines.max() <= 1 and lines.std() > 0
    assert torch.allclose(lines[1:], lineart(pictures[1:], style=style, net=net), rtol=0, atol=1e-5)
    # the smallest picture there is, which the deepest layer could not normalise at 4 x 4
    assert lineart(torch.full((1, 3, 1, 1), 0.5), style=style, net=net).isfinite().all()


def test_a_network_only_where_the_style_needs_one():
    page = torch.ones(1, 3, 8, 8)
    with pytest.raises(ValueError, match="lineart_realistic"):
        lineart(page, style="realistic")
    with pytest.raises(ValueError, match="takes no net"):
        lineart(page, net=Paper())


@pytest.mark.parametrize("style", ["standard", "standard_batch"])
def test_what_is_fainter_than_the_floor_is_black_and_nothing_else_changes(style) -> None:
    picture = torch.from_numpy(PHOTOS["astronaut"].copy()).movedim(-1, 0)[None].float() / 255
    whole, clean = lineart(picture, style=style), lineart(picture, style=style, floor=16)
    noise = whole * 255 < 15.5
    assert 0.02 < float(((whole > 0) & noise).float().mean()) < 0.3
    assert torch.equal(clean, torch.where(noise, 0.0, whole))
    assert torch.equal(lineart(picture, style=style, floor=0), whole)
    level = float(whole[whole > 0].amin())
    assert torch.equal(lineart(picture, style=style, floor=round(level * 255)), whole), "the floor itself stays"


def test_the_floor_counts_for_the_networks_too() -> None:
    picture = torch.rand(1, 3, 64, 64)
    whole = lineart(picture, style="realistic", net=Paper())
    clean = lineart(picture, style="realistic", net=Paper(), floor=64)
    assert torch.equal(clean, torch.where(whole * 255 < 63.5, 0.0, whole))
