"""`python -m benchmarks.template_cards`: the cards of the templates, a large picture with a small one in its corner.

Those that need no download show conditions and results, by the embedded model and its own edges control. The others ask
for checkpoints that are not part of this repository: they show a photograph, what annotators make of it, and no result.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torch.nn.functional import interpolate

from benchmarks.annotator_pictures import image_of, pose
from benchmarks.control_pictures import bars
from benchmarks.options import read_options
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.pictures.pixels import to_uint8
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.model import WEIGHTS
from zeroctl_core.demo.showing import Demo
from zeroctl_core.demo.world import render, scene

SIDE, CORNER, RIM = 400, 128, 4  # pixels: of a card, of the small picture in it, of the white around that
BLUR = 1.3  # pixels, before Canny: a card shows few lines
ROOT = Path(__file__).resolve().parents[1]
API_FORMS = ROOT / "tests" / "workflows"


def sized(picture: Tensor, side: int) -> Tensor:
    height, width = picture.shape[2:]
    mode = "nearest" if side % height == 0 else "bilinear"
    return interpolate(picture, (side, round(side * width / height)), mode=mode)[:, :, :, :side].clamp(0, 1)


def card(large: Tensor, *small: Tensor) -> Tensor:
    """A large picture, and small ones in its lower corners, left first; [1, 3, h, w] -> [1, 3, SIDE, SIDE]."""
    result = sized(large, SIDE).clone()
    for number, picture in enumerate(small):
        frame = torch.nn.functional.pad(sized(picture, CORNER), (RIM,) * 4, value=1.0)
        side = frame.shape[3]
        left = RIM if number == 0 else SIDE - side - RIM
        result[:, :, SIDE - side - RIM : SIDE - RIM, left : left + side] = frame
    return result


def squared(chart: Tensor) -> Tensor:
    """A wide chart on a white square."""
    room = chart.shape[3] - chart.shape[2]
    return torch.nn.functional.pad(chart, (0, 0, room // 2, room - room // 2), value=1.0)


def quarters(*pictures: Tensor) -> Tensor:
    """Four pictures as one, row by row."""
    first, second, third, fourth = (sized(picture, SIDE // 2) for picture in pictures)
    return torch.cat([torch.cat([first, second], dim=3), torch.cat([third, fourth], dim=3)], dim=2)


def tiled(picture: Tensor) -> Tensor:
    """A picture with the borders of four tiles."""
    lined = sized(picture, SIDE).clone()
    middle = slice(SIDE // 2 - 2, SIDE // 2 + 2)
    for place in ((slice(None), middle), (middle, slice(None))):
        lined[(slice(None), slice(None), *place)] = torch.tensor([1.0, 0.7, 0.1])[:, None, None]
    return lined


def of_template(number: int) -> dict[str, Any]:
    """Node -> inputs of a template; of nodes of one kind the last that has a text, or a seed."""
    (path,) = API_FORMS.glob(f"ControlNet {number} - *.json")
    nodes = [(node["class_type"], node["inputs"]) for node in json.loads(path.read_text()).values()]
    return {kind: inputs for kind, inputs in nodes if inputs.get("text") or "seed" in inputs}


def drawn_by_the_demo(number: int, seeds: Sequence[int] = (0,)) -> list[Tensor]:
    """Condition and result of a template of the embedded model, by its scene, seed and prompt, and of later scenes."""
    nodes = of_template(number)
    drawing, run, prompt = (nodes[kind] for kind in ("ZeroctlDemoScene", "KSampler", "CLIPTextEncode"))
    demo, pictures = Demo(WEIGHTS, seed=run["seed"]), []
    for index in seeds:
        edges = CONDITIONS["edges"](render([scene(drawing["seed"], index, drawing["split"])]))
        pictures += [edges, demo.samples([demo.unit("edges", edges)], [prompt["text"] if index == 0 else ""])]
    return pictures


@dataclass(frozen=True)
class Options:
    out: Path = ROOT / "example_workflows"
    """folder of the cards"""


def main() -> None:
    options = read_options(Options, "template_cards", __doc__)
    astronaut, cat = image_of(data.astronaut()), image_of(np.ascontiguousarray(data.chelsea()[:, :300]))
    edges, cat_edges = (ANNOTATORS["canny"](picture, blur_sigma=BLUR) for picture in (astronaut, cat))
    cards = {
        1: card(*reversed(drawn_by_the_demo(1))),
        2: card(edges, astronaut),
        3: card(edges, astronaut, ANNOTATORS["color"](astronaut)),
        4: card(edges, astronaut, pose()[1]),
        5: card(edges, astronaut, squared(bars("resolution"))),
        6: card(tiled(edges), astronaut),
        7: card(cat_edges, cat),
        8: quarters(*drawn_by_the_demo(8, (0, 1))),
    }
    for number, picture in cards.items():
        (workflow,) = options.out.glob(f"ControlNet {number} - *.json")
        path = workflow.with_suffix(".jpg")
        Image.fromarray(to_uint8(picture)[0]).save(path, quality=70, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
