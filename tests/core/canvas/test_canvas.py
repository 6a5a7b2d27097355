"""A condition image and its mask on the canvas of a run: what survives, what is lost, what is refused."""

from __future__ import annotations

import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from skimage.measure import label

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.canvas.by_area import resize_by_area
from zeroctl_core.canvas.by_content import resize_by_content
from zeroctl_core.canvas.mask import place_mask, prepared_mask
from zeroctl_core.canvas.placing import RESIZE_MODES, aspect_loss, border_colour, crop_box, resize_condition
from zeroctl_core.canvas.thin_edges import _THINNING, otsu, thin
from zeroctl_core.control.unit import ControlUnit

SIZES = [(512, 512), (333, 517), (64, 200), (400, 100), (31, 47)]
CANVASES = [(512, 512), (512, 768), (64, 64), (96, 40), (333, 517)]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def photo() -> torch.Tensor:
    return torch.from_numpy(data.coffee().copy()).movedim(-1, 0)[None].float() / 255  # [1, 3, 400, 600]


@pytest.fixture(scope="module")
def edges() -> torch.Tensor:
    return ANNOTATORS["canny"](photo())


def reference_crop(image: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The middle of the picture, then for each pixel of the canvas the pixel under its centre, by plain indexing."""
    H, W = image.shape[2:]
    x = y = 0
    if W / H > width / height:
        x = round((W - W * ((width / height) / (W / H))) / 2)
    if W / H < width / height:
        y = round((H - H * ((W / H) / (width / height))) / 2)
    image = image[:, :, y : H - y, x : W - x]
    H, W = image.shape[2:]
    rows = [min(int((i + 0.5) * np.float32(H / height)), H - 1) for i in range(height)]
    columns = [min(int((i + 0.5) * np.float32(W / width)), W - 1) for i in range(width)]
    return image[:, :, rows][:, :, :, columns]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("canvas", CANVASES)
def test_crop_is_the_middle_by_nearest_pixels(size, canvas):
    image = noise(2, 3, *size)
    assert torch.equal(resize_condition(image, *canvas).image, reference_crop(image, *canvas))


def test_crop_at_its_own_size_is_the_image_itself():
    image = noise(1, 3, 40, 56)
    result = resize_condition(image, 40, 56)
    assert torch.equal(result.image, image) and result.lost == 0
    assert "whole picture" in result.note


def test_crop_reports_what_lies_outside():
    result = resize_condition(noise(1, 3, 512, 768), 512, 512)
    assert result.lost == pytest.approx(1 / 3)
    assert result.note == "crop: 33.3% of the picture lies outside of the canvas (left and right 128 px each)"
    assert "top and bottom" in resize_condition(noise(1, 3, 768, 512), 512, 512).note


def test_a_crop_to_nothing_is_refused():
    with pytest.raises(ValueError, match="nothing of an image of 1000x1 is left.*fit or stretch"):
        resize_condition(noise(1, 3, 1, 1000), 64, 64)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("size", SIZES)
def test_every_mode_gives_the_canvas_size_in_range(mode, size):
    image = noise(2, 3, *size)
    before = image.clone()
    result = resize_condition(image, 72, 104, mode)
    assert result.image.shape == (2, 3, 72, 104)
    assert 0 <= result.image.min() and result.image.max() <= 1
    assert result.lost == aspect_loss(*size, 72, 104, mode)
    assert torch.equal(image, before)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_dtype_is_kept(mode, dtype):
    assert resize_condition(noise(1, 3, 30, 40).to(dtype), 64, 64, mode).image.dtype == dtype


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_batch_equals_its_items(mode, edges):
    image = torch.cat([photo(), edges, photo().sub(0.5)])
    together = resize_condition(image, 256, 200, mode).image
    assert torch.equal(together, torch.cat([resize_condition(row[None], 256, 200, mode).image for row in image]))


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_an_inpaint_image_is_nearest_and_never_clamped(mode):
    image = noise(1, 3, 48, 80) * 1.5
    image[:, :, 10:30, 20:50] = -1
    result = resize_condition(image, 96, 96, mode).image
    assert set(result.unique().tolist()) <= set(image.unique().tolist())
    assert result.min() == -1 and result.max() > 1


def test_the_borders_of_an_inpaint_image_are_hole():
    image = noise(1, 3, 32, 64)
    image[:, :, 8:16, 8:16] = -1
    result = resize_condition(image, 64, 64, "fit").image
    assert torch.equal(result[:, :, :16], torch.full((1, 3, 16, 64), -1.0))


# --- the filter by content ---


def test_few_colours_stay_the_same_colours():
    palette = noise(3, 60)
    classes = torch.randint(0, 60, (80, 90), generator=torch.Generator().manual_seed(2))
    image = palette[:, classes]
    for size in ((37, 41), (200, 160)):
        resized, name = resize_by_content(image, *size)
        assert name == "nearest"
        assert {tuple(c.tolist()) for c in resized.flatten(1).T} <= {tuple(c.tolist()) for c in palette.T}


@pytest.mark.parametrize(
    ("n", "grown", "shrunk"), [(1, "cubic", "area"), (3, "nearest", "nearest"), (199, "nearest", "nearest"),
                               (200, "cubic", "area")],
)  # fmt: skip
def test_the_number_of_colours_decides(n, grown, shrunk):
    levels = (torch.arange(2500) % n).reshape(50, 50)
    picture = torch.stack([levels, 255 - levels, levels]) / 255
    assert resize_by_content(picture, 60, 60)[1] == grown
    assert resize_by_content(picture, 40, 40)[1] == shrunk


def test_area_equals_opencv_when_shrinking():
    picture = data.coffee().astype(np.float32) / 255
    ours = resize_by_content(photo()[0], 173, 311)[0].movedim(0, -1).numpy()
    assert np.abs(ours - cv2.resize(picture, (311, 173), interpolation=cv2.INTER_AREA)).max() < 1e-5


def test_cubic_equals_opencv_when_growing():
    picture = data.coffee().astype(np.float32) / 255
    ours = resize_by_content(photo()[0], 512, 777)[0].movedim(0, -1).numpy()
    expected = cv2.resize(picture, (777, 512), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    assert np.abs(ours - expected).max() < 2e-3  # OpenCV rounds its coefficients
    assert np.abs(ours - expected).mean() < 1e-4


def test_area_by_hand():
    image = torch.tensor([[[[0.0, 3.0, 6.0]]]])
    assert resize_by_area(image, 1, 2).tolist() == [[[[1.0, 5.0]]]]
    assert resize_by_area(image, 1, 1, (0, 1, 0.5, 2.0)).item() == pytest.approx(2.0)


def test_otsu_equals_opencv():
    grey = (photo()[0].mean(0) * 255).to(torch.uint8)
    expected = cv2.threshold(grey.numpy(), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1] > 0
    assert np.array_equal(otsu(grey).numpy(), expected)


def test_thinning_by_hand():
    bar = torch.zeros(7, 30, dtype=torch.bool)
    bar[2:5, 1:29] = True
    assert thin(bar)[:, 4:26].int().sum(0).tolist() == [1] * 22, "one pixel high, its ends apart"
    line = torch.eye(9, dtype=torch.bool)
    assert torch.equal(thin(line), line), "a line of one pixel is left alone"
    assert thin(torch.ones(2, 2, dtype=torch.bool)).any(), "a dot does not vanish"


def test_thinning_keeps_what_is_connected(edges):
    thick = torch.from_numpy(cv2.dilate(edges[0, 0].numpy(), np.ones((5, 5)))) > 0.5
    thinned = thin(thick)
    assert label(thinned.numpy(), connectivity=2).max() == label(thick.numpy(), connectivity=2).max()
    holes = [label(np.pad(~mask.numpy(), 1, constant_values=True), connectivity=1).max() for mask in (thinned, thick)]
    assert holes[0] == holes[1]
    assert thinned.sum() < thick.sum() / 3
    assert not bool((thinned & ~thick).any())


@pytest.mark.parametrize("size", [(200, 300), (300, 450), (512, 768), (800, 1200)])
def test_lines_of_one_pixel_stay_lines_of_one_pixel(edges, size):
    result = resize_condition(edges, *size, "stretch")
    assert result.note.endswith("filter: lines")
    assert result.image.unique().tolist() == [0, 1]
    lines = result.image[0, 0] > 0.5
    assert torch.equal(thin(lines), lines), "nothing is left to thin"


def test_lines_do_not_break_when_they_shrink():
    """The reason for the rule: nearest pixels lose most of a thin line."""
    image = torch.zeros(1, 3, 256, 256)
    for i in range(16, 240):
        image[:, :, i, 255 - i] = 1  # diagonal
        image[:, :, i, 30] = 1  # vertical
        image[:, :, 101, i] = 1  # horizontal
    result = resize_condition(image, 96, 96, "stretch").image[0, 0]
    assert label(result.numpy(), connectivity=2).max() == 1, "still one figure"
    assert result.sum() > 3 * 0.95 * 96 * (240 - 16) / 256 - 10
    dropped = resize_condition(image, 96, 96, "crop").image[0, 0]
    assert label(dropped.numpy(), connectivity=2).max() > 5


def test_a_drawing_without_thin_lines_stays_two_coloured():
    image = torch.zeros(1, 3, 90, 90)
    image[:, 0, 20:60, 30:80] = 1  # red on black: the colour stays
    result = resize_condition(image, 64, 64, "stretch")
    assert result.note.endswith("filter: drawing")
    assert {tuple(c) for c in result.image[0].flatten(1).T.tolist()} == {(0, 0, 0), (1, 0, 0)}
    assert result.image[0, 0].mean() == pytest.approx(image[0, 0].mean().item(), abs=0.02)


def test_the_same_size_is_left_alone(edges):
    assert torch.equal(resize_condition(edges, 400, 600, "stretch").image, edges)
    assert torch.equal(resize_condition(edges, 400, 600, "fit").image, edges)


# --- fit and stretch ---


def test_fit_holds_the_whole_picture_between_even_borders():
    result = resize_condition(photo(), 512, 512, "fit")
    inner = resize_by_content(photo()[0], 341, 512)[0]
    assert torch.equal(result.image[0, :, 85:426], inner)
    assert result.lost == pytest.approx(1 - 341 / 512)
    assert result.note == "fit: 33.4% of the canvas is border; filter: area"
    colour = result.image[0, :, :1, :1]
    assert torch.equal(result.image[0, :, :85], colour.expand(3, 85, 512))
    assert torch.equal(result.image[0, :, 426:], colour.expand(3, 86, 512))


def test_border_is_the_median_of_the_edge():
    picture = photo()[0]
    pixels = picture.numpy()
    edge = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
    assert border_colour(picture).ravel().tolist() == pytest.approx(np.median(edge, axis=1).tolist())


def test_border_of_a_class_map_is_one_of_its_classes():
    """Channel by channel the median of (1, 0, 0), (0, 1, 0) and (0, 0, 1) would be black, which is not a class."""
    picture = torch.eye(3)[torch.arange(36).remainder(3)].T.reshape(3, 6, 6)
    assert tuple(border_colour(picture).ravel().tolist()) in {(1, 0, 0), (0, 1, 0), (0, 0, 1)}


def test_stretch_says_how_much_it_bends():
    assert resize_condition(photo(), 400, 300, "stretch").note.startswith("stretch: width x0.5 against the height")
    assert resize_condition(photo(), 200, 300, "stretch").note.startswith("stretch: proportions kept")


# --- masks ---


@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_a_mask_follows_its_image(mode):
    """A mask painted like the image lands on the same place: they differ at the rim alone."""
    image = torch.zeros(1, 1, 100, 160)
    image[:, :, 20:70, 50:140] = 1
    result = resize_condition(image, 96, 64, mode).image
    mask = place_mask(image[:, 0], 100, 160, 96, 64, mode=mode)
    assert mask.shape == (1, 1, 96, 64)
    assert ((mask - result).abs() > 0.51).float().mean() < 0.005


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("scale", [0.25, 2, 3])
def test_a_mask_of_another_size_covers_the_same_extent(mode, scale):
    mask = torch.zeros(1, 120, 200)
    mask[:, 40:80, 80:160] = 1
    other = torch.nn.functional.interpolate(mask[None], scale_factor=scale, mode="nearest-exact")[0]
    ours = place_mask(other, 120, 200, 30, 25, mode=mode)
    assert torch.allclose(ours, place_mask(mask, 120, 200, 30, 25, mode=mode), atol=1e-5)


def test_a_mask_is_shrunk_by_area():
    mask = torch.zeros(4, 4)
    mask[:, :1] = 1
    assert place_mask(mask, 4, 4, 2, 2).tolist() == [[[[0.5, 0.0], [0.5, 0.0]]]]


def test_a_full_mask_is_full_on_the_picture_and_empty_on_its_borders():
    full = torch.ones(1, 1, 33, 71)
    assert place_mask(full, 33, 71, 64, 40).min() == pytest.approx(1, abs=1e-6)
    fitted = place_mask(full, 33, 71, 64, 71, mode="fit")
    assert fitted.max() <= 1
    assert fitted[:, :, 15:48].min() == pytest.approx(1, abs=1e-6) and fitted[:, :, :15].max() == 0


# --- refusals ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: resize_condition(noise(1, 3, 8, 8), 8, 8, "fill"),
            "the resize mode 'fill' is not known; use one of crop, fit, stretch",
        ),
        (lambda: resize_condition(noise(3, 8, 8), 8, 8), r"expected floats of the shape \[B, C, H, W\]"),
        (lambda: resize_condition(torch.zeros(1, 3, 8, 8).byte(), 8, 8), "uint8"),
        (lambda: resize_condition(noise(1, 3, 0, 8), 8, 8), "none of them 0"),
        (lambda: resize_condition(noise(1, 3, 8, 8), 0, 8), "8x0"),
        (lambda: resize_condition(noise(1, 3, 8, 8).log().log(), 8, 8), "NaN or infinity"),
        (lambda: aspect_loss(8, 8, 8, 8, "none"), "the resize mode 'none' is not known"),
    ],
)
def test_bad_requests_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_crop_box_loses_the_same_on_both_sides():
    assert crop_box(512, 768, 512, 512) == (0, 128, 512, 512)
    assert crop_box(333, 517, 512, 512) == (0, 92, 333, 333)
    assert crop_box(512, 512, 512, 512) == (0, 0, 512, 512)


def test_what_was_scanned_before_is_not_scanned_again(monkeypatch):
    """`scan=False` asks for shapes alone, on the canvas and in a unit, with the same result."""
    image, mask = noise(1, 3, 20, 30), noise(1, 1, 20, 30)
    sizes = {"image_size": (20, 30), "canvas_size": (64, 64)}
    before = resize_condition(image, 64, 64).image, prepared_mask(mask, **sizes)
    scans = []
    for owner, name in ((torch, "isfinite"), (torch.Tensor, "aminmax")):
        monkeypatch.setattr(owner, name, lambda value, name=name: scans.append(name))
    on_canvas, masked = resize_condition(image, 64, 64, scan=False).image, prepared_mask(mask, **sizes, scan=False)
    net = SimpleNamespace(base=SimpleNamespace(name="some", connections=(), condition_channels=3))
    ControlUnit(net, on_canvas, mask=masked, scan=False)
    assert not scans and torch.equal(on_canvas, before[0]) and torch.equal(masked, before[1])
    with pytest.raises(ValueError, match=r"reads \[n, 3, H, W\]"):
        ControlUnit(net, on_canvas[0], scan=False)
    with pytest.raises(ValueError, match=r"expected \[n, 1, H, W\]"):
        ControlUnit(net, on_canvas, mask=on_canvas, scan=False)


# --- values outside of 0..1 ---


def overshot(picture: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """As the host's bicubic resize leaves a picture."""
    result = F.interpolate(picture, size=(height, width), mode="bicubic", align_corners=False)
    assert result.min() < -0.01
    return result


@pytest.mark.parametrize("mode", ["fit", "stretch"])
def test_what_a_filter_overshot_gives_the_picture_of_the_range(edges, mode):
    one_pixel = photo()
    one_pixel[0, 0, 7, 7] = -1e-6
    disc = torch.zeros(1, 3, 64, 64)
    disc[:, :, 16:48, 20:40] = 0.7
    square_edges = edges[:, :, :200, :200]
    for image in (one_pixel, overshot(disc, 140, 140), overshot(square_edges, 230, 230), photo() * 1.2 - 0.1):
        result, expected = (resize_condition(one, 192, 256, mode) for one in (image, image.clamp(0, 1)))
        # not to the bit: where an image lies in memory may decide the order of a matrix product on several threads
        assert (result.image - expected.image).abs().max() < 1e-6
        low, high = float(image.min()), float(image.max())
        assert result.note == f"{expected.note}; values from {low:.3g} to {high:.3g} were cut to 0..1"


@pytest.mark.parametrize("mode", ["fit", "stretch"])
def test_a_hole_that_another_resize_has_bent_stays_a_hole(mode):
    image = photo()
    image[:, :, 100:200, 150:300] = -1
    bent = overshot(image, 333, 500)
    result = resize_condition(bent, 512, 512, mode)
    assert result.note.endswith("filter: nearest")
    assert set(result.image.unique().tolist()) <= {-1.0, *bent.unique().tolist()}
    if mode == "fit":
        assert bool((result.image[:, :, 0] == -1).all())


def test_only_the_pictures_without_a_hole_are_cut(edges):
    hole = noise(1, 3, 400, 600) * 1.5
    hole[:, :, :50, :50] = -1
    both = resize_condition(torch.cat([hole, edges - 0.1]), 256, 256, "fit").image
    assert torch.equal(both[0], resize_condition(hole, 256, 256, "fit").image[0]) and both[0].max() > 1
    assert torch.equal(both[1], resize_condition((edges - 0.1).clamp(0, 1), 256, 256, "fit").image[0])


def test_one_dark_channel_is_not_a_hole():
    image = photo()
    image[:, 0] -= 0.9
    assert "filter: area" in resize_condition(image, 128, 128, "stretch").note


def test_crop_and_the_same_size_leave_every_value():
    image = photo() * 1.4 - 0.2
    assert torch.equal(resize_condition(image, 400, 600, "stretch").image, image)
    assert torch.equal(resize_condition(image, 200, 300).image, reference_crop(image, 200, 300))


# --- thinning, and devices without float64 ---


def thin_by_planes(mask: torch.Tensor) -> torch.Tensor:
    """The rule as it is written: every pixel is looked at in every pass until a round changes nothing."""
    height, width = mask.shape
    on, before = F.pad(mask, (1, 1, 1, 1)), None
    while before is None or not torch.equal(on, before):
        before = on.clone()
        for off_cells, on_cells in _THINNING:
            goes = on[1:-1, 1:-1].clone()
            for cells, plane in ((off_cells, ~on), (on_cells, on)):
                for dy, dx in cells:
                    goes &= plane[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            on[1:-1, 1:-1] &= ~goes
    return on[1:-1, 1:-1]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 0.95, 1.0])
