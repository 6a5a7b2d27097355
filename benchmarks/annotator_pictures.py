"""`python -m benchmarks.annotator_pictures`: before and after of annotators.

Photographs are scikit-image's. Where an annotator needs weights that cannot be included, the map beside its picture is
an exact one of the demo's world, or one whose points and areas were placed by hand; its help page says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from benchmarks.machine import ROOT
from benchmarks.options import read_options
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.colors.class_colors import paint_classes
from zeroctl_core.annotators.colors.palette import ADE20K
from zeroctl_core.annotators.normal_convert import normal_convert
from zeroctl_core.annotators.pictures.pixels import to_uint8
from zeroctl_core.annotators.pictures.resolution import at_resolution
from zeroctl_core.annotators.pose import draw_pose
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.rendering import render
from zeroctl_core.demo.scene import scene

FOLDER = ROOT / "web" / "docs" / "pictures"
SIDE = 360
PHOTO_OF = {"color": "coffee", "tile": "coffee", "shuffle": "coffee", "luminance": "coffee"}
PERSON = (
    [(0.5, 0.14), (0.5, 0.25), (0.42, 0.25), (0.34, 0.36), (0.27, 0.27), (0.58, 0.25), (0.66, 0.38), (0.72, 0.5)]
    + [(0.45, 0.52), (0.42, 0.72), (0.38, 0.92), (0.55, 0.52), (0.6, 0.72), (0.66, 0.9)]
    + [(0.48, 0.12), (0.52, 0.12), (0.455, 0.135), (0.545, 0.135)]
)


ASTRONAUT = {  # key points by their number, pixels; the others are outside of the photograph or hidden
    **{0: (225, 125), 1: (222, 252), 2: (112, 250), 3: (52, 385), 4: (135, 490), 5: (332, 255), 6: (378, 385)},
    **{14: (205, 101), 15: (247, 103), 16: (178, 118), 17: (280, 118)},
}


def image_of(pixels: np.ndarray[Any, Any]) -> Tensor:
    """[H, W, 3] in 0..255  ->  [1, 3, H, W] in 0..1"""
    return torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float() / 255


def photograph(name: str) -> Tensor:
    return at_resolution(image_of(getattr(data, PHOTO_OF.get(name, "astronaut"))()), SIDE)


def drawing() -> Tensor:
    """A cup, drawn with a thick dark pen on paper."""
    paper = np.full((SIDE, SIDE, 3), 245, np.uint8)
    for call, places in (
        (cv2.ellipse, (((180, 110), (90, 26), 0, 0, 360),)),
        (cv2.ellipse, (((180, 270), (70, 22), 0, 0, 180),)),
        (cv2.line, (((90, 110), (110, 270)), ((270, 110), (250, 270)))),
        (cv2.ellipse, (((275, 180), (40, 45), 0, -80, 100),)),
    ):
        for place in places:
            call(paper, *place, (40, 40, 60), 6, cv2.LINE_AA)
    return image_of(paper)


def blurred_classes() -> Tensor:
    """A landscape in ADE20K's colours, as it comes out of a resize by interpolation."""
    ids = np.full((45, 45), 2, np.uint8)  # sky
    ids[28:] = 9  # grass
    ids[16:32, 8:22] = 1  # building
    ids[18:34, 30:36] = 4  # tree
    small = ADE20K[ids]
    large = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    return image_of(large)


