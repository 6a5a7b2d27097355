"""Contracts that every registered annotator keeps."""

from __future__ import annotations

import copy
import math
import subprocess
import sys
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS, Annotator, Choice, Param, Switch
from zeroctl_core.annotators.annotator import annotator
from zeroctl_core.annotators.pictures import through_net
from zeroctl_core.annotators.pictures.opencv import check_opencv
from zeroctl_core.annotators.pictures.pixels import from_uint8, over_white, to_uint8
from zeroctl_core.annotators.transformers_models import TransformersModel, load_model

Run = Callable[..., Tensor]


def cases() -> dict[str, tuple[str, dict[str, str]]]:
    """Id -> name and settings: every annotator at its defaults, and with each option that needs a network."""
    table: dict[str, tuple[str, dict[str, str]]] = {}
    for name, entry in ANNOTATORS.items():
        table[name] = (name, {})
        for param in entry.params:
            for option in getattr(param, "options", ()):
                if option in entry.networks:
                    table[f"{name}-{option}"] = (name, {param.name: option})
    return table


CASES = cases()
LEAST = {"depth": {"detect_size": 126}}  # settings that make a network small


@pytest.fixture(scope="module")
def run(seeded_net, tmp_path_factory) -> Run:
    """`run(case, image)`: with a mask in the middle, with random weights or `broken` ones, where they are needed."""

    @cache
    def model_of(task: str) -> TransformersModel:
        from tiny_transformers import write_tiny

        preprocessor = {"size": 128} if task == "segmentation" else None  # of 512, which are 16 times the work
        return load_model(write_tiny(TINY_OF[task], tmp_path_factory.mktemp("tiny"), preprocessor), task)

    def annotated(case: str, image: Tensor, *, broken: bool = False, **changed: object) -> Tensor:
        name, settings = CASES[case]
        entry, extra = ANNOTATORS[name], {}
        if entry.kind == "masked":
            mask = torch.zeros(len(image), 1, *image.shape[2:])
            mask[..., image.shape[2] // 4 : image.shape[2] // 2, :] = 1
            extra["mask"] = mask
        if entry.task:
            pytest.importorskip("transformers", reason="writes folders of transformers models")
            extra["net"] = model_of(entry.task)
        elif network := entry.network(**settings):
            extra["net"] = seeded_net(network)
        if broken:
            extra["net"] = copy.deepcopy(extra["net"])
            for parameter in extra["net"].parameters():
                parameter.fill_(torch.nan)
        return entry(image, **extra, **{**settings, **LEAST.get(name, {}), **changed})

    return annotated


TINY_OF = {"depth": "depth_anything", "segmentation": "upernet"}


def has_net(case: str) -> bool:
    name, settings = CASES[case]
    return bool(ANNOTATORS[name].task or ANNOTATORS[name].network(**settings))


def range_of(case: str) -> tuple[float, float]:
    return (-1.0, 1.0) if CASES[case][0] == "inpaint" else (0.0, 1.0)


@pytest.fixture(scope="module")
def pictures() -> Callable[[str], Tensor]:
    """Three real photographs of odd sizes: [3, 3, 333, 517] in 0..1, and smaller ones where there is a network."""
    crops = [data.coffee()[40:373, 40:557], data.rocket()[60:393, 60:577], data.coffee()[67:400, 83:600]]
    large = torch.stack([torch.from_numpy(crop.copy()).movedim(-1, 0).float() / 255 for crop in crops])
    small = large[:, :, 110:159, 190:257].contiguous()
    return lambda case: small if has_net(case) else large


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


@pytest.mark.parametrize("case", CASES)
def test_keeps_size_and_range(case, run, pictures):
    image = pictures(case)
    result = run(case, image)
    assert result.shape == image.shape and result.dtype == torch.float32
    assert result.is_contiguous() or result.is_contiguous(memory_format=torch.channels_last)
    low, high = range_of(case)
    assert low <= float(result.min()) and float(result.max()) <= high and float(result.std()) > 0


@pytest.mark.parametrize("case", CASES)
def test_does_not_change_its_input_and_repeats_itself(case, run, pictures):
    image = pictures(case)[:1].clone()
    before = image.clone()
    first = run(case, image)
    assert torch.equal(image, before)
    assert torch.equal(run(case, image), first)


def assert_same_up_to_addition(one: Tensor, other: Tensor) -> None:
    """A network may add in another order, and where that is rounded to 8 bits or cut, a pixel may flip."""
    assert float((one - other).abs().max()) <= 1e-5 or float((one != other).float().mean()) < 1e-3


@pytest.mark.parametrize("case", CASES)
def test_a_batch_of_three_equals_its_items(case, run, pictures):
    image = pictures(case)
    together, singles = run(case, image), torch.cat([run(case, picture[None]) for picture in image])
    if has_net(case):
        assert_same_up_to_addition(together, singles)
    else:
        assert torch.equal(together, singles)


@pytest.mark.parametrize("case", [case for case in CASES if has_net(case)])
def test_a_batch_that_goes_through_at_once_equals_its_items(case, run, pictures, monkeypatch):
    """As on an accelerator; on a CPU pictures go one by one."""
    image = pictures(case)
    singles = run(case, image)
    calls = []
    monkeypatch.setattr(through_net, "at_once", lambda device: calls.append(device) or len(image))
    together = run(case, image)
    assert calls
    assert_same_up_to_addition(together, singles)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_takes_other_float_types_as_what_they_are_in_float32(case, dtype, run, pictures):
    image = pictures(case)[:1].to(dtype)
    result = run(case, image)
    assert result.dtype == torch.float32 and torch.equal(result, run(case, image.float()))


@pytest.mark.parametrize("case", CASES)
def test_what_overshoots_counts_as_black_or_white(case, run, pictures):
    image = pictures(case)[:1] * 1.3 - 0.1
    low, high = range_of(case)
    result = run(case, image)
    assert low <= float(result.min()) and float(result.max()) <= high
    assert torch.equal(result, run(case, image.clamp(0, 1)))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("size", "grey"), [((1, 1), 0.5), ((1, 9), 1.0), ((3, 120), 0.0), ((49, 67), 1.0)])
