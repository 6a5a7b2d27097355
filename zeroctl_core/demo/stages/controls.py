"""Stage 4: the controls, each prepared, trained and scored by `zeroctl_core.train`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...control.rows import Branches
from ...network.controlnet import ControlNet
from ...train.config import ControlConfig
from ...train.control import ControlTask
from ...train.run import LOG, new_control, new_task, read_log, save_trained
from ...train.watching import Watch
from ..model import CONTROLS as FOLDER
from ..model import load_control
from ..scene import Split
from ..source import Request, World
from .stage import Scores, Stage

CONTROLS = ("edges", "scribble", "depth", "colours")
"""Those that a proof, a template or a drawing of one's own needs. A mask is drawn as its outline; normals say what the
depth says."""

EMA_DECAY = 0.99
OUTLINE_GAMMA = 1.0  # of min-SNR weights, as the base: an outline is decided at high noise
SAMPLING_STEPS = 10  # of Euler; 20 take twice as long
SCORE_SEED = 3  # of held-out scenes that no other score uses
STEPS = 700
SCORED = 96
TARGETS = {"edges": 0.90, "scribble": 0.80, "depth": 0.80, "colours": 0.80}
"""Of `follow`: 0 is chance, 1 what the autoencoder lets through."""


def config_of(name: str, weights: Path, work: Path) -> ControlConfig:
    return ControlConfig(
        condition=name,
        steps=STEPS,
        ema_decay=EMA_DECAY,
        # colours are decided at all levels of noise, outlines at high ones
        snr_gamma=None if name == "colours" else OUTLINE_GAMMA,
        score_every=100,
        score_steps=tuple(range(40, 151, 10)) if name == "edges" else (),
        n_score=24,
        gap_every=50,
        checkpoint_every=50,
        output=weights / FOLDER / f"{name}.safetensors",
        work=work,
    )


def source_of(weights: Path, work: Path) -> World:
    return World(weights, emoji=work, work=work)


def control_stage(name: str) -> Stage[ControlTask]:
    def score(weights: Path, work: Path) -> Scores:
        source, net = source_of(weights, work), load_control(name, weights)

        def follow(split: Split, prompt: str | None = None, branches: Branches = "both") -> Scores:
            request = Request(split=split, n=SCORED, seed=SCORE_SEED, steps=SAMPLING_STEPS, prompt=prompt)
            return source.follow(net, name, request, branches=branches)

        with_captions = follow("held_out")
        return {
            **{key: with_captions[key] for key in ("follow", "score", "floor", "ceiling", "other")},
            "follow_no_prompt": follow("held_out", "", "cond")["follow"],
            "follow_new_things": follow("new_things", "", "cond")["follow"],
        }

    def new(weights: Path, work: Path) -> ControlTask:
        config, source = config_of(name, weights, work), source_of(weights, work)
        return new_task(config, source, new_control(config, source))

    def shipped(weights: Path, work: Path) -> ControlTask:
        return new_task(config_of(name, weights, work), source_of(weights, work), load_control(name, weights))

    def watch(task: ControlTask, weights: Path, work: Path) -> Watch:
        config, source = config_of(name, weights, work), source_of(weights, work)
        return Watch(config, task, source, log=config.folder / LOG, say=lambda line: print(f"{name}: {line}"))

    def save(task: ControlTask, weights: Path, work: Path, record: Mapping[str, object]) -> Path:
        config = config_of(name, weights, work)
        assert isinstance(task.net, ControlNet)
        return save_trained(config, source_of(weights, work), task.net, read_log(config))

    defaults = config_of(name, Path(), Path())
    return Stage(
        name=f"control-{name}",
        how=defaults.optimisation,
        batch_size=defaults.batch_size,
        new=new,
        shipped=shipped,
        save=save,
        score=score,
        targets={"follow": TARGETS[name]},
        watch=watch,
    )
