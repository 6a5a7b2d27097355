"""Segmentation maps hold the exact colours of the palette, and come back to them."""

from __future__ import annotations

import hashlib

import cv2
import numpy as np
import pytest
import torch

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors import class_colors
from zeroctl_core.annotators.colors.class_colors import nearest_classes, paint_classes
from zeroctl_core.annotators.colors.palette import ADE20K, palette_colors
from zeroctl_core.annotators.pictures.pause import pausing
from zeroctl_core.annotators.pictures.pixels import to_uint8

snap = ANNOTATORS["segment_snap"]
CLASSES = (0, 2, 4, 12, 17, 21, 46, 66, 104, 149)


def as_image(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).movedim(-1, 0)[None].float() / 255


def classes_of(image: torch.Tensor) -> torch.Tensor:
    """[B, 3, H, W] -> [B, H, W], the class whose colour is nearest; of classes that share a colour the first."""
    return torch.from_numpy(np.stack([nearest_classes(picture, ADE20K) for picture in to_uint8(image)]))


def a_map(side: int = 256) -> np.ndarray:
    """Class numbers in ten regions with slanted borders: the nearest of ten points."""
    points = np.random.default_rng(1).uniform(0, side, (len(CLASSES), 2))
    y, x = np.mgrid[:side, :side]
    return np.array(CLASSES)[((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(-1)]


def test_palette_is_ade20k():
    # the list of the released annotator/uniformer, the same in comfyui_controlnet_aux
    assert hashlib.sha1(ADE20K.tobytes()).hexdigest() == "c55a868d1b468f7141510fa8f6e651f0e9dcf25b"
    assert ADE20K[0].tolist() == [120, 120, 120] and ADE20K[149].tolist() == [92, 0, 255]
    same = [(a, b) for a in range(150) for b in range(a) if (ADE20K[a] == ADE20K[b]).all()]
    assert same == [(48, 6)]
    assert not ADE20K.flags.writeable
    with pytest.raises(ValueError, match="no palette is called 'coco'; known are: ade20k"):
        palette_colors("coco")


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_paints_each_class_exactly(dtype):
    ids = torch.arange(150, dtype=dtype).reshape(2, 3, 25)
    painted = paint_classes(ids)
    assert painted.shape == (2, 3, 3, 25) and painted.dtype == torch.float32
    assert np.array_equal(painted.movedim(1, -1).reshape(150, 3).mul(255).numpy().round(), ADE20K)


def test_other_numbers_are_black_and_come_back_as_no_class():
    ids = torch.tensor([[[-1, 150, 255, -(2**40), 2**40]]])
    assert paint_classes(ids).abs().max() == 0
    assert classes_of(paint_classes(ids)).unique().tolist() == [-1]
    assert paint_classes(torch.full((1, 2, 2), 255, dtype=torch.uint8)).sum() == 0


def test_classes_come_back_but_for_the_shared_colour():
    ids = torch.arange(-1, 150)[None, None]
    back = classes_of(paint_classes(ids))
    assert back.dtype == torch.int64 and back[0, 0, 49] == 6
    ids[ids == 48] = 6
    assert torch.equal(back, ids)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(2, 2, dtype=torch.int64), r"expected \[B, H, W\]"),
        (torch.zeros(1, 2, 2), "torch.float32; expected .* whole numbers"),
        (torch.zeros(1, 2, 2, dtype=torch.bool), "torch.bool"),
    ],
)
def test_refuses_what_are_not_class_numbers(ids, message):
    with pytest.raises(ValueError, match=message):
        paint_classes(ids)


def jpeg(picture: np.ndarray) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1], cv2.IMREAD_COLOR)


def resized(picture: np.ndarray) -> np.ndarray:
    small = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("spoil", [jpeg, resized, lambda picture: cv2.GaussianBlur(picture, (0, 0), 1.5)])
def test_a_spoilt_map_comes_back(spoil):
    ids = a_map()
    spoilt = spoil(ADE20K[ids])
    off = (spoilt != ADE20K[ids]).any(-1).mean()
    snapped = classes_of(snap(as_image(spoilt)))[0].numpy()
    assert set(np.unique(snapped)) == set(CLASSES)  # no class that was not there, none lost
    wrong = (snapped != ids).mean()
    assert wrong < 0.05 and wrong < off / 2
    # without the rule the borders are full of other classes
    assert len(np.unique(classes_of(snap(as_image(spoilt), smallest=1)))) > len(CLASSES)


def test_only_palette_colours_and_black_come_out():
    noise = torch.rand(1, 3, 40, 50, generator=torch.Generator().manual_seed(0))
    for smallest in (1, 5):
        snapped = snap(noise, smallest=smallest)
        allowed = {(0, 0, 0), *(tuple(color) for color in ADE20K.tolist())}
        assert {tuple(c) for c in snapped[0].mul(255).round().flatten(1).T.int().tolist()} <= allowed


def test_nearest_is_the_nearest():
    noise = torch.randint(0, 256, (1, 3, 64, 80), generator=torch.Generator().manual_seed(0))
    ids = classes_of(noise.float() / 255)[0]
    colors = torch.cat([torch.from_numpy(ADE20K.astype(np.int64)), torch.zeros(1, 3, dtype=torch.int64)])
    apart = (noise[0].movedim(0, -1)[:, :, None] - colors).square().sum(-1)
    rows = torch.where(ids < 0, 150, ids)
    assert torch.equal(apart.gather(-1, rows[..., None])[..., 0], apart.amin(-1))


def test_an_exact_map_is_not_touched_even_where_it_is_thin():
    ids = a_map(64)
    ids[:, 30] = 93  # a pole of one pixel
    ids[5, 5] = -1
    exact = paint_classes(torch.from_numpy(ids)[None])
    assert torch.equal(snap(exact), exact)


def test_snapping_twice_changes_nothing():
    once = snap(as_image(jpeg(ADE20K[a_map(128)])))
    assert torch.equal(snap(once), once)


def test_black_stays_black():
    ids = np.full((64, 64), 21)
    ids[20:40, 20:40] = -1
    exact = paint_classes(torch.from_numpy(ids)[None])
    spoilt = (exact + 5 / 255).clamp(0, 1)
    assert torch.equal(snap(spoilt), exact)


def test_a_map_without_any_wide_region_keeps_its_classes():
    stripes = np.tile([2, 4, 12], (30, 10))
    exact = paint_classes(torch.from_numpy(stripes)[None])
    assert torch.equal(snap((exact + 2 / 255).clamp(0, 1), smallest=5), exact)


@pytest.mark.parametrize("band", [1, 700, 5000])
@pytest.mark.parametrize("smallest", [1, 5, 64])
def test_a_large_picture_is_decided_as_a_small_one_and_can_be_stopped(monkeypatch, band, smallest):
    pictures = np.random.default_rng(0).integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    pictures[1] = np.repeat(np.repeat(pictures[1, ::10, ::10], 10, 0), 10, 1)
    colors, pauses = palette_colors("ade20k"), []
    expected = [nearest_classes(one, colors, smallest) for one in pictures]
    monkeypatch.setattr(class_colors, "QUICK", 0)
    monkeypatch.setattr(class_colors, "BAND", band)
    with pausing(lambda: pauses.append(1)):
        results = [nearest_classes(one, colors, smallest) for one in pictures]
    assert all(np.array_equal(one, other) for one, other in zip(results, expected, strict=True))
    assert len(pauses) >= 3 * 2 * 2000 // max(band, 50)
