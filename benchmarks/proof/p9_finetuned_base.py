"""P9. Controls act on a finetuned base without being trained again (arXiv 2302.05543, 4.5 and Fig. 12: Comic Diffusion
and Protogen). The base learns another style here, prints in one ink on cream paper; its controls never see one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.criterion import Figure, at_least, at_most
from benchmarks.proof.following import Rows, add, control, figures_of, over_seeds
from benchmarks.proof.record import Proof, Training
from benchmarks.proof.training import train_once
from zeroctl_core import UNet
from zeroctl_core.annotators.pictures.sheet import Tile
from zeroctl_core.demo.captions import damaged_caption
from zeroctl_core.demo.conditions import CONDITIONS
from zeroctl_core.demo.data import CHUNK, encoded
from zeroctl_core.demo.model import DemoModel, load_control
from zeroctl_core.demo.rendering import Rendering
from zeroctl_core.demo.scene import Scene
from zeroctl_core.demo.source import Request, World
from zeroctl_core.demo.stages.base import OBJECTIVE
from zeroctl_core.train.draws import batch_indices, generator
from zeroctl_core.train.fingerprint import fingerprint
from zeroctl_core.train.memory import channels_last
from zeroctl_core.train.optimisation import Optimisation

CONTROLS = ("edges", "scribble")
"""Of the embedded ones those whose score knows nothing of colours, which the style takes away."""
PICTURED = (*CONTROLS, "depth")
"""Depth is shown and not scored: the judge that looks for things again was trained on no prints."""

PAPER, INK = (0.98, 0.95, 0.85), (0.02, 0.05, 0.25)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
CONTRAST, MIDDLE = 1.6, 0.45  # of the print, and the luma that it leaves as it is
FOLLOWS, STYLED = 0.9, 0.25
CLAIM = "Controls that were trained on the base follow on a base that was finetuned to another style"
CRITERION = (
    f"each of the controls {', '.join(CONTROLS)} follows on the finetuned base at least {FOLLOWS:g} times as well as "
    f"on its own; and the style is there: with and without control, colours of the finetuned base's samples are off "
    f"the ink by at most {STYLED:g} of what those of the original base are"
)
BATCH = 32
DATA_SEED, SEED = 1, 91  # of training scenes, and of held-out ones


@dataclass(frozen=True, kw_only=True)
class Options(Training):
    scenes: int = 2048
    """scenes in the new style that the base is finetuned on"""
    steps: int = 300
    """optimiser steps of the finetuning, of 32 scenes"""
    n: int = 64
    """held-out scenes of each score"""


def printed(image: Tensor) -> Tensor:
    """A picture in one ink on paper: every pixel's luma between the two, [B, 3, H, W] in 0..1."""
    luma = (image * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    luma = ((luma - MIDDLE) * CONTRAST + MIDDLE).clamp(0, 1)
    paper, ink = torch.tensor(PAPER)[:, None, None], torch.tensor(INK)[:, None, None]
    return ink + (paper - ink) * luma


def off_ink(image: Tensor) -> float:
    """The mean distance in RGB of pixels from the line between ink and paper."""
    paper, ink = torch.tensor(PAPER), torch.tensor(INK)
    along = (paper - ink) / (paper - ink).norm()
    away = image.movedim(1, -1) - ink
    share = (away * along).sum(dim=-1, keepdim=True)
    return float((away - share * along).norm(dim=-1).mean())


class PrintedWorld(World):
    """The world as it looks in the style."""

    def render(self, world: Sequence[Scene]) -> Rendering:
        rendering = super().render(world)
        return replace(rendering, image=printed(rendering.image))


class Finetuning:
    """The objective of the base on pictures of the style: the UNet alone is trained."""

    def __init__(self, unet: UNet, source: World, latents: Tensor, world: list[Scene], seed: int) -> None:
        self.unet = channels_last(unet).requires_grad_(True).train()
        self.source, self.latents, self.world, self.seed = source, latents, world, seed
        self.name = f"finetuning seed {seed} scenes {len(world)} start {fingerprint(unet)} data {_digest(latents)}"

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"unet": self.unet}

    def loss(self, step: int) -> Tensor:
        rows = batch_indices(self.seed, step, BATCH, len(self.world))
        draw = np.random.Generator(np.random.Philox(key=[self.seed, step]))
        context = self.source.model.context([damaged_caption(self.world[row], draw) for row in rows])
        latent = self.latents[rows].contiguous(memory_format=torch.channels_last)
        noise = torch.randn(latent.shape, generator=generator(self.seed, "noise", step))
        t = OBJECTIVE.timesteps(self.seed, step, len(rows))
        eps = self.unet(OBJECTIVE.noised(latent, noise, t), t.float(), context)
        return OBJECTIVE.errors(eps, latent, noise, t).mean()


