"""Straight lines: white line segments on black, by LSD, by the Hough transform or by the network M-LSD."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .annotator import annotator
from .networks.mlsd_decoding import decode_segments
from .networks.run_net import PADDED_TO
from .params import Choice, Param
from .pictures.pixels import from_uint8, grey_from_uint8, to_uint8
from .pictures.through_net import in_parts

HOUGH_VOTES = 0.1
"""Edge pixels that must lie on one line through the whole image, as a part of the short side: 51 at 512. At half of it
the rims of cups come out as rings of short lines, at twice of it short edges of masts and tables are lost."""

HOUGH_GAP = 4
"""Pixels without an edge that a line may bridge. Canny's edges break for a pixel or two at corners, at any image size.
At 2 most long edges fall apart, at 8 one drawn pixel in ten has no edge beside it, at 4 one in fifty."""

PARAMS = (
    Choice(
        "method",
        ("lsd", "hough", "mlsd"),
        help="lsd finds edges that are straight, in any picture and without a model file. hough joins Canny edges into "
        "long lines. mlsd is the network that the released M-LSD ControlNets were trained on; it needs its file.",
    ),
    Param(
        "min_length",
        0.04,
        range=(0.0, 1.0),
        step=0.01,
        help="Shorter lines are dropped, as a part of the image's short side: 0.04 is 20 pixels at 512. For lsd and "
        "hough; mlsd has distance.",
    ),
    Param(
        "max_lines",
        200,
        range=(1, 2000),
        step=1,
        help="At most so many lines are drawn: the longest of lsd and hough, the surest of mlsd, which has 200 in the "
        "released code.",
    ),
    Param(
        "score",
        0.1,
        range=(0.01, 2.0),
        step=0.01,
        help="For mlsd: how sure the network must be, 0 to 1. Above 1 nothing is drawn.",
    ),
    Param(
        "distance",
        0.1,
        range=(0.01, 20.0),
        step=0.01,
        help="For mlsd: shorter lines are dropped, in pixels of the network's map, which is half the image's size.",
        advanced=True,
    ),
    Param(
        "thickness",
        1,
        range=(1, 8),
        step=1,
        help="Width of the drawn lines in pixels. The released M-LSD ControlNets were trained on 1.",
    ),
)


@annotator(
    "lines",
    union_type=3,
    net_names=("mlsd", "hough", "straightlines"),
    params=PARAMS,
    needs=("cv2",),
    networks={"mlsd": "mlsd"},
    title="Straight Lines",
    aliases=("mlsd", "m-lsd", "hough lines"),
    summary="White straight lines on black for M-LSD and Hough line ControlNets: rooms, buildings, furniture.",
    transparent="drawing",
)
def lines(
    image: Tensor,
    method: str,
    min_length: float,
    max_lines: int,
    score: float,
    distance: float,
    thickness: int,
    net: nn.Module | None = None,
) -> Tensor:
    """Line segments of each image, drawn without anti-aliasing; black where there are none.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], 0 or 1, three equal channels

    `net` is for `mlsd` only: [B, 3, h, w] in 0..1, multiples of 64, to a map as `MLSDLarge` makes it.

    Source: the released annotator/mlsd for `mlsd` and for how lines are drawn; Grompone von Gioi et al. (2012), "LSD:
    a Line Segment Detector" and Matas et al. (2000), "Robust Detection of Lines Using the Progressive Probabilistic
    Hough Transform", as in OpenCV, for the others.
    """
    pixels = to_uint8(image, by_opencv=True)
    height, width = image.shape[2:]
    size = height, width
    if net is not None:
        # the network's enlargements depend on the size of the whole picture, so this is more than a matter of memory
        size = height + -height % PADDED_TO, width + -width % PADDED_TO
        pictures = from_uint8(pixels, image.device)
        tables = mlsd_segments(pictures, size, net, score=score, distance=distance, most=int(max_lines))
    else:
        detect = lsd_segments if method == "lsd" else hough_segments
        shortest = min_length * min(size)
        tables = [longest(detect(picture, shortest), shortest, int(max_lines)) for picture in pixels]
    # drawn at the size that the ends refer to, then cropped: OpenCV draws a line that it has cut at the border
    # through other pixels than the whole one
    planes = np.stack([draw(segments, size, int(thickness)) for segments in tables])[:, :height, :width]
    return grey_from_uint8(planes, image.device)


def lsd_segments(picture: np.ndarray, shortest: float) -> np.ndarray:
    """[H, W, 3] uint8 -> [n, 4], the ends x, y, x, y of each segment, to the nearest pixel.

    Not refined: refining breaks arcs into short straight pieces, where straight lines are wanted.
    """
    import cv2

    detector = cv2.createLineSegmentDetector(cv2.LSD_REFINE_NONE)
    segments = detector.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))[0]
    return np.empty((0, 4), np.int64) if segments is None else segments.reshape(-1, 4).round().astype(np.int64)


def hough_segments(picture: np.ndarray, shortest: float) -> np.ndarray:
    """[H, W, 3] uint8 -> [n, 4], the ends x, y, x, y of each segment on the picture's Canny edges."""
    import cv2

    votes = max(10, round(HOUGH_VOTES * min(picture.shape[:2])))
    # OpenCV measures a line by the larger of its width and height: a diagonal one is up to sqrt(2) times as long
    least = shortest / 2**0.5
    edges = cv2.Canny(picture, 100, 200)
    segments = cv2.HoughLinesP(edges, 1, np.pi / 180, votes, minLineLength=least, maxLineGap=HOUGH_GAP)
    return np.empty((0, 4), np.int64) if segments is None else segments.reshape(-1, 4).astype(np.int64)


def mlsd_segments(
    pictures: Tensor, size: tuple[int, int], net: nn.Module, *, score: float, distance: float, most: int
) -> list[np.ndarray]:
    """[B, 3, H, W] in 0..1 -> B arrays [n, 4], the ends x, y, x, y of each segment on the picture padded to `size`.

    In the network's type and on its device.
    """
    height, width = pictures.shape[2:]
    padded = F.pad(pictures, (0, size[1] - width, 0, size[0] - height), mode="replicate")
    weight = next(net.parameters())
    inside = padded.to(weight.device, weight.dtype)
    maps = torch.cat([net(part) for part in in_parts(inside, net)])
    # truncated towards 0, as the released annotator does
    return [segments.astype(np.int64) for segments in decode_segments(maps, score, distance, most)]


def longest(segments: np.ndarray, shortest: float, most: int) -> np.ndarray:
    """Of [n, 4] the `most` longest that are not shorter than `shortest`, the longest first."""
    lengths = np.hypot(segments[:, 2] - segments[:, 0], segments[:, 3] - segments[:, 1])
    order = np.argsort(-lengths, kind="stable")[:most]
    return segments[order[lengths[order] >= shortest]]


def draw(segments: np.ndarray, size: tuple[int, int], thickness: int) -> np.ndarray:
    """[n, 4] -> [H, W] uint8, 255 on the lines."""
    import cv2

    canvas = np.zeros(size, np.uint8)
    for x0, y0, x1, y1 in segments.tolist():
        cv2.line(canvas, (x0, y0), (x1, y1), 255, thickness)
    return canvas
