"""Stage 4: the controls, each prepared, trained and scored by `zeroctl_core.train`."""

from __future__ import annotations

from pathlib import Path

from ....train.config import ControlConfig
from ....train.control import ControlTask
from ...model import CONTROLS as FOLDER
from ...model import load_control
from ...stages.controls import EMA_DECAY, OUTLINE_GAMMA, SAMPLING_STEPS, SCORE_SEED, trained_stage
from ...stages.stage import Scores, Stage
from ..scene import Split
from ..source import Things

CONTROLS = ("edges", "scribble", "depth", "colours")
"""Those that a proof, a template or a drawing of one's own needs. A mask is drawn as its outline; normals say what the
depth says."""

STEPS = 700
SCORED = 96
TARGETS = {"edges": 0.80, "scribble": 0.70, "depth": 0.80, "colours": 0.85}
"""Of `follow`; how near these are to the best that the autoencoder lets through is what the proofs measure."""


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
        source, net = Things(weights, work=work), load_control(name, weights)

        def follow(split: Split, prompt: str | None = None, strength: float = 1.0) -> float:
            return source.score_on(
                split, net, name, n=SCORED, seed=SCORE_SEED, steps=SAMPLING_STEPS, prompt=prompt, strength=strength
            )["follow"]

        return {
            "follow": follow("held_out"),
            "no_prompt": follow("held_out", prompt=""),
            "new_things": follow("new_things", prompt=""),
            "strength_0": follow("held_out", strength=0.0),
        }

    return trained_stage(
        name,
        lambda weights, work: config_of(name, weights, work),
        lambda weights, work: Things(weights, work=work),
        score,
        targets={"follow": TARGETS[name]},
    )