def _digest(latents: Tensor) -> str:
    return f"{float(latents.double().sum()):.6f}"


def finetuned(proof: Proof[Options], style: World, latents: Tensor, world: list[Scene], seed: int) -> World:
    """The world of the style with a base that was finetuned to it."""
    options, source = proof.options, proof.source
    unet = copy.deepcopy(source.unet)
    how = Optimisation(
        steps=options.steps,
        learning_rate=5e-4,
        betas=(0.9, 0.99),
        warmup_steps=20,
        decay="cosine",
        checkpoint_every=50,
    )
    task = Finetuning(unet, source, latents, world, seed)
    train_once(task, how, options.work / f"{proof.name}-base-{seed}", proof.say)
    parts = DemoModel(unet.eval().requires_grad_(False), source.model.text, source.model.autoencoder)
    return PrintedWorld(options.weights, emoji=style.package, work=options.work, parts=parts)


def main() -> None:
    proof = Proof("p9_finetuned_base", Options, claim=CLAIM, criterion=CRITERION)
    options, source = proof.options, proof.source
    style = PrintedWorld(options.weights, emoji=source.package, work=options.work, parts=source.model)
    world = source.scenes(DATA_SEED, 0, options.scenes)

    def pictures_from(start: int) -> Tensor:
        return style.render(source.scenes(DATA_SEED, start, CHUNK)).image

    proof.say(f"encoding {options.scenes} scenes")
    name = f"latents-printed-{'shapes' if source.package is None else 'things'}"
    latents = encoded(source.model.autoencoder, pictures_from, name, options.scenes, options.work)
    nets = {name: load_control(name, options.weights) for name in PICTURED}
    bases = ("own base", "finetuned base")
    rows: dict[str, dict[str, Rows]] = {base: {name: {} for name in CONTROLS} for base in bases}
    off: dict[str, Rows] = {base: {} for base in bases}
    first_samples: dict[tuple[str, str], Tensor] = {}
    for seed in proof.seeds:
        request = Request(n=options.n, seed=SEED + 100 * seed)
        worlds = {"own base": source, "finetuned base": finetuned(proof, style, latents, world, seed)}
        for base, of_base in worlds.items():
            without = of_base.without(request)
            add(off[base], {"without control": off_ink(without)})
            first_samples.setdefault((base, "without control"), without[:3])
            for name, net in nets.items():
                pictures = of_base.samples(request, control(net, name))
                if name in CONTROLS:
                    add(rows[base][name], figures_of(of_base, name, request, pictures))
                add(off[base], {name: off_ink(pictures)})
                first_samples.setdefault((base, name), pictures[:3])
            text = ", ".join(f"{name} {rows[base][name]['follow'][-1]:.2f}" for name in CONTROLS)
            proof.say(f"seed {seed}, {base}: following {text}; off the ink {off[base]['without control'][-1]:.3f}")
    own, other = ({name: Figure.of(rows[base][name]["follow"]) for name in CONTROLS} for base in bases)
    own_off = Figure.of(off["own base"]["without control"])
    proof.conclude(
        [
            at_least(f"{name}: following over that on its own base", other[name] / own[name], FOLLOWS)
            for name in CONTROLS
        ]
        + [
            at_most(f"{name}: off the ink over samples of the original base", Figure.of(values) / own_off, STYLED)
            for name, values in off["finetuned base"].items()
        ],
        "following on its own base and on the finetuned one: "
        + ", ".join(f"{name} {own[name]} and {other[name]}" for name in CONTROLS),
    )
    held_out = source.world(Request(n=3, seed=SEED + 100 * proof.seeds[0]))
    truth = source.render(held_out)
    sheet = []
    for n in range(min(3, options.n)):
        tiles = [Tile(first_samples[base, "without control"][n], f"{base}, no control") for base in bases]
        for name in PICTURED:
            tiles.append(Tile(CONDITIONS[name](truth)[n], name))
            tiles += [Tile(first_samples[base, name][n], f"{base}") for base in bases]
        prompt = Request(n=1, seed=SEED).prompts(held_out)[n]
        sheet.append((f'"{prompt}"', tiles))
    proof.sheet(sheet)
    proof.write(
        {
            "following": {"own base": own, "finetuned base": other},
            "off_the_ink": {base: over_seeds(values) for base, values in off.items()},
            "others": {base: {name: over_seeds(some) for name, some in of.items()} for base, of in rows.items()},
        }
    )


if __name__ == "__main__":
    main()
