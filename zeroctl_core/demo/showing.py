"""What the demo shows: rows of its sheet, and lines of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor

from ..annotators import ANNOTATORS
from ..annotators.pictures.photograph import photograph
from ..annotators.pictures.sheet import Tile
from ..connections import ConnectionWeights
from ..control.rows import Branches
from ..control.unit import ControlUnit
from ..network.controlnet import ControlNet
from ..weighting import MODES, RULES
from .conditions import CONDITIONS
from .following import edge_f1, follow_scores, iou, object_mask, outline
from .model import DemoModel, load_control
from .outside import OUTSIDE
from .scoring import GUIDANCE, STEPS, control_samples
from .words import tokenise, unknown_message
from .world import SIZE, render, scenes

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
        self.scale = 2  # of the sheet

    def samples(self, units: Sequence[ControlUnit], prompts: Sequence[str]) -> Tensor:
        return control_samples(self.model, units, prompts, self.seed)

    def net(self, name: str) -> ControlNet:
        """An embedded control, read once."""
        if name not in self.nets:
            self.nets[name] = load_control(name, self.weights)
        return self.nets[name]

    def unit(self, name: str, image: Tensor, rule: str = "uniform", branches: Branches = "both") -> ControlUnit:
        net = self.net(name)
        weights = ConnectionWeights(tuple(RULES[rule](net.base.connections)))
        return ControlUnit(net, image, weights=weights, branches=branches)

    def held_out(self) -> None:
        """Scenes whose combination of names training never saw: without control, with one, with two."""
        world = scenes(WORLD_SEED + self.seed, 0, N_SCORED, "held_out")
        truth = render(world)
        prompts = [one.caption for one in world]
        edges, normals = CONDITIONS["edges"](truth), CONDITIONS["normals"](truth)
        columns = {
            "no control": self.samples([], prompts),
            "edges": self.samples([self.unit("edges", edges)], prompts),
            "normals": self.samples([self.unit("normals", normals)], prompts),
            "edges + normals": self.samples([self.unit("edges", edges), self.unit("normals", normals)], prompts),
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
            "both branches": self.samples([self.unit("edges", edges)], prompts),
            "cond only, uniform": self.samples([self.unit("edges", edges, branches="cond")], prompts),
            "cond only, 64/h_i": self.samples([self.unit("edges", edges, *MODES["paper"])], prompts),
            "cond only, 64/h_i / 8": self.samples([self.unit("edges", edges, *MODES["paper_normalised"])], prompts),
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
            pictures = self.samples([self.unit("edges", edges, *MODES["paper"])], [""] * N_TRIES)
            follows = iou(object_mask(pictures), mask.expand(N_TRIES, -1, -1))
            order = follows.argsort()
            middle = int(order[N_TRIES // 2])
            print(f"  {name:<34}" + f"{follows[middle]:>7.3f}{follows[order[0]]:>9.3f}{follows[order[-1]]:>9.3f}")
            tiles += [Tile(edges[0], name), Tile(pictures[middle], f"median IoU {float(follows[middle]):.2f}")]
        self.rows.append(("shapes that the world does not contain, 64/h_i, no prompt", tiles))
        photo = F.interpolate(photograph(), size=(SIZE, SIZE), mode="area")
        canny = ANNOTATORS["canny"](photo, blur_sigma=PHOTOGRAPH_BLUR)
        pictures = self.samples(
            [self.unit("edges", canny, *MODES["paper"])], ["", "a red circle on a white background"]
        )
        score = follow_edges(pictures, canny)
        print(f"  {'photograph, edges found again':<34}{score:>7.3f}   edge F1 (it knows one plain shape a picture)")
        labels = ("photograph", "its Canny edges", "no prompt", '"a red circle on a\nwhite background"')
        self.rows.append(
            (
                "a real photograph's edges: the model knows one plain shape a picture, no cups",
                [Tile(picture, label) for picture, label in zip([photo[0], canny[0], *pictures], labels, strict=True)],
            )
        )

    def own(self, name: str, unit: ControlUnit, prompt: str, count: int) -> Tensor:
        """Samples [count, 3, 128, 128] of somebody's own drawing, called `name`, without a control and with it."""
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
        self.scale = 1  # so that a row of six is as wide as a page
        return pictures

    @staticmethod
    def _line(name: str, scores: dict[str, float]) -> None:
        keys = (("iou", 7), ("edge_f1", 9), ("shading", 9), ("colour", 8), ("background", 8))
        print(f"  {name:<34}" + "".join(f"{scores[key]:>{width}.3f}" for key, width in keys))


def follow_edges(pictures: Tensor, edges: Tensor) -> float:
    """Edge F1 between the pictures' own Canny edges and the condition's."""
    own = ANNOTATORS["canny"](pictures)[:, 0] > 0.5
    return float(edge_f1(own, (edges[:, 0] > 0.5).expand_as(own)).mean())
