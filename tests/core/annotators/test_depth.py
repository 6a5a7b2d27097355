"""Depth: the net's own numbers, its size, near as white, and nothing lost on the way."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_transformers import OF_TASK
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.depth import is_metric, multiple_of, nearness, predict_depth
from zeroctl_core.annotators.pictures.seen_size import at_seen_size, seen_size
from zeroctl_core.annotators.transformers_models import TransformersModel, load_model
from zeroctl_core.annotators.transformers_models.dpt_any_size import any_size
from zeroctl_core.annotators.transformers_models.preprocessing import HALF, Preprocessing

depth = ANNOTATORS["depth"]
NAMES = OF_TASK["depth"]
METRIC = ("depth_anything_metric", "dpt_dinov2", "zoedepth")


class Found:
    def __init__(self, predicted_depth: Tensor) -> None:
        self.predicted_depth = predicted_depth


class Red(nn.Module):
    """Predicts the red channel, `offset` added and `gain` times as far."""

    def __init__(self, gain: float = 1.0, offset: float = 0.0, kind: str = "relative") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.gain, self.offset, self.seen = gain, offset, ()
        self.config = type("Config", (), {"patch_size": 14, "depth_estimation_type": kind})()

    def forward(self, pixel_values: Tensor) -> Found:
        self.seen = tuple(pixel_values.shape)
        return Found(pixel_values[:, 0] * self.gain + self.offset)


def red(**more: object) -> TransformersModel:
    return TransformersModel(Red(**more), "depth_anything", Preprocessing((0.0,) * 3, (1.0,) * 3))


def soft_picture(height: int, width: int, count: int = 1) -> Tensor:
    """Large soft spots, which tiny nets with random weights see."""
    spots = torch.rand(count, 3, 8, 10, generator=torch.Generator().manual_seed(0))
    return F.interpolate(spots, (height, width), mode="bicubic").clamp(0, 1)


@pytest.fixture
def net(tiny_folder):
    return lambda name: load_model(tiny_folder(name), "depth")


@pytest.mark.parametrize("name", NAMES)
def test_keeps_the_contract_of_an_annotator(name, net, no_network):
    picture, model = soft_picture(97, 161, count=2), net(name)
    before = picture.clone()
    condition = depth(picture, net=model, detect_size=126)
    assert torch.equal(picture, before)
    assert condition.shape == picture.shape and condition.dtype == torch.float32 and condition.is_contiguous()
    assert torch.equal(condition[:, 0], condition[:, 1]) and torch.equal(condition[:, 0], condition[:, 2])
    assert condition.amin((1, 2, 3)).tolist() == [0, 0] and condition.amax((1, 2, 3)).tolist() == [1, 1]
    assert condition.std() > 0.03
    assert torch.equal(condition, torch.cat([depth(one[None], net=model, detect_size=126) for one in picture]))
    assert len(condition[0, 0].unique()) > 256  # never through 8 bits
    assert torch.equal(condition, depth(picture, net=model, detect_size=126))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 517), (200, 60)])
def test_takes_any_size_and_flat_pictures(name, size, net):
    condition = depth(torch.full((1, 3, *size), 0.5), net=net(name), detect_size=126)
    assert condition.shape == (1, 3, *size) and condition.isfinite().all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "zoedepth"])
def test_predicts_what_transformers_does_of_the_same_pixels(name, net, tiny_folder):
    """A square of the size that the net sees needs no resizing, neither before nor after."""
    import transformers

    model = net(name)
    side = 64 if name == "dpt_hybrid" else multiple_of(model) * 5  # the hybrid takes no size but its own
    picture = soft_picture(side, side)
    mean, std = (torch.tensor(part)[:, None, None] for part in (model.preprocessing.mean, model.preprocessing.std))
    kind = getattr(transformers, type(model.model).__name__)
    with torch.no_grad():
        expected = kind.from_pretrained(tiny_folder(name))((picture - mean) / std).predicted_depth
    if name == "dpt_dinov2":  # returns 16 pixels for each patch of 14
        assert expected.shape[-1] == side // 14 * 16
        expected = F.interpolate(expected[:, None], (side, side), mode="bilinear", antialias=True)[:, 0]
    assert torch.equal(predict_depth(picture, model, side), expected)


def test_prediction_equals_the_pipeline_of_transformers_on_a_wide_picture(net):
    """Depth Anything's own processor, at a size where it resizes nothing, and its own way back to a larger picture."""
    import transformers

    picture, model = soft_picture(126, 182), net("depth_anything")
    processor = transformers.DPTImageProcessor(
        size={"height": 126, "width": 182}, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    pixels = processor(picture[0].mul(255).round().byte().movedim(0, -1).numpy(), return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        expected = model(pixel_values=pixels).predicted_depth
        output = predict_depth(picture.mul(255).round().div(255), model, 126)
    assert torch.allclose(output, expected, rtol=0, atol=1e-5 * float(expected.max()))
    assert expected.std() > 0


def test_dpt_keeps_the_proportions_of_its_patches(net):
    """8 x 18 patches of 16 are as many as 12 x 12: the class itself would mix them up and say nothing."""
    pixels, model = soft_picture(128, 288), net("dpt").model
    with torch.no_grad():
        hidden = model.dpt(pixels, output_hidden_states=True).hidden_states
        expected = model.head(model.neck(list(hidden[1:]), 8, 18))
        with any_size(model, 128, 288):
            output = model(pixels).predicted_depth
        mixed_up = model(pixels).predicted_depth
    assert torch.equal(output, expected) and output.shape == (1, 128, 288)
    assert mixed_up.shape == (1, 192, 192)  # the hooks are gone


def test_hybrid_dpt_keeps_the_proportions_of_its_patches(net):
    pixels, model = soft_picture(128, 256), net("dpt_hybrid").model
    embeddings = model.dpt.embeddings
    with torch.no_grad():
        with any_size(model, 128, 256):
            output = model(pixels).predicted_depth
        with pytest.raises(ValueError, match="doesn't match model"):
            model(pixels)  # the hooks are gone
        embeddings.image_size = (128, 256)
        raw = model.dpt(pixels, output_hidden_states=True)
        hidden = [*raw.intermediate_activations, *raw.hidden_states[3:]]
        expected = model.head(model.neck(hidden, 8, 16))
    assert torch.equal(output, expected) and output.shape == (1, 128, 256) and output.std() > 0


def test_zoedepth_sees_a_border_as_its_own_processor_adds_it(net):
    import transformers

    height, width = 72, 98  # sqrt(36) * 3 = 18 and sqrt(49) * 3 = 21 pixels around it: 108 x 140
    picture, model = soft_picture(height, width), net("zoedepth")
    output = predict_depth(picture, model, 128)
    assert output.shape == (1, height, width)
    padded = F.pad(picture, (21, 21, 18, 18), mode="reflect")
    with torch.no_grad():
        raw = model(pixel_values=model.pixel_values(at_seen_size(padded, (128, 160))))
    processor = transformers.ZoeDepthImageProcessor
    try:
        expected = processor().post_process_depth_estimation(raw, source_sizes=[(height, width)])[0]["predicted_depth"]
    except (ImportError, NameError) as error:
        pytest.skip(f"transformers' post-processing needs torchvision: {error}")
    # theirs is bicubic
    assert (output[0] - expected).abs().mean() < 0.01 * expected.std()


@pytest.mark.parametrize("name", NAMES)
def test_nets_that_give_metres_are_known(name, net):
    assert is_metric(net(name)) == (name in METRIC)


@pytest.mark.parametrize("name", NAMES)
def test_auto_is_one_of_yes_and_no(name, net):
    picture, model = soft_picture(60, 80), net(name)
    auto, yes, no = (depth(picture, net=model, detect_size=126, invert=word) for word in ("auto", "yes", "no"))
    assert torch.equal(auto, yes if name in METRIC else no)
    assert torch.allclose(yes, 1 - no, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "multiple"),
    [("depth_anything", 14), ("dpt", 32), ("dpt_hybrid", 32), ("dpt_dinov2", 28), ("zoedepth", 32)],
)
def test_sides_are_multiples_that_the_net_gives_back_whole(name, multiple, net):
    model = net(name)
    assert multiple_of(model) == multiple
    size = (multiple * 3, multiple * 5)
    with any_size(model.model, *size) if name.startswith("dpt") else nullcontext(), torch.no_grad():
        output = model(pixel_values=torch.zeros(1, 3, *size)).predicted_depth
    expected = (6 * 16, 10 * 16) if name == "dpt_dinov2" else size  # 16 pixels for each patch of 14
    assert output.shape == (1, *expected)


def test_near_is_white():
    ramp = torch.linspace(0, 1, 28).expand(1, 3, 14, -1).contiguous()
    nearer_to_the_right = depth(ramp, net=red(), detect_size=126)[0, 0, 7]
    assert nearer_to_the_right[[0, -1]].tolist() == pytest.approx([0, 1], abs=1e-6)
    metres = depth(ramp, net=red(kind="metric"), detect_size=126)[0, 0, 7]
    assert metres[[0, -1]].tolist() == pytest.approx([1, 0], abs=1e-6)
    assert torch.equal(depth(ramp, net=red(), detect_size=126, invert="yes")[0, 0, 7], metres)


def test_every_picture_of_a_batch_has_its_own_black_and_white():
    pictures = torch.cat([soft_picture(126, 126), soft_picture(126, 126) * 0.1 + 0.5])
    condition = depth(pictures, net=red(gain=7, offset=-3), detect_size=126)
    assert torch.allclose(condition[0], condition[1], atol=1e-5)


@pytest.mark.parametrize("offset", [0.0, 3.7, 1000.0])
def test_the_same_depth_everywhere_is_black(offset):
    picture = soft_picture(90, 333)
    assert depth(picture, net=red(gain=0.0, offset=offset), detect_size=126).abs().max() == 0
    assert nearness(torch.full((5, 5), offset), "percentile").abs().max() == 0


def test_rounding_errors_are_no_depth():
    plane = torch.full((8, 8), 10.0)
    plane[3, 3] = plane[3, 3].nextafter(torch.tensor(11.0))
    assert nearness(plane).abs().max() == 0


def test_percentiles_are_those_of_the_released_zoedepth_annotator():
    """vmin and vmax at 2 and 85, then (d - vmin) / (vmax - vmin), 1 minus it, clipped: annotator/zoe of CN1.1."""
    metres = torch.rand(40, 50, generator=torch.Generator().manual_seed(3)) ** 3 * 10
    low, high = np.percentile(metres.numpy(), 2), np.percentile(metres.numpy(), 85)
    expected = (1 - (metres.numpy() - low) / (high - low)).clip(0, 1)
    assert np.allclose(nearness(metres, "percentile").numpy(), expected, atol=1e-6)
    assert 0.14 < (expected == 0).mean() < 0.16


def test_percentiles_cut_the_far_end_whatever_the_net_predicts():
    picture = soft_picture(126, 126)
    metres = depth(picture, net=red(kind="metric"), detect_size=126, normalise="percentile")
    mirrored = depth(1 - picture, net=red(), detect_size=126, normalise="percentile")
    assert torch.allclose(metres, mirrored, atol=1e-5)
    assert 0.13 < (mirrored[0, 0] == 0).float().mean() < 0.17


def test_nan_and_infinity_are_errors():
    with pytest.raises(ValueError, match="NaN or infinity"):
        depth(soft_picture(20, 20), net=red(gain=float("inf")), detect_size=126)


@pytest.mark.parametrize(
    ("size", "short", "multiple", "expected"),
    [
        ((518, 518), 518, 14, (518, 518)),
        ((1080, 1920), 518, 14, (518, 924)),
        ((333, 517), 518, 14, (518, 798)),
        ((512, 512), 518, 32, (512, 512)),
        ((1920, 1080), 384, 32, (672, 384)),
        ((1, 1), 126, 14, (126, 126)),
        ((3, 517), 518, 14, (14, 2072)),
        ((100, 400), 126, 14, (126, 504)),
    ],
)
def test_short_side_and_proportions(size, short, multiple, expected):
    assert seen_size(*size, short, multiple) == expected


def test_the_net_sees_that_size_and_values_in_range():
    model = red()
    depth(torch.rand(1, 3, 90, 160).round(), net=model, detect_size=252)
    assert model.model.seen == (1, 3, 252, 448)
    steps = torch.zeros(1, 3, 9, 9)
    steps[..., 4:] = 1.2
    resized = at_seen_size(steps, (126, 126))
    assert resized.min() == 0 and resized.max() == 1


@pytest.mark.parametrize("name", [name for name in NAMES if name != "dpt_dinov2"])  # 256 channels are slow so
def test_half_precision_predicts_nearly_the_same(name, net):
    picture = soft_picture(60, 80)
    full = depth(picture, net=net(name), detect_size=126)
    half = depth(picture.half(), net=net(name).bfloat16(), detect_size=126)
    assert half.dtype == torch.float32 and (half - full).abs().mean() < 0.1


def test_mean_and_deviation_of_the_folder_are_used(tiny_folder, tmp_path):
    folder = shutil.copytree(tiny_folder("depth_anything"), tmp_path / "net")
    values = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(values))
    model = load_model(folder, "depth")
    assert (model.preprocessing.mean, model.preprocessing.std) == HALF
    picture = soft_picture(126, 126)
    with torch.no_grad():
        assert torch.equal(predict_depth(picture, model, 126), model((picture - 0.5) / 0.5).predicted_depth)