def test_takes_tiny_and_flat_images(case, size, grey, run):
    result = run(case, torch.full((1, 3, *size), grey))
    assert result.shape == (1, 3, *size) and bool(torch.isfinite(result).all())


@pytest.mark.parametrize("case", [case for case in CASES if has_net(case)])
def test_a_net_that_gives_no_numbers_is_an_error(case, run, pictures):
    with pytest.raises(ValueError, match="gives NaN or infinity; its file is damaged, or float16"):
        run(case, pictures(case)[:1], broken=True)


@pytest.mark.parametrize("name", ANNOTATORS)
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


@pytest.mark.parametrize("name", ANNOTATORS)
def test_refuses_parameters_out_of_range_and_unknown_ones(name):
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(ValueError, match="no parameter is called 'strngth'"):
        ANNOTATORS[name](image, strngth=1)
    for param in ANNOTATORS[name].params:
        if isinstance(param, (Choice, Switch)):
            with pytest.raises(ValueError, match=f"{param.name} is 7; expected"):
                ANNOTATORS[name](image, **{param.name: 7})
            continue
        low, high = param.range
        for value in (low - 1, high + 1, float("nan"), "7", True, None):
            with pytest.raises(ValueError, match=f"{param.name} is .*expected a .*from {low} to {high}"):
                ANNOTATORS[name](image, **{param.name: value})


def test_whole_numbers_only_where_the_default_is_one():
    param = Param("n", 3, range=(0, 9), step=1, help="A count.")
    param.check("x", 4)
    param.check("x", 4.0)
    with pytest.raises(ValueError, match="whole number"):
        param.check("x", 4.5)
    seed = Param("seed", 0, range=(0, 2**32 - 1), step=1, help="As large as that of shuffle.")
    for fine in (np.int64(50), 4e9, 2**32 - 1):
        seed.check("x", fine)
    for wrong in (0.5, 4e9 + 0.5, 2**32, math.inf):
        with pytest.raises(ValueError, match="whole number"):
            seed.check("x", wrong)


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
    for wrong in (255.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"the values of the mask lie in .*; expected 0..1"):
            masked(image, mask=mask + wrong)
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
    image = torch.rand(2, 3, 33, 57, generator=torch.manual_seed(0)) * 1.5 - 0.25
    halves = (torch.arange(300).reshape(1, 3, 10, 10) + 0.5) / 255
    for array in (image, image.contiguous(memory_format=torch.channels_last), halves, levels, image[:, :1]):
        fast = to_uint8(array, by_opencv=True)
        assert fast.flags.c_contiguous and np.array_equal(fast, to_uint8(array))
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
        ("raise ImportError('DLL load failed')", "cannot be imported .DLL load failed.*opencv-python-headless"),
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
        check_opencv("this")
    with pytest.raises(ImportError, match=f"canny needs OpenCV.*{message}"):
        ANNOTATORS["canny"](torch.zeros(1, 3, 8, 8))
    sys.modules.pop("cv2", None)
