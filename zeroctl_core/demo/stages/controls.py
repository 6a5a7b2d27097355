"""Stage 4: the controls, each trained by `zeroctl_core.train`, with its options and its targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ...control.unit import ControlUnit
from ...network.controlnet import ControlNet
from ...train.config import ControlConfig, Form
from ...train.control import ControlTask
from ...train.run import LOG, new_control, new_task, read_log, save_trained
from ...train.source import Source
from ...train.watching import Watch
from ..conditions import CONDITIONS
from ..following import follow_scores
from ..model import CONTROLS as FOLDER
from ..model import DemoModel, load_control
from ..scoring import control_samples, score_control
from ..source import World
from ..world import flat, render, scenes
from .stage import Scores, Stage

CONTROLS = ("edges", "normals", "mask", "edges_paper", "depth")
"""`edges_paper` has the condition encoder of the paper's text."""

EMA_DECAY = 0.99
OUTLINE_STEPS, RELIEF_STEPS = 450, 900
OUTLINE_GAMMA = 1.0  # of min-SNR weights, as the base: an outline is decided at high noise
SHOWN = "edges"  # is scored often enough to see its sudden convergence
SCORED = 512
SAMPLING_STEPS = 10  # of Euler; 20 take twice as long
SCORE_SEED = 3  # of held-out scenes that no other score uses
CONDITION_OF = {"edges_paper": "edges"}
FORMS: dict[str, Form] = {"edges_paper": "paper"}
STEPS_OF = {"mask": 300}
RELIEF = ("depth", "normals")  # conditions that carry more than the outline

OUTLINE_TARGETS = {"iou": 0.85, "edge_f1": 0.93}
TARGETS: dict[str, dict[str, float]] = {
    "edges": OUTLINE_TARGETS,
    "edges_paper": OUTLINE_TARGETS,
    "mask": {"iou": 0.80},
    "depth": {"iou": 0.80, "shading": 0.80},
    "normals": {"iou": 0.80, "shading": 0.80},
}


def config_of(name: str, weights: Path, work: Path) -> ControlConfig:
    return ControlConfig(
        condition=CONDITION_OF.get(name, name),
        form=FORMS.get(name, "released"),
        steps=RELIEF_STEPS if name in RELIEF else STEPS_OF.get(name, OUTLINE_STEPS),
        ema_decay=EMA_DECAY,
        # ridges are decided at low noise, which min-SNR weights at 1 hardly count: after 300 steps none was followed
        snr_gamma=None if name in RELIEF else OUTLINE_GAMMA,
        score_every=75 if name == SHOWN else 150,
        score_steps=ControlConfig.score_steps if name == SHOWN else (),
        n_score=24,
        gap_every=50,
        output=weights / FOLDER / f"{name}.safetensors",
        work=work,
    )


def control_stage(name: str) -> Stage[ControlTask]:
    condition = CONDITION_OF.get(name, name)

    def score(weights: Path, work: Path) -> Scores:
        model, net = DemoModel.load(weights), load_control(name, weights)
        settings = {"n": SCORED, "seed": SCORE_SEED, "steps": SAMPLING_STEPS}
        scores = score_control(model, net, condition, **settings)
        if name == SHOWN:  # without control every control's pictures are the same
            without = score_control(model, net, condition, **settings, strength=0.0)
            scores["iou_at_strength_0"] = without["iou"]
        if name in RELIEF:
            scores["shading_flat_map"] = flat_map_shading(model, net, condition)
        return scores

    at_most = {"iou_at_strength_0": 0.25} if name == SHOWN else {}
    if name in RELIEF:
        at_most["shading_flat_map"] = 0.30
    return trained_stage(
        name,
        lambda weights, work: config_of(name, weights, work),
        lambda weights, work: World(weights),
        score,
        targets=TARGETS[name],
        at_most=at_most,
    )


def trained_stage(
    name: str,
    config_of: Callable[[Path, Path], ControlConfig],
    source_of: Callable[[Path, Path], Source],
    score: Callable[[Path, Path], Scores],
    *,
    targets: Mapping[str, float],
    at_most: Mapping[str, float] | None = None,
) -> Stage[ControlTask]:
    """A control of a world, trained by `zeroctl_core.train`: its settings and its source by the folders of weights and
    work."""
    defaults = config_of(Path(), Path())

    def new(weights: Path, work: Path) -> ControlTask:
        config, source = config_of(weights, work), source_of(weights, work)
        return new_task(config, source, new_control(config, source))

    def shipped(weights: Path, work: Path) -> ControlTask:
        return new_task(config_of(weights, work), source_of(weights, work), load_control(name, weights))

    def watch(task: ControlTask, weights: Path, work: Path) -> Watch:
        config, source = config_of(weights, work), source_of(weights, work)
        return Watch(config, task, source, log=config.folder / LOG, say=lambda line: print(f"{name}: {line}"))

    def save(task: ControlTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
        config = config_of(weights, work)
        assert isinstance(task.net, ControlNet)
        return save_trained(config, source_of(weights, work), task.net, read_log(config))

    return Stage(
        name=f"control-{name}",
        how=defaults.optimisation,
        batch_size=defaults.batch_size,
        new=new,
        shipped=shipped,
        save=save,
        score=score,
        targets=targets,
        at_most=at_most or {},
        watch=watch,
    )


@torch.no_grad()
def flat_map_shading(model: DemoModel, net: ControlNet, condition: str, n: int = SCORED // 2, batch: int = 64) -> float:
    """Correlation with the scene's own shading when the map shows a flat surface of the same outline.

    What is left is what follows from the outline alone.
    """
    total = 0.0
    for start in range(0, n, batch):
        world = scenes(SCORE_SEED, start, min(batch, n - start), "held_out")
        image: Tensor = CONDITIONS[condition](render([flat(one) for one in world]))
        pictures = control_samples(
            model,
            [ControlUnit(net, image)],
            [one.caption for one in world],
            SCORE_SEED * 100_000 + start,
            steps=SAMPLING_STEPS,
        )
        total += follow_scores(pictures, world)["shading"] * len(world) / n
    return total
