"""The embedded world as what a control is trained on: a `Source` of `zeroctl_core.train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ..connections import ConnectionWeights
from ..control.rows import Branches
from ..control.unit import ControlUnit, Net
from ..network.unet import UNet
from ..sampling import Prediction
from ..train.data import ControlData, LeftOut, Prompts
from ..train.fingerprint import fingerprint
from ..train.following import Ends, following_figures
from ..train.objective import STABLE_DIFFUSION
from .autoencoder import SCALE
from .captions import caption
from .condition_scores import CONDITION_SCORES
from .conditions import CONDITIONS
from .data import drawn_data, prepared
from .judge import Judge, judge_scores
from .model import WEIGHTS, DemoModel, load_judge
from .pictures import package_of, read_cutouts
from .rendering import Rendering, render
from .scene import Scene, Split, scenes
from .scoring import GUIDANCE, control_samples
from .words import tokenise

WORK = Path("build/demo")
"""Where latents of scenes with pictures are kept, by default."""

N_PICTURES, N_DRAWN = 4096, 8192
"""Scenes of a control, unless another number is asked for: of pictures all shards stay open."""

AT_ONCE = 32  # samples and renderings


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which scenes are sampled, and how; the captions are the prompts unless one is given for all."""

    split: Split = "held_out"
    n: int
    seed: int
    steps: int = 10
    guidance: float = GUIDANCE
    prompt: str | None = None

    @property
    def noise(self) -> int:
        """The seed of the first sample's noise: no two requests of different seeds share one."""
        return self.seed * 100_000

    def prompts(self, world: Sequence[Scene]) -> list[str]:
        return [caption(one) if self.prompt is None else self.prompt for one in world]


Units = Callable[[Rendering], Sequence[ControlUnit]]
"""The controls of some of the scenes."""


