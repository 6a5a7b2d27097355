"""Scribble lines: drawings and masks of either polarity, and XDoG; white on black in any case."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS

scribble = ANNOTATORS["scribble"]
PHOTOS = {"astronaut": data.astronaut(), "cat": data.chelsea()[:256, :448]}

# comfyui_controlnet_aux, ScribbleDetector (whose result is inverted, undone here) and ScribbleXDog_Detector, run with
# OpenCV 5.0.0 and 4.10.0: sha1 of the one plane in 0 and 255, and white pixels in each of 4 x 4 blocks
GOLDEN = {
    ("astronaut", "drawing", 0): (
        "abe261aafd9d63b70fc274397d848d4a86c194a3",
        [
            [6221, 6503, 3691, 5403],
            [8517, 11072, 3654, 3934],
            [13864, 14555, 13338, 13549],
            [15662, 13473, 13851, 14877],
        ],
    ),
    ("astronaut", "xdog", 32): (
        "a388871b5aefaa4fe951f9211359d35b198b3986",
        [[1199, 2282, 1123, 1875], [1203, 3084, 1467, 2245], [839, 1941, 2561, 2375], [1276, 2680, 2036, 1854]],
    ),
    ("astronaut", "xdog", 9): (
        "73c397d2cc26467dbdb780955fe9409276bb112b",
        [[3009, 3890, 2523, 3543], [3265, 5528, 2643, 3732], [3265, 4546, 5226, 3966], [3432, 4986, 3482, 4688]],
    ),
    ("cat", "drawing", 0): (
        "07b8f2523a6cc6b92fd3d01060d70ac07e8753e0",
        [[5572, 7158, 7097, 6942], [5737, 7064, 6948, 6308], [7004, 7128, 6981, 4931], [5961, 6860, 6975, 2910]],
    ),
    ("cat", "xdog", 32): (
        "39ec4da6c56ebaa6dc08c4391a77c37753d2911c",
        [[234, 820, 1042, 15], [484, 1027, 792, 141], [258, 808, 564, 128], [126, 456, 365, 41]],
    ),
    ("cat", "xdog", 9): (
        "44b3448967e03918c89a6fd5aebfe819fcfaff45",
        [[1599, 2432, 2387, 715], [1880, 2145, 1919, 1206], [1621, 2398, 1910, 1442], [1397, 1667, 1739, 898]],
    ),
}


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture)).movedim(-1, 0)[None].float() / 255


def plane(image: torch.Tensor) -> np.ndarray:
    """The one plane, bool; fails when the three differ or hold anything between."""
    assert torch.equal(image[:, 0], image[:, 1]) and torch.equal(image[:, 0], image[:, 2])
    assert set(image.unique().tolist()) <= {0.0, 1.0}
    return image[0, 0].numpy() > 0


def drawing(thickness: int, ink: tuple[int, ...] = (0, 0, 0), paper: int = 255, frame: int = 0) -> np.ndarray:
    """A circle and a cross, [200, 300, 3] uint8, with a frame of ink of so many pixels."""
    picture = np.full((200, 300, 3), paper, np.uint8)
    cv2.circle(picture, (150, 100), 70, ink, thickness)
    cv2.line(picture, (110, 60), (190, 140), ink, thickness)
    cv2.line(picture, (190, 60), (110, 140), ink, thickness)
    if frame:
        picture[:frame] = picture[-frame:] = ink
        picture[:, :frame] = picture[:, -frame:] = ink
    return picture


@pytest.mark.parametrize("case", GOLDEN, ids=str)
def test_equals_the_peer_on_photographs(case):
    name, source, xdog_threshold = case
    sha1, blocks = GOLDEN[case]
    settings = {"polarity": "dark_on_light"} if source == "drawing" else {"xdog_threshold": xdog_threshold}
    lines = plane(scribble(as_image(PHOTOS[name]), source=source, **settings))
    height, width = lines.shape
    counts = lines.reshape(4, height // 4, 4, width // 4).sum((1, 3))
    wrong = np.abs(counts - blocks).sum()
    same = hashlib.sha1((lines * np.uint8(255)).tobytes()).hexdigest() == sha1
    assert same or wrong <= lines.size / 1000, f"{wrong} of {lines.size} pixels differ from the peer"


@pytest.mark.parametrize("thickness", [1, 24, 50])
@pytest.mark.parametrize("ink", [(0, 0, 0), (70, 70, 90), (220, 20, 20)])
def test_dark_lines_on_light_paper(thickness, ink):
    picture = drawing(thickness, ink)
    expected = (picture != 255).any(-1)
    assert np.array_equal(plane(scribble(as_image(picture))), expected)
    assert np.array_equal(plane(scribble(as_image(picture), polarity="dark_on_light")), expected)


@pytest.mark.parametrize("thickness", [1, 24, 50])
@pytest.mark.parametrize("chalk", [(255, 255, 255), (200, 190, 180), (220, 20, 20)])
def test_light_lines_on_black(thickness, chalk):
    picture = drawing(thickness, chalk, paper=0)
    expected = (picture != 0).any(-1)
    assert np.array_equal(plane(scribble(as_image(picture))), expected)
    assert np.array_equal(plane(scribble(as_image(picture), polarity="light_on_dark")), expected)


@pytest.mark.parametrize(("ink", "paper"), [(0, 255), (255, 0)])
def test_lines_may_fill_more_than_half_and_a_frame_may_run_round_them(ink, paper):
    thick = drawing(2, (ink,) * 3, paper)
    thick[10:-10, 40:-60] = ink
    assert 0.5 < (thick == ink).mean() < 0.75
    for picture in (thick, drawing(3, (ink,) * 3, paper, frame=6)):
        assert np.array_equal(plane(scribble(as_image(picture))), picture[..., 0] == ink)


def test_each_picture_of_a_batch_has_its_own_polarity():
    pictures = torch.cat([as_image(drawing(5)), as_image(255 - drawing(5))])
    lines = scribble(pictures)
    assert torch.equal(lines[0], lines[1]) and 0 < lines.mean() < 0.5


def test_grey_masks_obey_the_released_rule():
    """The interactive demo draws `mask > 127`, the one for pictures `min(RGB) < 127`: neither holds 127 for a line."""
    ramp = as_image(np.repeat(np.arange(256, dtype=np.uint8).reshape(1, 256, 1), 3, axis=2))
    levels = np.arange(256)[None]
    assert np.array_equal(plane(scribble(ramp, polarity="light_on_dark")), levels > 127)
    assert np.array_equal(plane(scribble(ramp, polarity="dark_on_light")), levels < 127)
    assert np.array_equal(plane(scribble(ramp, polarity="light_on_dark", threshold=254)), levels > 254)
    assert np.array_equal(plane(scribble(ramp, polarity="dark_on_light", threshold=1)), levels < 1)


def test_auto_takes_grey_paper_for_light_where_the_threshold_is_lower():
    picture = drawing(3, (40, 40, 40), paper=110)
    assert np.array_equal(plane(scribble(as_image(picture), threshold=80)), picture[..., 0] == 40)


def test_rounds_as_eight_bits_would():
    image = torch.full((1, 3, 1, 2), 127 / 255)
    image[..., 1] = 126 / 255
    for shift in (-0.4, 0.0, 0.4):
        assert plane(scribble(image + shift / 255, polarity="dark_on_light")).tolist() == [[False, True]]


def test_memory_order_and_overshoot_change_nothing():
    picture = torch.from_numpy(drawing(5).copy())[None].float() / 255
    view = picture.movedim(-1, 1)
    assert torch.equal(scribble(view), scribble(view.contiguous()))
    assert torch.equal(scribble(view * 1.2 - 0.1), scribble(view))


def test_xdog_has_no_holes_in_strong_ink():
    """8 bits overflow where a line is darker than its surroundings by 128 levels and more."""
    picture = drawing(3)
    least = (
        cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 5.0)
        - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 0.5)
    ).min(-1)
    levels = 255 - (255 - least).clip(0, 255).astype(np.uint8)
    overflowed = levels * np.uint8(2) > 32
    lines = plane(scribble(as_image(picture), source="xdog"))
    assert np.array_equal(lines, levels.astype(int) * 2 > 32)
    assert (lines & ~overflowed).sum() > 100 and not (overflowed & ~lines).any()


@pytest.mark.parametrize("xdog_threshold", [2, 3, 33, 63, 64])
def test_xdog_counts_whole_levels(xdog_threshold):
    picture = PHOTOS["cat"]
    blurs = [cv2.GaussianBlur(picture.astype(np.float32), (0, 0), sigma) for sigma in (5.0, 0.5)]
    levels = 255 - (255 - (blurs[0] - blurs[1]).min(-1)).clip(0, 255).astype(int)
    lines = plane(scribble(as_image(picture), source="xdog", xdog_threshold=xdog_threshold))
    assert np.array_equal(lines, 2 * levels > xdog_threshold)


def test_xdog_of_either_polarity_draws_the_same_lines():
    picture = as_image(drawing(3))
    dark = scribble(picture, source="xdog")
    assert torch.equal(dark, scribble(picture, source="xdog", polarity="dark_on_light"))
    assert torch.equal(dark, scribble(1 - picture, source="xdog", polarity="light_on_dark"))
    assert not torch.equal(dark, scribble(picture, source="xdog", polarity="light_on_dark"))


@pytest.mark.parametrize("source", ["drawing", "xdog"])
@pytest.mark.parametrize("polarity", ["auto", "dark_on_light", "light_on_dark"])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (333, 517)])
def test_takes_any_size(source, polarity, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    before = image.clone()
    lines = scribble(image, source=source, polarity=polarity)
    assert lines.shape == image.shape and torch.equal(image, before)
    assert torch.equal(lines[1:], scribble(image[1:], source=source, polarity=polarity))


@pytest.mark.parametrize("level", [0.0, 0.4, 1.0])
def test_flat_paper_has_no_lines(level):
    paper = torch.full((1, 3, 33, 17), level)
    assert scribble(paper).max() == 0
    assert scribble(paper, source="xdog", xdog_threshold=1).max() == 0
