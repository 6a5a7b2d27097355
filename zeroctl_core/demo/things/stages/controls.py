"""Stage 4: the controls, each prepared, trained and scored by `zeroctl_core.train`."""

from __future__ import annotations

from pathlib import Path

from ....control.rows import Branches
from ....train.config import ControlConfig
from ....train.control import ControlTask
from ...model import CONTROLS as FOLDER
from ...model import load_control
from ...stages.controls import EMA_DECAY, OUTLINE_GAMMA, SAMPLING_STEPS, SCORE_SEED, trained_stage
from ...stages.stage import Scores, Stage
from ..scene import Split
from ..source import Request, Things

CONTROLS = ("edges", "scribble", "depth", "colours")
"""Those that a proof, a template or a drawing of one's own needs. A mask is drawn as its outline; normals say what the
depth says."""

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


def control_stage(name: str) -> Stage[ControlTask]:
    def score(weights: Path, work: Path) -> Scores:
        source, net = Things(weights, emoji=work, work=work), load_control(name, weights)

        def follow(split: Split, prompt: str | None = None, branches: Branches = "both") -> Scores:
            request = Request(split=split, n=SCORED, seed=SCORE_SEED, steps=SAMPLING_STEPS, prompt=prompt)
            return source.follow(net, name, request, branches=branches)

        with_captions = follow("held_out")
        return {
            **{key: with_captions[key] for key in ("follow", "score", "floor", "ceiling", "other")},
            "follow_no_prompt": follow("held_out", "", "cond")["follow"],
            "follow_new_things": follow("new_things", "", "cond")["follow"],
        }

    return trained_stage(
        name,
        lambda weights, work: config_of(name, weights, work),
        lambda weights, work: Things(weights, emoji=work, work=work),
        score,
        targets={"follow": TARGETS[name]},
    )
