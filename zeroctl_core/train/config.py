"""Every option of a training run of a control, with its unit and source."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, get_args

from ..files.key_faults import short
from ..network.noise_levels import STABLE_DIFFUSION
from ..sampling import Prediction
from .objective import Objective
from .optimisation import Optimisation
from .ranges import check_at_least, check_seed

WORK = Path("build/train")

Form = Literal["released", "paper"]

PLACES = ("output", "run", "work", "device", "threads", "resume", "checkpoint_every")
"""Options that decide where and how fast a run is made; the others decide its weights."""


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """Train a ControlNet for one condition on a locked base.

    Raises `ValueError` for a value out of its range.
    """

    condition: str = "edges"
    """What the control follows: of the embedded world edges, depth, mask, normals or scribble, among others (an unknown
    name lists all)."""

    form: Form = "released"
    """Condition encoder: `released` has 3x3 convolutions and SiLU (released cldm.py), `paper` 4x4 and ReLU (arXiv
    2302.05543, 3.2)."""

    data_seed: int = 1
    """Which world the scenes come from: scene i of a seed is always the same."""

    n_scenes: int | None = None
    """Samples to train on (the paper, Fig. 10: 1 k, 50 k and 3 M images). `None`: all, 8192 of the embedded world."""

    seed: int = 0
    """Of the condition encoder's start, the order of the data, timesteps, noise and dropped prompts."""

    steps: int = 450
    """Optimiser steps (an edge control of the embedded model is good from step 150 on)."""

    batch_size: int = 16
    """Scenes a step."""

    learning_rate: float = 1e-3
    """Of AdamW, constant after the warm-up (the paper: 1e-5 for Stable Diffusion; a net of 1.8 M parameters bears
    1e-3)."""

    warmup_steps: int = 50
    """Steps over which the learning rate rises from 0."""

    ema_decay: float | None = None
    """Of the moving average of the weights a step; `None` saves the last weights (released code: no average)."""

    prompt_dropout: float = 0.5
    """Share of prompts that become empty, drawn anew at every step (arXiv 2302.05543, 3.3: 50 %)."""

    high_noise: float = 1.6
    """p in t = 1000 (1 - (1 - u)^p) for uniform u: 1 is uniform, above 1 favours noise (the base was trained with
    1.6)."""

    snr_gamma: float | None = 1.0
    """Gamma of the min-SNR weight (arXiv 2303.09556), 1 as for the base; `None` weighs all timesteps alike, as the
    paper does (a control of the embedded model then needs about 1.5 times the steps)."""

    score_every: int = 75
    """Steps between two scores: samples are drawn and compared with their conditions. 0: never."""

    score_steps: tuple[int, ...] = (20, 30, *range(40, 151, 10), 175, 200)
    """Further steps to score at: where the sudden convergence is expected. A single sample begins to follow within 10
    steps."""

    n_score: int = 32
    """Held-out scenes a score."""

    score_sampling_steps: int = 10
    """Sampling steps of a score's pictures (Euler)."""

    gap_every: int = 50
    """Steps between two measurements of the paired gap, L(without control) - L(with control) on fixed latents,
    timesteps and noise. 0: never."""

    checkpoint_every: int = 100
    """Steps between two checkpoints; Ctrl-C writes one too."""

    output: Path | None = None
    """File for the trained control, .safetensors, float16, in the layout that hosts load. `None`: CONDITION.safetensors
    in the folder of the run."""

    run: str = ""
    """Name of the run: its folder in `work`, where it goes on. Empty: CONDITION-FORM-SEED."""

    work: Path = WORK
    """Folder for encoded scenes and, in a folder for each run, its checkpoints and its log (log.jsonl)."""

    device: str = "cpu"
    """Where to train: cpu, cuda, cuda:1, mps (a torch device)."""

    threads: int | None = None
    """CPU threads. `None`: as many as torch chooses."""

    resume: bool = True
    """Go on from the run's checkpoint where there is one; `--no-resume` deletes it and begins anew."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "n_score", "score_sampling_steps"):
            check_at_least(name, getattr(self, name), 1)
        if self.n_scenes is not None:
            check_at_least("n_scenes", self.n_scenes, 1)
        for name in ("score_every", "gap_every"):
            check_at_least(name, getattr(self, name), 0)
        for name in ("data_seed", "seed"):
            check_seed(name, getattr(self, name))
        for step in self.score_steps:
            check_at_least("score_steps", step, 0)
        if self.threads is not None:
            check_at_least("threads", self.threads, 1)
        if self.form not in get_args(Form):
            raise ValueError(f"form is {self.form!r}; expected {' or '.join(get_args(Form))}")
        if self.n_scenes is not None and self.batch_size > self.n_scenes:
            raise ValueError(
                f"batch_size is {self.batch_size} and n_scenes {self.n_scenes}: a batch holds no scene twice; "
                "lower batch_size or raise n_scenes"
            )
        if self.run and (self.run in (".", "..") or self.run != Path(self.run).name):
            raise ValueError(f"run is {short(repr(self.run))}; expected a name without folders")
        if self.output is not None and self.output.suffix != ".safetensors":
            raise ValueError(f"output is {self.output}; expected a name that ends in .safetensors")
        _ = self.objective(), self.optimisation  # check their own numbers

    def objective(self, prediction: Prediction = "eps", schedule: str = STABLE_DIFFUSION) -> Objective:
        """For a base: its prediction and noise schedule are its own."""
        return Objective(
            prediction=prediction,
            schedule=schedule,
            high_noise=self.high_noise,
            snr_gamma=self.snr_gamma,
            prompt_dropout=self.prompt_dropout,
        )

    @property
    def optimisation(self) -> Optimisation:
        return Optimisation(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            ema_decay=self.ema_decay,
            checkpoint_every=self.checkpoint_every,
        )

    @property
    def folder(self) -> Path:
        """Of this run: its checkpoints and its log."""
        return self.work / (self.run or f"{self.condition}-{self.form}-{self.seed}")

    @property
    def target(self) -> Path:
        """The file that is written at the end."""
        return self.output or self.folder / f"{self.condition}.safetensors"

    def is_scored(self, step: int) -> bool:
        """Whether samples are drawn after a step; the first and the last are, unless scores are off."""
        if not self.score_every:
            return False
        return step % self.score_every == 0 or step in self.score_steps or step == self.steps

    def has_gap(self, step: int) -> bool:
        return bool(self.gap_every) and (step % self.gap_every == 0 or step == self.steps)

    def record(self) -> dict[str, object]:
        """What decides the weights, for the header of the file: no paths."""
        names = [field.name for field in fields(ControlConfig) if field.name not in PLACES]
        return {name: getattr(self, name) for name in names}
