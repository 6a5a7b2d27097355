"""Soft edges: what the HED net sees, in shades of grey, or as a scribble of strokes."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from .annotator import annotator
from .networks.run_net import run_net
from .params import Choice, Param, Switch
from .pictures.grey_steps import safe_step, to_eight_bits
from .pictures.pixels import from_uint8, to_uint8

STROKE_THRESHOLD = 127  # of 255: fainter edges make no stroke
STROKE_SIGMA = 3.0  # pixels: how far edges are blurred before their ridges are looked for, and the ridges after
STROKE_FLOOR = 4  # of 255: where the blurred ridge is above this, the stroke is white

# a line of three pixels in each of four directions: the neighbours that a ridge is higher than
DIRECTIONS = (
    ((0, 0, 0), (1, 1, 1), (0, 0, 0)),
    ((0, 1, 0), (0, 1, 0), (0, 1, 0)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    ((0, 0, 1), (0, 1, 0), (1, 0, 0)),
)

PARAMS = (
    Choice(
        "mode",
        ("softedge", "scribble"),
        help="softedge: white edges on black in shades of grey, for soft edge and HED ControlNets. scribble: thick "
        "white strokes on black, for scribble ControlNets.",
    ),
    Switch(
        "safe",
        True,
        help="Draw soft edges in a few steps of grey, so that faint greys give away nothing of the picture. The soft "
        "edge ControlNet 1.1 was trained on both, the HED ControlNet 1.0 on maps without steps.",
    ),
    Param(
        "safe_steps",
        2,
        range=(1, 10),
        step=1,
        help="Steps of grey above black where soft edges are safe; training maps had 2.",
        advanced=True,
    ),
    Switch(
        "safe_scribble",
        False,
        help="Use the steps of grey for strokes, too, which changes the strokes. Training maps had none.",
        advanced=True,
    ),
)


@annotator(
    "softedge",
    union_type=2,
    net_names=("softedge", "hed", "pidi", "pidinet", "mistoline", "teed"),
    params=PARAMS,
    needs=("cv2",),
    networks={"": "hed"},
    title="Soft Edges (HED)",
    aliases=("softedge", "hed", "pidinet"),
    summary="Soft white edges on black by the HED net, for soft edge and HED ControlNets, or thick white strokes made "
    "from them, for scribble ControlNets.",
    node_id="ZeroctlSoftEdge",
    transparent="drawing",
)
def softedge(image: Tensor, net: nn.Module, mode: str, safe: bool, safe_steps: int, safe_scribble: bool) -> Tensor:
    """Edges as the released ControlNets were trained on.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], white on black, three equal channels, 8 bits deep

    Source: annotator/hed of CN1.0 and CN1.1, gradio_softedge.py and gradio_scribble.py of CN1.1.
    """
    edges = run_net(net, image)
    if safe_scribble if mode == "scribble" else safe:
        edges = safe_step(edges, int(safe_steps))
    edges = to_eight_bits(edges)
    if mode == "scribble":
        planes = to_uint8(edges, by_opencv=True)[..., 0]
        edges = from_uint8(np.stack([strokes(plane) for plane in planes])[..., None], image.device)
    return edges.repeat(1, 3, 1, 1)


def strokes(edges: np.ndarray) -> np.ndarray:
    """Soft edges [H, W] uint8 -> strokes [H, W] uint8, 0 or 255: the ridges, thickened."""
    import cv2

    blurred = cv2.GaussianBlur(ridges(edges), (0, 0), STROKE_SIGMA)
    return np.where(blurred > STROKE_FLOOR, np.uint8(255), np.uint8(0))


def ridges(edges: np.ndarray) -> np.ndarray:
    """Soft edges [H, W] uint8 -> 255 where the blurred edge is the highest along some direction, else 0.

    Source: `nms` of CN1.1's annotator/util.py.
    """
    import cv2

    blurred = cv2.GaussianBlur(edges.astype(np.float32), (0, 0), STROKE_SIGMA)
    highest = np.zeros(edges.shape, bool)
    for direction in DIRECTIONS:
        highest |= cv2.dilate(blurred, kernel=np.array(direction, np.uint8)) == blurred
    return np.where(highest & (blurred > STROKE_THRESHOLD), np.uint8(255), np.uint8(0))
