"""`python -m zeroctl_core.demo`: the embedded model and its controls, on scenes that training never saw.

Without options it writes one labelled picture and prints a table of scores. With `--condition` it draws with your own
picture as the condition.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..annotators import ANNOTATORS
from ..connections import ConnectionWeights
from ..control.rows import Branches
from ..control.unit import ControlUnit
from ..network.controlnet import ControlNet
from ..weighting import MODES, RULES
from .conditions import CONDITIONS
from .following import edge_f1, follow_scores, iou, object_mask, outline
from .model import WEIGHTS, DemoModel, control_files, load_control
from .outside import OUTSIDE, photograph
from .sampling import GUIDANCE, STEPS
from .scoring import control_samples
from .sheet import Tile, write_sheet
from .words import tokenise
from .world import SIZE, render, scenes

PICTURE = "zeroctl-demo.png"
N_SHOWN, N_SCORED = 4, 16
WORLD_SEED = 11  # of scenes that neither training nor any target used
N_TRIES = 8  # seeds for every shape that the world does not contain
PHOTOGRAPH_BLUR = 1.5  # pixels, before Canny: 128 pixels of a photograph have more edges than one object


class Demo:
    """One run: rows of the sheet, lines of the table."""

    def __init__(self, weights: Path, seed: int) -> None:
        self.model = DemoModel.load(weights)
        self.weights, self.seed = weights, seed
        self.nets: dict[str, ControlNet] = {}
        self.rows: list[tuple[str, list[Tile]]] = []

    def sampled(self, units: Sequence[ControlUnit], prompts: Sequence[str]) -> Tensor:
        return control_samples(self.model, units, prompts, self.seed)

    def unit(self, name: str, image: Tensor, rule: str = "uniform", branches: Branches = "both") -> ControlUnit:
        if name not in self.nets:
            self.nets[name] = load_control(name, self.weights)
        net = self.nets[name]
        weights = ConnectionWeights(tuple(RULES[rule](net.base.connections)))
        return ControlUnit(net, image, weights=weights, branches=branches)

    def held_out(self) -> None:
        """Scenes whose combination of names training never saw: without control, with one, with two."""
        world = scenes(WORLD_SEED + self.seed, 0, N_SCORED, "held_out")
        truth = render(world)
        prompts = [one.caption for one in world]
        edges, normals = CONDITIONS["edges"](truth), CONDITIONS["normals"](truth)
        columns = {
            "no control": self.sampled([], prompts),
            "edges": self.sampled([self.unit("edges", edges)], prompts),
            "normals": self.sampled([self.unit("normals", normals)], prompts),
            "edges + normals": self.sampled([self.unit("edges", edges), self.unit("normals", normals)], prompts),
        }
        print(f"\n{N_SCORED} held-out scenes, right prompt, guidance {GUIDANCE:g}, {STEPS} steps of Euler")
        print(f"  {'':<34}{'IoU':>7}{'edge F1':>9}{'shading':>9}{'colour':>8}{'ground':>8}")
        reconstruction = self.model.autoencoder.decode(self.model.autoencoder.encode(truth.image))
        for name, pictures in {**columns, "(the autoencoder's ceiling)": reconstruction}.items():
            self._line(name, follow_scores(pictures, world))
        for n in range(N_SHOWN):
            tiles = [Tile(truth.image[n], "the renderer's"), Tile(edges[n], "edges"), Tile(normals[n], "normals")]
            tiles += [Tile(pictures[n], name) for name, pictures in columns.items()]
            self.rows.append((f'"{prompts[n]}", a combination never trained on', tiles))

    def without_prompt(self) -> None:
        """The paper's guidance resolution weighting, section 3.4: the condition alone, no prompt."""
        world = scenes(WORLD_SEED + self.seed, 100, N_SCORED, "held_out")
        truth = render(world)
        edges = CONDITIONS["edges"](truth)
        prompts = [""] * len(world)
        columns = {
            "both branches": self.sampled([self.unit("edges", edges)], prompts),
            "cond only, uniform": self.sampled([self.unit("edges", edges, branches="cond")], prompts),
            "cond only, 64/h_i": self.sampled([self.unit("edges", edges, *MODES["paper"])], prompts),
            "cond only, 64/h_i / 8": self.sampled([self.unit("edges", edges, *MODES["paper_normalised"])], prompts),
        }
        print(f"\n{N_SCORED} held-out scenes, edges, empty prompt (colours are then the model's own choice)")
        print(f"  {'':<34}{'IoU':>7}{'edge F1':>9}")
        for name, pictures in columns.items():
            scores = follow_scores(pictures, world)
            print(f"  {name:<34}{scores['iou']:>7.3f}{scores['edge_f1']:>9.3f}")
        tiles = [Tile(truth.image[0], "the renderer's"), Tile(edges[0], "edges")]
        self.rows.append(
            ("no prompt at all, edges", tiles + [Tile(pictures[0], name) for name, pictures in columns.items()])
        )

    def outside(self) -> None:
        """Shapes that the world does not contain, and a photograph: without a prompt, which knows no word for them."""
        print(f"\nshapes that the world does not contain: edges, 64/h_i, no prompt; {N_TRIES} seeds")
        print(f"  {'':<34}{'median':>7}{'worst':>9}{'best':>9}   IoU")
        tiles = []
        for name, shape in OUTSIDE.items():
            mask = shape()[:, 0] > 0.5
            edges = outline(mask).float()[:, None].expand(-1, 3, -1, -1)
            pictures = self.sampled([self.unit("edges", edges, *MODES["paper"])], [""] * N_TRIES)
            follows = iou(object_mask(pictures), mask.expand(N_TRIES, -1, -1))
            order = follows.argsort()
            middle = int(order[N_TRIES // 2])
            print(f"  {name:<34}" + f"{follows[middle]:>7.3f}{follows[order[0]]:>9.3f}{follows[order[-1]]:>9.3f}")
            tiles += [Tile(edges[0], name), Tile(pictures[middle], f"median IoU {float(follows[middle]):.2f}")]
        self.rows.append(("shapes that the world does not contain, 64/h_i, no prompt", tiles))
        photo = photograph()
        canny = ANNOTATORS["canny"](photo, blur_sigma=PHOTOGRAPH_BLUR)
        drawn = self.sampled([self.unit("edges", canny, *MODES["paper"])], ["", "a red circle on a white background"])
        found = follow_edges(drawn, canny)
        print(f"  {'photograph, edges found again':<34}{found:>7.3f}   edge F1 (it knows one plain shape a picture)")
        labels = ("photograph", "its Canny edges", "no prompt", '"a red circle on a\nwhite background"')
        self.rows.append(
            (
                "a real photograph's edges: the model knows one plain shape a picture, no cups",
                [Tile(picture, label) for picture, label in zip([photo[0], canny[0], *drawn], labels, strict=True)],
            )
        )

    def own(self, path: Path, image: Tensor, name: str, prompt: str) -> None:
        """Somebody's own picture as the condition."""
        if name.startswith("edges") and float(image.mean()) > 0.5:
            print(f"{path} is mostly white: edges are white lines on black, this control knows no others. Invert it")
        said = tokenise(prompt)
        for word in said.unknown:
            print(f"the model does not know the word {word!r}, it was left out")
        if said.cut:
            print(f"the prompt is too long, these words were left out: {' '.join(said.cut)}")
        columns = {"no control": self.sampled([], [prompt]), name: self.sampled([self.unit(name, image)], [prompt])}
        tiles = [Tile(image[0], path.name[:30]), *(Tile(picture[0], label) for label, picture in columns.items())]
        self.rows.append((f'"{prompt}"' if prompt else "no prompt", tiles))

    @staticmethod
    def _line(name: str, scores: dict[str, float]) -> None:
        keys = (("iou", 7), ("edge_f1", 9), ("shading", 9), ("colour", 8), ("background", 8))
        print(f"  {name:<34}" + "".join(f"{scores[key]:>{width}.3f}" for key, width in keys))


def follow_edges(pictures: Tensor, edges: Tensor) -> float:
    """Edge F1 between the pictures' own Canny edges and the condition's."""
    found = ANNOTATORS["canny"](pictures)[:, 0] > 0.5
    return float(edge_f1(found, (edges[:, 0] > 0.5).expand_as(found)).mean())


def read_picture(path: Path) -> Tensor:
    """A picture file as [1, 3, 128, 128] in 0..1, cut to its middle square.

    Raises:
        ValueError: the file is no picture.
        FileNotFoundError: there is no such file.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except UnidentifiedImageError:
        raise ValueError(f"{path} is not a picture that Pillow can read; give a PNG or a JPEG") from None
    if upright.width != upright.height:
        print(f"{path} has {upright.width}x{upright.height} pixels; only its middle square is used")
    picture = ImageOps.fit(upright, (SIZE, SIZE))
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).movedim(-1, 0)[None].contiguous()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m zeroctl_core.demo", description=__doc__)
    parser.add_argument("--condition", type=Path, help="your own condition image, such as a white outline on black")
    parser.add_argument("--control", default="edges", help="which embedded control reads it (default edges)")
    parser.add_argument("--prompt", default="a yellow star on a blue background", help="with --condition")
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="folder of the embedded model (default: the package's)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise and of the scenes (default 0)")
    parser.add_argument("--out", type=Path, default=Path(PICTURE), help=f"the picture (default {PICTURE})")
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    names = control_files(options.weights)
    if options.control not in names:
        parser.error(f"--control is {options.control}; the embedded controls are: {', '.join(names) or 'none'}")
    if options.condition is not None and not options.condition.is_file():
        parser.error(f"--condition is {options.condition}; there is no such file")
    try:
        image = None if options.condition is None else read_picture(options.condition)
        demo = Demo(options.weights, options.seed)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    print(
        f"zeroctl demo: embedded model of {sum(p.numel() for p in demo.model.unet.parameters()) / 1e6:.1f} M parameters"
    )
    if image is not None:
        demo.own(options.condition, image, options.control, options.prompt)
    else:
        demo.held_out()
        demo.without_prompt()
        demo.outside()
    path = write_sheet(options.out, demo.rows)
    print(f"\n{path} after {time.perf_counter() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
