"""A blur in bands has the numbers of one call of OpenCV, and can be stopped between two of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures import gaussian
from zeroctl_core.annotators.pictures.pause import pause, pausing


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.7, 9.0, 20.3, 64.0])
@pytest.mark.parametrize(("kind", "shape"), [(np.uint8, (301, 90, 3)), (np.uint8, (120, 33)), (np.float32, (257, 90))])
def test_equals_one_call_of_opencv(sigma, kind, shape, monkeypatch) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(kind)
    expected = cv2.GaussianBlur(picture, (0, 0), sigma)
    monkeypatch.setattr(gaussian, "QUICK", 1 << 16)
    monkeypatch.setattr(gaussian, "HALOS", 1)
    calls: list[int] = []
    with pausing(lambda: calls.append(1)):
        blurred = gaussian.gaussian_blur(picture, sigma)
    assert blurred.dtype == kind and np.array_equal(blurred, expected)
    if (sigma, len(shape)) == (9.0, 3):
        assert len(calls) > 3


class Stop(Exception):
    pass


def stop() -> None:
    raise Stop


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("blur", {"sigma": 64.0}),
        ("lineart", {"sigma": 100.0}),
        ("canny", {"blur_sigma": 2.0}),
        ("inpaint", {"mask_blur": 20.0}),
    ],
)
def test_every_annotator_with_a_wide_blur_can_be_stopped(name, settings) -> None:
    image = torch.rand(1, 3, 40, 50)
    mask = {"mask": torch.rand(1, 1, 40, 50)} if ANNOTATORS[name].kind == "masked" else {}
    with pausing(stop), pytest.raises(Stop):
        ANNOTATORS[name].draw(image, **mask, **settings)
    ANNOTATORS[name].draw(image, **mask, **settings)


def test_a_network_can_be_stopped_at_every_layer_and_has_no_trace_of_it_afterwards() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)))
    calls: list[int] = []
    with pausing(lambda: calls.append(1), net):
        net(torch.zeros(1, 3))
    assert len(calls) == 5
    with pausing(stop, net), pytest.raises(Stop):
        net(torch.zeros(1, 3))
    net(torch.zeros(1, 3))
    pause()
    assert len(calls) == 5
