"""What the demo shows: rows of its sheet, and lines of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ..annotators import ANNOTATORS
from ..annotators.canny import canny
from ..annotators.color import color
from ..annotators.pictures.photograph import photograph
from ..annotators.pictures.sheet import Tile
from ..connections import ConnectionWeights
from ..control.rows import Branches
from ..control.unit import ControlUnit
from ..network.controlnet import ControlNet
from ..train.score import line_score
from ..weighting import MODES, RULES
from .conditions import CONDITIONS, SQUARES
from .following import outline
from .model import DemoModel, load_control
from .outside import OUTSIDE
from .rendering import render
from .scene import SIZE, scenes
from .scoring import GUIDANCE, STEPS, control_samples
from .words import tokenise, unknown_message

PROMPTS = (
    "a cat on a red background",
    "a rocket on a black background",
    "a dog left of a red ball on a green background",
    "a tree above a house on a cyan background",
    "an apple and a cup on a white background",
    "a purple star on a yellow background",
)
PAINTED = ("a butterfly on a white background", "a fish on a cyan background", "a robot on a purple background")
"""Prompts of pictures whose edges are then a condition."""
OTHER = "a yellow background"
N_SCORED = 16
N_TRIES = 4  # seeds for every drawing
SCENES_SEED = 11  # of scenes that neither training nor any target used
PHOTOGRAPH_BLUR = 1.5  # pixels, before Canny: 192 pixels of a photograph have more edges than three things


class Demo:
    """One run: rows of the sheet, lines of the table."""

    def __init__(self, weights: Path, seed: int) -> None:
        self.model = DemoModel.load(weights)
        self.weights, self.seed = weights, seed
        self.nets: dict[str, ControlNet] = {}
        self.rows: list[tuple[str, list[Tile]]] = []
        self.scale = 1  # of the sheet: a row of six is as wide as a page

    def samples(self, units: Sequence[ControlUnit], prompts: Sequence[str], seed: int = 0) -> Tensor:
        """Row r starts from the noise of the run's seed + `seed` + r."""
        return control_samples(self.model, units, prompts, self.seed + seed)

    def net(self, name: str) -> ControlNet:
        """An embedded control, read once."""
        if name not in self.nets:
            self.nets[name] = load_control(name, self.weights)
        return self.nets[name]

    def unit(self, name: str, image: Tensor, rule: str = "uniform", branches: Branches = "both") -> ControlUnit:
        net = self.net(name)
        weights = ConnectionWeights(tuple(RULES[rule](net.base.connections)))
        return ControlUnit(net, image, weights=weights, branches=branches)

    def prompts(self) -> None:
        """What the model draws without a control."""
        pictures = self.samples([], PROMPTS)
        tiles = [Tile(picture, _in_two_lines(prompt)) for picture, prompt in zip(pictures, PROMPTS, strict=True)]
        self.rows.append(("prompts, no control", tiles))

    def drawings(self) -> None:
        """Outlines that nobody trained on, as a user draws them: without a prompt, on the cond branch."""
        print(f"\noutlines of no training: edges, 64/h_i on the cond branch, no prompt; {N_TRIES} seeds")
        print(f"  {'':<34}{'median':>7}{'worst':>9}   edge F1 within 2 pixels")
        tiles = []
        for name, shape in OUTSIDE.items():
            lines = outline(shape()[:, 0] > 0.5).float()[:, None].expand(-1, 3, -1, -1)
            pictures = self.samples([self.unit("edges", lines, *MODES["paper"])], [""] * N_TRIES)
            scores = line_score(canny(pictures), lines.expand_as(pictures))
            order = scores.argsort()
            middle = int(order[N_TRIES // 2])
            print(f"  {name:<34}{float(scores[middle]):>7.3f}{float(scores[order[0]]):>9.3f}")
            tiles += [Tile(lines[0], name), Tile(pictures[middle], f"F1 {float(scores[middle]):.2f}, median")]
        self.rows.append(("your own drawing: outlines of no training, no prompt, 64/h_i on the cond branch", tiles))

    def repainted(self) -> None:
        """The edges of pictures that the model drew, with another ground in the prompt."""
        first = self.samples([], PAINTED, seed=100)
        edges = canny(first)
        again = [f"{prompt.split(' on ')[0]} on {OTHER}" for prompt in PAINTED]
        pictures = self.samples([self.unit("edges", edges)], again, seed=200)
        without = self.samples([], again, seed=200)
        score, chance = (float(line_score(canny(some), edges).mean()) for some in (pictures, without))
        print(f"\nedges of {len(PAINTED)} pictures of the model's own, prompts with another ground, other noise")
        print(f"  edge F1 {score:.3f}; of the same noise without control {chance:.3f}")
        tiles = []
        for n in range(len(PAINTED)):
            tiles += [Tile(edges[n], f"edges of a\n{PAINTED[n].split()[1]}"), Tile(pictures[n], f"on {OTHER}")]
        self.rows.append(("the same outline on another ground: edges and a prompt", tiles))

    def two_controls(self) -> None:
        """The outline of one picture with the colours of another: each control alone, and both."""
        (heart,) = self.samples([], ["a heart on a white background"], seed=300)
        world = render(scenes(SCENES_SEED + self.seed, 3, 1, shapes_only=True))
        edges, colours = canny(heart[None]), color(world.image, grid=SQUARES, method="area")
        units = {
            "edges": [self.unit("edges", edges)],
            "colours": [self.unit("colours", colours)],
            "edges + colours": [self.unit("edges", edges), self.unit("colours", colours)],
        }
        tiles = [Tile(edges[0], "edges"), Tile(colours[0], "colours")]
        for name, some in units.items():
            tiles += [Tile(picture, name) for picture in self.samples(some, [""], seed=400)]
        self.rows.append(("two controls, no prompt: each alone, and the sum of both", tiles))

    def branches(self) -> None:
        """The paper's guidance resolution weighting, section 3.4: the condition alone, no prompt."""
        world = scenes(SCENES_SEED + self.seed, 0, N_SCORED, shapes_only=True)
        truth = render(world)
        edges = CONDITIONS["edges"](truth)
        prompts = [""] * len(world)
        columns = {
            "without control": self.samples([], prompts),
            "both branches": self.samples([self.unit("edges", edges)], prompts),
            "cond only, uniform": self.samples([self.unit("edges", edges, branches="cond")], prompts),
            "cond only, 64/h_i": self.samples([self.unit("edges", edges, *MODES["paper"])], prompts),
            "cond only, 64/h_i / 8": self.samples([self.unit("edges", edges, *MODES["paper_normalised"])], prompts),
        }
        print(f"\n{N_SCORED} scenes of shapes, edges, empty prompt, guidance {GUIDANCE:g}, {STEPS} steps of Euler")
        print(f"  {'':<34}{'edge F1':>9}")
        for name, pictures in columns.items():
            print(f"  {name:<34}{float(line_score(canny(pictures), edges).mean()):>9.3f}")
        row = max(range(N_SCORED), key=lambda n: len(world[n].things))
        tiles = [Tile(edges[row], "edges")] + [Tile(pictures[row], name) for name, pictures in columns.items()]
        self.rows.append(("no prompt at all, edges: where the control acts, and with which weights", tiles))

    def photograph(self) -> None:
        """What happens with the edges of a real picture, which shows more than the model knows."""
        photo = F.interpolate(photograph(), size=(SIZE, SIZE), mode="area")
        edges = ANNOTATORS["canny"](photo, blur_sigma=PHOTOGRAPH_BLUR)
        prompts = ["", "a cup on a white background"]
        pictures = self.samples([self.unit("edges", edges, *MODES["paper"])], prompts)
        score = float(line_score(canny(pictures), edges.expand_as(pictures)).mean())
        print(f"\n  {'photograph, edges found again':<34}{score:>9.3f}   edge F1")
        labels = ("photograph", "its Canny edges", "no prompt", _in_two_lines(prompts[1]))
        tiles = [Tile(picture, label) for picture, label in zip([photo[0], edges[0], *pictures], labels, strict=True)]
        self.rows.append(("a real photograph's edges: the model knows things on plain grounds alone", tiles))

    def own(self, name: str, unit: ControlUnit, prompt: str, count: int) -> Tensor:
        """Samples [count, 3, 192, 192] of somebody's own drawing, called `name`, without a control and with it."""
        tokens = tokenise(prompt)
        if tokens.unknown:
            print(unknown_message(tokens))
        if tokens.cut:
            print(f"the prompt is too long, these words were left out: {' '.join(tokens.cut)}")
        (without,) = self.samples([], [prompt])
        pictures = self.samples([unit], [prompt] * count)
        tiles = [Tile(unit.condition_image[0], name[:18]), Tile(without, "without control")]
        tiles += [Tile(picture, f"seed {number}") for number, picture in enumerate(pictures, self.seed)]
        where = "cond side" if unit.branches == "cond" else "both sides"
        heading = f'"{prompt}"' if prompt else "no prompt"
        self.rows.append((f"{heading}, control on the {where}", tiles))
        return pictures


def _in_two_lines(prompt: str) -> str:
    """A prompt as the label of a tile."""
    words = prompt.split()
    middle = min(range(1, len(words)), key=lambda n: abs(len(" ".join(words[:n])) - len(prompt) / 2))
    return f"{' '.join(words[:middle])}\n{' '.join(words[middle:])}"
