"""`python -m benchmarks.annotator_pictures`: before and after of annotators.

Photographs are scikit-image's. Where an annotator needs weights that nobody may ship, the map beside its photograph is
one that was measured or placed by hand, drawn by the annotator's own code; its help page says so. The normals are of
exact depth, of the demo's world.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.class_colors import paint_classes
from zeroctl_core.annotators.normal_convert import normal_convert
from zeroctl_core.annotators.palette import ADE20K
from zeroctl_core.annotators.pixels import to_uint8
from zeroctl_core.annotators.pose import draw_pose
from zeroctl_core.annotators.resolution import at_resolution
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.world import render, scene

FOLDER = Path(__file__).resolve().parents[1] / "web" / "docs" / "pictures"
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
GARAGE = (  # ADE20K's class, and where it is in the photograph of a motorcycle, share of width and height
    ("wall", 0, [(0, 0), (1, 0), (1, 0.6), (0, 0.5)]),
    ("floor", 3, [(0, 0.46), (0.24, 0.44), (0.47, 0.5), (1, 0.58), (1, 1), (0, 1)]),
    ("door", 14, [(0.24, 0), (0.405, 0), (0.405, 0.39), (0.24, 0.39)]),
    ("shelf", 24, [(0.46, 0), (0.99, 0), (0.95, 0.58), (0.47, 0.48)]),
    ("bench", 69, [(0.06, 0.22), (0.375, 0.22), (0.38, 0.39), (0.2, 0.45), (0.11, 0.46), (0.1, 0.6), (0.06, 0.6)]),
    ("wheel", 116, [(0.17, 0.62), (0.2, 0.52), (0.28, 0.47), (0.5, 0.55), (0.64, 0.55), (0.63, 0.68), (0.55, 0.77)]
     + [(0.38, 0.74), (0.33, 0.8), (0.26, 0.81), (0.19, 0.76)]),
    ("body", 116, [(0.13, 0.42), (0.19, 0.3), (0.21, 0.3), (0.22, 0.33), (0.35, 0.33), (0.47, 0.38), (0.54, 0.32)]
     + [(0.6, 0.3), (0.68, 0.17), (0.75, 0.26), (0.76, 0.34), (0.72, 0.38), (0.78, 0.53), (0.86, 0.57), (0.87, 0.62)]
     + [(0.92, 0.72), (0.92, 0.85), (0.87, 0.9), (0.78, 0.85), (0.7, 0.7), (0.66, 0.52), (0.6, 0.56), (0.3, 0.55)]
     + [(0.24, 0.47), (0.15, 0.49)]),
)  # fmt: skip


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
    given: dict[str, Any] = {"mode": "pyramid"} if name == "tile" else {}
    if name == "scribble":
        image = drawing()
    elif name == "segment_snap":
        image = blurred_classes()
    elif name == "normal":
        image = enlarged(CONDITIONS["depth"](render([scene(3, 12)])))
    elif name == "normal_convert":
        bae = ANNOTATORS["normal"](enlarged(CONDITIONS["depth"](render([scene(3, 12)]))))
        image = normal_convert(bae, source="bae", target="opengl")
    else:
        image = photograph(name)
    if annotator.kind == "masked":
        mask = torch.zeros(1, 1, *image.shape[2:])
        mask[:, :, 60:220, 120:250] = 1
        extra["mask"] = mask
    return image, annotator(image, **extra, **given)


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
        cv2.circle(dots, place, 3, (40, 40, 60), -1, cv2.LINE_AA)
        cv2.putText(dots, str(number), (place[0] + 5, place[1] - 3), 0, 0.35, (90, 90, 110), 1, cv2.LINE_AA)
    return image_of(dots), draw_pose([frame], SIDE, SIDE)


def found_pose() -> tuple[Tensor, Tensor]:
    """A photograph, and the pose of the person in it, whose key points were placed by hand."""
    numbers = [number for row in range(18) for number in ((*ASTRONAUT[row], 1.0) if row in ASTRONAUT else (0, 0, 0))]
    frame = {"canvas_width": 512, "canvas_height": 512, "people": [{"pose_keypoints_2d": numbers}]}
    return photograph("pose"), draw_pose([frame], SIDE, SIDE)


def measured_depth() -> tuple[Tensor, Tensor]:
    """A photograph, and the depth that a scanner measured in it; what it did not see has the depth to its left."""
    left, _, disparity = data.stereo_motorcycle()
    for column in range(1, disparity.shape[1]):
        seen = np.isfinite(disparity[:, column])
        disparity[:, column] = np.where(seen, disparity[:, column], disparity[:, column - 1])
    near = torch.from_numpy(np.nan_to_num(disparity, posinf=0.0))[None, None]
    near = (near - near.amin()) / (near.amax() - near.amin())
    return at_resolution(image_of(left), SIDE), at_resolution(near.expand(1, 3, -1, -1), SIDE)


def drawn_segments() -> tuple[Tensor, Tensor]:
    """A photograph, and its classes as roughly as a hand draws them, in the colours of ADE20K."""
    image = at_resolution(image_of(data.stereo_motorcycle()[0]), SIDE)
    height, width = image.shape[2:]
    ids = np.zeros((height, width), np.uint8)
    for _, number, outline in GARAGE:
        cv2.fillPoly(ids, [np.array([(x * width, y * height) for x, y in outline], np.int32)], number)
    return image, paint_classes(torch.from_numpy(ids.astype(np.int64))[None], "ade20k")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    out = parser.parse_args().out
    for name, annotator in ANNOTATORS.items():
        if annotator.kind != "model" and name != "lines":  # whose pictures test_mlsd_real.py draws
            write(out / f"{name}.jpg", *pair(name))
    several = (ANNOTATORS[name](photograph(name)) for name in ("canny", "lineart", "blur"))
    write(out / "annotate.jpg", photograph("annotate"), *several)
    write(out / "pose_draw.jpg", *pose())
    write(out / "pose.jpg", *found_pose())
    write(out / "depth.jpg", *measured_depth())
    write(out / "segment.jpg", *drawn_segments())


if __name__ == "__main__":
    main()