class World:
    """The embedded model, scenes of the world and their scores.

    `emoji` is the package of pictures, or a folder that holds it; None: what the environment variable names, and where
    it names none, scenes of shapes alone, which need no package.
    """

    prediction: Prediction = "eps"
    schedule = STABLE_DIFFUSION

    def __init__(
        self,
        folder: Path = WEIGHTS,
        *,
        emoji: Path | None = None,
        work: Path = WORK,
        parts: DemoModel | None = None,
    ) -> None:
        self.folder, self._parts = folder, parts
        self.work, self.package = work, package_of(emoji)
        self._ends: dict[tuple[Request, str], Ends] = {}
        self._without: dict[Request, Tensor] = {}

    @cached_property
    def model(self) -> DemoModel:
        """The given parts, or those of the folder, read at the first use. Raises what `DemoModel.load` does."""
        return self._parts or DemoModel.load(self.folder)

    @cached_property
    def judge(self) -> Judge:
        """Read at the first use."""
        return load_judge(self.folder)

    @property
    def unet(self) -> UNet:
        return self.model.unet

    @property
    def conditions(self) -> Sequence[str]:
        return tuple(CONDITIONS)

    @torch.no_grad()
    def encode(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures [B, 3, 8h, 8w] in 0..1 -> mean and deviation of their latents, [B, 4, h, w]."""
        mean, log_variance = self.model.autoencoder.distribution(pictures)
        return mean * SCALE, (log_variance / 2).exp() * SCALE

    def decode(self, latents: Tensor) -> Tensor:
        """Latents [B, 4, h, w] -> pictures [B, 3, 8h, 8w] in 0..1."""
        return self.model.picture(latents)

    @property
    def encoders(self) -> tuple[str, str]:
        return fingerprint(self.model.autoencoder), fingerprint(self.model.text)

    def encode_prompts(self, prompts: Sequence[str]) -> Prompts:
        """Contexts [B, T, 64]; this base takes no `y`."""
        return Prompts(self.model.context(prompts))

    def left_out(self, prompt: str) -> LeftOut:
        """Words that are not in the world's language, and those beyond its last place."""
        tokens = tokenise(prompt)
        return LeftOut(tokens.unknown, tokens.cut)

    def scenes(self, seed: int, start: int, count: int, split: Split = "train") -> list[Scene]:
        return scenes(seed, start, count, split, shapes_only=self.package is None)

    def render(self, world: Sequence[Scene]) -> Rendering:
        """Raises what `read_cutouts` raises."""
        return render(world, None if self.package is None else read_cutouts(self.package))

    def data(self, condition: str, *, seed: int, count: int | None, cache: Path | None) -> ControlData:
        """Shapes are encoded into memory, pictures prepared in a folder."""
        if self.package is None:
            return drawn_data(condition, seed, count or N_DRAWN, self.model, cache)
        folder = (cache or self.work / "latents") / f"things-{seed}"
        return prepared(self, condition, seed=seed, count=count or N_PICTURES, folder=folder, package=self.package)

    def score(self, net: nn.Module, condition: str, *, n: int, seed: int, steps: int) -> dict[str, float]:
        """`following_figures` of held-out scenes with their captions, and `judge_scores` as a second witness."""
        return self.follow(net, condition, Request(n=n, seed=seed, steps=steps))

    @torch.no_grad()
    def follow(
        self,
        net: nn.Module,
        condition: str,
        request: Request,
        *,
        strength: float = 1.0,
        weights: ConnectionWeights | None = None,
        branches: Branches = "both",
    ) -> dict[str, float]:
        """`following_figures` and `judge_scores` of samples with one control."""

        def units(truth: Rendering) -> list[ControlUnit]:
            image = CONDITIONS[condition](truth)
            return [ControlUnit(cast(Net, net), image, strength=strength, weights=weights, branches=branches)]

        pictures, world = self.samples(request, units), self.world(request)
        scores, others = self.each(request, condition, pictures), self.each(request, condition, pictures, shift=1)
        figures = following_figures(scores, others, self.ends(request, condition), pictures, self.without(request))
        return {**figures, **judge_scores(self.judge, pictures, world)}

    def world(self, request: Request) -> list[Scene]:
        return self.scenes(request.seed, 0, request.n, request.split)

    @torch.no_grad()
    def samples(self, request: Request, units: Units) -> Tensor:
        """Pictures [n, 3, 192, 192] of the request's scenes with controls; every row from the noise of its own seed."""
        parts = []
        for start, world in self._pieces(request):
            parts.append(
                control_samples(
                    self.model,
                    units(self.render(world)),
                    request.prompts(world),
                    request.noise + start,
                    steps=request.steps,
                    guidance=request.guidance,
                )
            )
        return torch.cat(parts)

    def without(self, request: Request) -> Tensor:
        """Samples without control, made once."""
        if request not in self._without:
            self._without[request] = self.samples(request, lambda truth: ())
        return self._without[request]

    @torch.no_grad()
    def each(self, request: Request, condition: str, pictures: Tensor, shift: int = 0) -> Tensor:
        """The score of every picture [n, 3, 192, 192] beside its condition, or that of `shift` scenes before: [n]."""
        conditions = torch.cat([CONDITIONS[condition](self.render(world)) for _, world in self._pieces(request)])
        return CONDITION_SCORES[condition](self.judge, pictures, conditions.roll(shift, dims=0))

    @torch.no_grad()
    def ends(self, request: Request, condition: str) -> Ends:
        """The scores of samples without control, and of the scenes after the autoencoder."""
        if (request, condition) not in self._ends:
            floor = self.each(request, condition, self.without(request))
            true = [self._again(self.render(world).image) for _, world in self._pieces(request)]
            self._ends[request, condition] = Ends(floor, self.each(request, condition, torch.cat(true)))
        return self._ends[request, condition]

    def _again(self, images: Tensor) -> Tensor:
        autoencoder = self.model.autoencoder
        return autoencoder.decode(autoencoder.encode(images)).clamp(0, 1)

    def _pieces(self, request: Request) -> list[tuple[int, list[Scene]]]:
        world = self.world(request)
        return [(start, world[start : start + AT_ONCE]) for start in range(0, len(world), AT_ONCE)]


def source(weights: Path | None = None) -> World:
    """What `python -m zeroctl_core.train` trains on by default, with the weights of a folder."""
    return World(WEIGHTS if weights is None else weights)
