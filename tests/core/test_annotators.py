"""Contracts that every registered annotator keeps."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from skimage import data

from zeroctl_core.annotators import ANNOTATORS, Annotator, Choice, Param, Switch
from zeroctl_core.annotators.annotator import annotator
from zeroctl_core.annotators.opencv import import_cv2
from zeroctl_core.annotators.pixels import from_uint8, over_white, to_uint8

IMAGE_KINDS = [name for name, entry in ANNOTATORS.items() if entry.kind == "image"]


@pytest.fixture(scope="module")
def photos() -> torch.Tensor:
    """Two real photographs, [2, 3, 320, 421] in 0..1: an odd width, no square."""
    pictures = [torch.from_numpy(picture[60:380, 60:481].copy()) for picture in (data.astronaut(), data.rocket())]
    return torch.stack([picture.movedim(-1, 0).float() / 255 for picture in pictures])


def test_canny_is_registered_with_its_name():
    assert isinstance(ANNOTATORS["canny"], Annotator)
    assert all(entry.name == name for name, entry in ANNOTATORS.items())


def test_unknown_name_lists_the_known():
    with pytest.raises(KeyError, match="canny"):
        ANNOTATORS["cany"]


@pytest.mark.parametrize("name", ANNOTATORS)
def test_says_what_it_is(name):
    assert ANNOTATORS[name].title and ANNOTATORS[name].summary.endswith(".")


@pytest.mark.parametrize("name", ANNOTATORS)
def test_defaults_lie_in_their_ranges_and_have_help(name):
    for param in ANNOTATORS[name].params:
        param.check(name, param.default)
        assert param.help.endswith(".")
        assert not isinstance(param, Param) or param.step > 0


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_keeps_size_and_range(name, photos):
    result = ANNOTATORS[name](photos)
    assert result.shape == photos.shape and result.dtype == torch.float32
    assert result.is_contiguous() or result.is_contiguous(memory_format=torch.channels_last)
    assert 0 <= result.min() and result.max() <= 1 and result.std() > 0


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_does_not_change_its_input_and_repeats_itself(name, photos):
    before = photos.clone()
    first = ANNOTATORS[name](photos)
    assert torch.equal(photos, before)
    assert torch.equal(ANNOTATORS[name](photos), first)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_a_batch_equals_its_items(name, photos):
    together = ANNOTATORS[name](photos)
    assert torch.equal(together, torch.cat([ANNOTATORS[name](photo[None]) for photo in photos]))


@pytest.mark.parametrize("name", IMAGE_KINDS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_takes_other_float_types(name, dtype, photos):
    assert ANNOTATORS[name](photos[:1].to(dtype)).dtype == torch.float32


@pytest.mark.parametrize("name", IMAGE_KINDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517)])
def test_takes_tiny_and_flat_images(name, size):
    assert ANNOTATORS[name](torch.full((1, 3, *size), 0.5)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", IMAGE_KINDS)
@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(1, 8, 8, 3), "channels seem to come last"),
        (torch.zeros(1, 4, 8, 8), "alpha"),
        (torch.zeros(3, 8, 8), r"expected \[B, 3, H, W\]"),
        (torch.zeros(0, 3, 8, 8), "none of them 0"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "expected floats"),
        (torch.full((1, 3, 8, 8), float("nan")), "finite"),
        (torch.full((1, 3, 8, 8), float("inf")), "finite"),
        (torch.full((1, 3, 8, 8), 255.0), "divide 8-bit values by 255"),
        (torch.full((1, 3, 8, 8), -1.0), r"\(image \+ 1\) / 2"),
    ],
)
def test_refuses_a_bad_image_with_its_cause(name, image, message):
    with pytest.raises(ValueError, match=message):
        ANNOTATORS[name](image)


@pytest.mark.parametrize("name", IMAGE_KINDS)
def test_refuses_parameters_out_of_range_and_unknown_ones(name):
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="no parameter is called 'strngth'"):
        ANNOTATORS[name](image, strngth=1)
    for param in ANNOTATORS[name].params:
        if isinstance(param, (Choice, Switch)):
            with pytest.raises(ValueError, match=f"{param.name} is 7; expected"):
                ANNOTATORS[name](image, **{param.name: 7})
            continue
        for value in (param.min - 1, param.max + 1, float("nan"), "7", True, None):
            with pytest.raises(ValueError, match=f"{param.name} is .*expected a .*from {param.min} to {param.max}"):
                ANNOTATORS[name](image, **{param.name: value})


def test_whole_numbers_only_where_the_default_is_one():
    param = Param("n", 3, 0, 9, 1, "A count.")
    param.check("x", 4)
    param.check("x", 4.0)
    with pytest.raises(ValueError, match="whole number"):
        param.check("x", 4.5)


def test_kinds_get_what_they_need_and_nothing_else():
    masked = Annotator("m", "masked", lambda image, mask: image * mask)
    model = Annotator("n", "model", lambda image, net: net(image), networks={"": "identity"})
    plain = Annotator("p", "image", lambda image: image)
    image, mask = torch.ones(2, 3, 4, 4), torch.zeros(2, 1, 4, 4)
    assert masked(image, mask=mask).sum() == 0
    assert torch.equal(model(image, net=torch.nn.Identity()), image)
    with pytest.raises(ValueError, match="needs mask"):
        masked(image)
    with pytest.raises(ValueError, match="one plane for each image"):
        masked(image, mask=mask[:1])
    with pytest.raises(ValueError, match="needs net"):
        model(image)
    with pytest.raises(ValueError, match="takes no mask"):
        plain(image, mask=mask)


def test_a_name_is_registered_once():
    with pytest.raises(ValueError, match="registered twice"):
        annotator("canny")(lambda image: image)


def test_uint8_round_trip_is_exact_and_rounds():
    levels = torch.arange(256).float().div(255).reshape(1, 1, 16, 16)
    assert torch.equal(from_uint8(to_uint8(levels), torch.device("cpu")), levels)
    assert to_uint8(torch.tensor([[[[1.004, -0.2, 0.5]]]])).ravel().tolist() == [255, 0, 128]


def test_alpha_is_laid_over_white():
    pixel = torch.tensor([0.2, 0.4, 0.6, 0.5]).reshape(1, 4, 1, 1)
    assert over_white(pixel).ravel().tolist() == pytest.approx([0.6, 0.7, 0.8])


def test_importing_loads_no_opencv():
    code = "import sys, zeroctl_core.annotators; assert not {'cv2', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "pip install opencv-python"),
        ("raise ImportError('libGL.so.1: cannot open shared object file')", "opencv-python-headless"),
        ("", "force-reinstall opencv-python"),
    ],
)
def test_a_broken_opencv_is_named_with_its_remedy(body, message, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "cv2", raising=False)
    if body is None:
        monkeypatch.setitem(sys.modules, "cv2", None)  # Python's own way to say: not installed
    else:
        (tmp_path / "cv2.py").write_text(body)
        monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=message):
        import_cv2("canny")
    sys.modules.pop("cv2", None)