def enlarged(image: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(image, (SIDE, SIDE), mode="bilinear")


def pair(name: str) -> tuple[Tensor, Tensor]:
    annotator, extra = ANNOTATORS[name], {}
    settings: dict[str, Any] = {"mode": "pyramid"} if name == "tile" else {}
    if name == "scribble":
        image = drawing()
    elif name == "segment_snap":
        image = blurred_classes()
    elif name == "normal":
        image = enlarged(CONDITIONS["depth"](render([scene(3, 12, shapes_only=True)])))
    elif name == "normal_convert":
        bae = ANNOTATORS["normal"](enlarged(CONDITIONS["depth"](render([scene(3, 12, shapes_only=True)]))))
        image = normal_convert(bae, source="bae", target="opengl")
    else:
        image = photograph(name)
    if annotator.kind == "masked":
        mask = torch.zeros(1, 1, *image.shape[2:])
        mask[:, :, 60:220, 120:250] = 1
        extra["mask"] = mask
    return image, annotator(image, **extra, **settings)


def write(path: Path, *images: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    gap = np.full((images[0].shape[2], 8, 3), 255, np.uint8)
    pixels = [to_uint8(image.clamp(0, 1))[0] for image in images]
    row = np.concatenate([pixels[0], *(part for one in pixels[1:] for part in (gap, one))], axis=1)
    Image.fromarray(row).save(path, quality=82, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def pose() -> tuple[Tensor, Tensor]:
    """Key points as dots, and the pose."""
    numbers = [number for x, y in PERSON for number in (x * SIDE, y * SIDE, 1.0)]
    frame = {"canvas_width": SIDE, "canvas_height": SIDE, "people": [{"pose_keypoints_2d": numbers}]}
    dots = np.full((SIDE, SIDE, 3), 245, np.uint8)
    for number, (x, y) in enumerate(PERSON):
        place = int(x * SIDE), int(y * SIDE)
        cv2.circle(dots, place, 3, (40, 40, 60), thickness=-1, lineType=cv2.LINE_AA)
        beside = place[0] + 5, place[1] - 3
        style = {"fontFace": 0, "fontScale": 0.35, "color": (90, 90, 110), "thickness": 1, "lineType": cv2.LINE_AA}
        cv2.putText(dots, str(number), beside, **style)
    return image_of(dots), draw_pose([frame], SIDE, SIDE)


def photographed_pose() -> tuple[Tensor, Tensor]:
    """A photograph, and the pose of the person in it, whose key points were placed by hand."""
    numbers = [number for row in range(18) for number in ((*ASTRONAUT[row], 1.0) if row in ASTRONAUT else (0, 0, 0))]
    frame = {"canvas_width": 512, "canvas_height": 512, "people": [{"pose_keypoints_2d": numbers}]}
    return photograph("pose"), draw_pose([frame], SIDE, SIDE)


def exact_depth() -> tuple[Tensor, Tensor]:
    """A scene of the demo's world, and its depth."""
    rendering = render([scene(3, 12, shapes_only=True)])
    return enlarged(rendering.image), enlarged(CONDITIONS["depth"](rendering))


def drawn_segments() -> tuple[Tensor, Tensor]:
    """A photograph of 600x400 pixels, and its classes as roughly as a hand draws them, in the colours of ADE20K."""
    ids = np.full((400, 600), 15, np.uint8)  # table
    cv2.fillPoly(ids, [np.array([(0, 0), (150, 0), (0, 108)])], 3)  # floor
    cv2.ellipse(ids, (278, 226), (201, 158), 0, 0, 360, 142, -1)  # plate
    cv2.ellipse(ids, (291, 112), (118, 95), 0, 0, 360, 147, -1)  # cup, which is a glass here
    cv2.fillPoly(ids, [np.array([(173, 112), (409, 112), (390, 190), (335, 275), (240, 280), (190, 200)])], 147)
    cv2.ellipse(ids, (226, 270), (28, 38), 20, 0, 360, 147, -1)  # its handle
    small = at_resolution(paint_classes(torch.from_numpy(ids.astype(np.int64))[None], "ade20k"), 0)
    exact = torch.nn.functional.interpolate(small, scale_factor=SIDE / 400, mode="nearest")
    return photograph("color"), exact


@dataclass(frozen=True)
class Options:
    out: Path = FOLDER
    """folder of the pictures"""


def main() -> None:
    out = read_options(Options, "annotator_pictures", __doc__).out
    for name, annotator in ANNOTATORS.items():
        if annotator.kind != "model" and name != "lines":  # whose pictures test_mlsd_real.py draws
            write(out / f"{name}.jpg", *pair(name))
    several = (ANNOTATORS[name](photograph(name)) for name in ("canny", "lineart", "blur"))
    write(out / "annotate.jpg", photograph("annotate"), *several)
    write(out / "pose_draw.jpg", *pose())
    write(out / "pose.jpg", *photographed_pose())
    write(out / "depth.jpg", *exact_depth())
    write(out / "segment.jpg", *drawn_segments())


if __name__ == "__main__":
    main()
