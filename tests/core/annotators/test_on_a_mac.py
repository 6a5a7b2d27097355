"""On a device without float64, and without the operators that Macs got late, annotators give the CPU's maps.

`operators_of_macs.txt` names what torch 2.3 runs on MPS: operators of its native_functions.yaml with a kernel for MPS
or for every device. No later release took one away.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretended_device import MPS, NEWER_ON_MPS, pretended_device, put
from tiny_transformers import OF_TASK
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.params import Choice
from zeroctl_core.annotators.pictures.antialiased import antialiased
from zeroctl_core.annotators.pose.estimate import detect_poses
from zeroctl_core.annotators.pose.people import find_people
from zeroctl_core.annotators.segment import segment_ids
from zeroctl_core.annotators.transformers_models import load_model

OPERATORS = frozenset((Path(__file__).parents[2] / "data" / "operators_of_macs.txt").read_text("utf-8").split())
ANTIALIASED = ("_upsample_bicubic2d_aa", "_upsample_bilinear2d_aa")
ATTENTION = "_scaled_dot_product_flash_attention_for_cpu"  # torch chooses it by where the memory really is
CASES = [
    (name, {param.name: option})
    for name, entry in ANNOTATORS.items()
    if not entry.task
    for param in entry.params
    if isinstance(param, Choice)
    for option in param.options
] + [(name, {}) for name, entry in ANNOTATORS.items() if not any(isinstance(param, Choice) for param in entry.params)]


@pytest.fixture
def picture() -> Tensor:
    return F.interpolate(torch.rand(1, 3, 8, 10, generator=torch.Generator().manual_seed(0)), (96, 128))


def not_of_macs(calls: Iterable[str]) -> set[str]:
    """The operators, of those that ran, that torch 2.3 does not have on MPS."""
    return {name for name in calls if name not in OPERATORS and name.partition(".")[0] != ATTENTION}


@pytest.mark.parametrize("mode", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(20, 31), (150, 200)])
def test_resizing_is_that_of_the_cpu(mode, size, picture) -> None:
    expected = F.interpolate(picture, size, mode=mode, antialias=True)
    assert torch.equal(antialiased(picture, size, mode), expected)
    with pretended_device(ANTIALIASED):
        result = antialiased(picture.to(MPS), size, mode)
        assert result.device == MPS
        assert torch.equal(result.cpu(), expected)


@pytest.mark.parametrize(("name", "options"), CASES)
def test_every_annotator_draws_what_it_draws_on_the_cpu(name, options, picture, seeded_net) -> None:
    entry, inputs = ANNOTATORS[name], {}
    picture = picture[..., 32:, 64:]
    if entry.kind == "masked":
        inputs["mask"] = (picture[:, :1] > 0.5).float()
    if network := entry.network(**options):
        inputs["net"] = seeded_net(network)
    expected = entry(picture, **inputs, **options)
    if network:
        inputs["net"] = put(copy.deepcopy(inputs["net"]))
    with pretended_device(ANTIALIASED) as calls:
        if "mask" in inputs:
            inputs["mask"] = inputs["mask"].to(MPS)
        result = entry(picture.to(MPS), **inputs, **options)
        assert result.device == MPS
        assert torch.equal(result.cpu(), expected)
    assert not_of_macs(calls) <= set(ANTIALIASED)


def output(task: str, picture: Tensor, net: Any) -> Any:
    """What the annotators of a task make of a picture."""
    if task == "depth":
        return ANNOTATORS["depth"](picture, net=net, detect_size=126).cpu().numpy()
    if task == "segmentation":
        return segment_ids(picture, net).cpu().numpy()
    if task == "people":
        net.config.id2label = {number: "person" if number == 0 else f"thing {number}" for number in range(80)}
        return find_people(picture, net, threshold=0.0)[0]
    return detect_poses(picture, net, keypoint_threshold=0.0)[0].people[0].body


@pytest.mark.parametrize(("task", "name"), [(task, name) for task, names in OF_TASK.items() for name in names])
def test_every_model_gives_what_it_gives_on_the_cpu(task, name, picture, tiny_folder) -> None:
    net = load_model(tiny_folder(name), task)
    expected = output(task, picture, net)
    with pretended_device(ANTIALIASED) as calls:
        result = output(task, picture.to(MPS), put(net))
    assert result.shape == expected.shape and np.array_equal(result, expected) and expected.std() > 0
    assert {operator.partition(".")[0] for operator in not_of_macs(calls)} <= set(NEWER_ON_MPS)


def test_what_only_transformers_computes_is_refused_with_the_torch_that_has_it(picture, tiny_folder) -> None:
    net = load_model(tiny_folder("depth_anything"), "depth")
    with pretended_device(NEWER_ON_MPS), pytest.raises(ValueError, match=r"bicubic.*update torch to 2\.6 .*--cpu"):
        ANNOTATORS["depth"](picture.to(MPS), net=put(net), detect_size=126)


def test_the_device_refuses_what_a_real_one_does(picture) -> None:
    with pretended_device(["cumsum"]) as calls:
        on_device = picture.to(MPS)
        with pytest.raises(RuntimeError, match="same device"):
            on_device + picture
        for call in (on_device.double, lambda: on_device.new_zeros(2, dtype=torch.float64)):
            with pytest.raises(TypeError, match="float64"):
                call()
        with pytest.raises(NotImplementedError, match="cumsum"):
            on_device.cumsum(0)
        assert torch.zeros(2, device=MPS).device == MPS and picture.device.type == "cpu"
        assert (on_device * 2).cpu().equal(picture * 2) and "mul.Tensor" in calls
    assert not_of_macs(["mul.Tensor", "linalg_svd", "upsample_bicubic2d"]) == {"linalg_svd", "upsample_bicubic2d"}