def test_refuses_a_net_for_something_else():
    with pytest.raises(ValueError, match="the net is a Identity"):
        depth(soft_picture(9, 9), net=nn.Identity())
    with pytest.raises(ValueError, match=r"a transformers model: transformers_models.load_model\(folder, 'depth'\)"):
        depth(soft_picture(9, 9))


def test_percentiles_that_coincide_give_way_to_the_extremes():
    distances = torch.full((10, 10), 5.0)
    distances[0, :3] = 1.0
    near = nearness(distances, "percentile")
    assert float(near[0, 0]) == 1.0 and float(near[5, 5]) == 0.0


def test_a_batch_has_one_scale_where_it_is_asked():
    wall = torch.full((2, 3, 28, 28), 0.4)
    wall[:, :, :4] = 0.2
    wall[1, :, 20:] = 0.9  # a hand enters
    alone, together = (depth(wall, net=red(), normalise=one) for one in ("minmax", "batch"))
    assert (alone[0, 0, 10] - alone[1, 0, 10]).abs().max() > 0.3
    assert torch.equal(together[0, :, 10], together[1, :, 10])
    assert together.min() == 0 and together.max() == 1
    assert torch.equal(depth(wall[1:], net=red(), normalise="batch"), alone[1:])
    parts = torch.cat([depth.draw(one[None], net=red(), normalise="batch") for one in wall])
    assert torch.equal(depth.finished(parts, normalise="batch"), together)