def test_thinning_is_the_rule_of_whole_planes(edges, share):
    for seed in range(40):
        height, width = (int(n) for n in torch.randint(1, 40, (2,), generator=torch.Generator().manual_seed(seed)))
        mask = noise(height, width, seed=seed) < share
        blobs = F.interpolate(noise(1, 1, 6, 6, seed=seed), size=(height, width), mode="bilinear")[0, 0] < share
        for one in (mask, blobs):
            assert torch.equal(thin(one), thin_by_planes(one))
    assert torch.equal(thin(edges[0, 0] > 0), thin_by_planes(edges[0, 0] > 0))


def test_thinning_a_large_solid_square_takes_no_minute():
    mask = torch.zeros(2048, 2048, dtype=torch.bool)
    mask[::37], mask[:, ::41], mask[600:1200, 600:1200] = True, True, True
    began = time.process_time()
    assert thin(mask).any()
    assert time.process_time() - began < 11  # 2 s; whole planes took 12 s, and eight times that at twice the size


@pytest.mark.parametrize("mode", ["fit", "stretch"])
@pytest.mark.parametrize("kind", ["lines", "drawing", "photograph", "classes", "hole"])
def test_pictures_are_placed_on_a_device_without_float64(device_without_float64, edges, kind, mode):
    images = {
        "lines": edges,
        "drawing": (photo().mean(1, keepdim=True) > 0.5).float().expand(1, 3, -1, -1).contiguous(),
        "photograph": photo(),
        "classes": (photo() * 4).round() / 4,
        "hole": torch.where(photo() < 0.2, -1.0, photo()),
    }
    result = resize_condition(images[kind].to(device_without_float64), 192, 256, mode)
    expected = resize_condition(images[kind], 192, 256, mode)
    assert result.image.device == device_without_float64 and result.note == expected.note
    assert torch.equal(result.image.cpu(), expected.image)
