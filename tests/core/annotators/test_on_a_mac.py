"""On a device without float64, and without the operators that Macs got late, annotators give the CPU's maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from pretended_device import MPS, NEWER_ON_MPS, pretended_device, put
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures.antialiased import antialiased
from zeroctl_core.annotators.pose.people import find_people
from zeroctl_core.annotators.segment import segment_ids
from zeroctl_core.annotators.transformers_models import load_model

ANTIALIASED = ("_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa")


@pytest.fixture
def picture() -> Tensor:
    return F.interpolate(torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0)), (96, 128))


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(20, 31), (150, 200)])
def test_resizing_is_that_of_the_cpu(mode, size, picture) -> None:
    expected = F.interpolate(picture, size, mode=mode, antialias=True)
    assert torch.equal(antialiased(picture, size, mode), expected)
    with pretended_device(ANTIALIASED):
        result = antialiased(picture.to(MPS), size, mode)
        assert result.device == MPS
        assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize("missing", [(), ANTIALIASED])
@pytest.mark.parametrize("name", ["depth_anything", "dpt"])
def test_depth(name, missing, picture, tiny_folder) -> None:
    depth, net = ANNOTATORS["depth"], load_model(tiny_folder(name), "depth")
    expected = depth(picture, net=net, detect_size=126)
    with pretended_device(missing):
        result = depth(picture.to(MPS), net=put(net), detect_size=126)
        assert result.device == MPS
        assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize("name", ["upernet", "segformer"])
def test_segmentation(name, picture, tiny_folder) -> None:
    net = load_model(tiny_folder(name), "segmentation")
    expected = segment_ids(picture, net)
    with pretended_device(ANTIALIASED):
        assert torch.equal(segment_ids(picture.to(MPS), put(net)).cpu(), expected)


def test_people(picture, tiny_folder) -> None:
    net = load_model(tiny_folder("rt_detr"), "people")
    net.config.id2label = {number: "person" if number == 0 else f"thing {number}" for number in range(80)}
    expected = find_people(picture, net, threshold=0.0)
    with pretended_device(ANTIALIASED):
        people = find_people(picture.to(MPS), put(net), threshold=0.0)
    assert people[0].shape == expected[0].shape and (people[0] == expected[0]).all()


def test_what_only_transformers_computes_is_refused_with_the_torch_that_has_it(picture, tiny_folder) -> None:
    net = load_model(tiny_folder("depth_anything"), "depth")
    with pretended_device(NEWER_ON_MPS), pytest.raises(ValueError, match=r"bicubic.*update torch to 2\.6 .*--cpu"):
        ANNOTATORS["depth"](picture.to(MPS), net=put(net), detect_size=126)


def test_the_device_refuses_what_a_real_one_does(picture) -> None:
    with pretended_device(["cumsum"]) as calls:
        on_device = picture.to(MPS)
        with pytest.raises(RuntimeError, match="same device"):
            on_device + picture
        with pytest.raises(TypeError, match="float64"):
            torch.neg(on_device.double())
        with pytest.raises(NotImplementedError, match="cumsum"):
            on_device.cumsum(0)
        assert torch.zeros(2, device=MPS).device == MPS and picture.device.type == "cpu"
        assert (on_device * 2).cpu().equal(picture * 2) and "mul" in calls
