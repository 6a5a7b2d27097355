"""A training run in the graph: the loop of the core, with the host's bar, its interrupt and its preview."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from PIL import Image
from server import PromptServer
from torch import Tensor, nn

from zeroctl_core.files.plural import plural
from zeroctl_core.train.config import ControlConfig
from zeroctl_core.train.data import Prompts
from zeroctl_core.train.loop import Progress
from zeroctl_core.train.prepare.cache import CachedData
from zeroctl_core.train.prepare.source import PreparedSource
from zeroctl_core.train.run import TrainedControl, train_control
from zeroctl_core.train.surprise import surprises_said
from zeroctl_core.train.watching import ANNOUNCEMENT

from ..annotators.roots import target_of
from ..loading import load_file
from .base import base_of
from .data import TrainingData
from .folders import runs_folder

__all__ = ["Trained", "train"]

SHOWN = 3  # held-out samples of the preview
PREVIEW_SIZE = 512  # pixels of its longer side
SAMPLE_SEED = 7
LAST_LINES = 6

log = logging.getLogger("zeroctl")


@dataclass(frozen=True)
class Trained:
    control_net: Any
    samples: Tensor  # [B, H, W, 3]: condition, without and with the control, side by side
    report: str


def train(model: Any, data: TrainingData, config: ControlConfig, node_id: str) -> Trained:
    """Train a control on prepared data, or go on with the run of that name.

    The MODEL is not changed. Raises what `train_control` and `base_of` raise, and the host's own exception when the
    user interrupts it: then a checkpoint is written, and the same call goes on from there.
    """
    lines: list[str] = []
    device = comfy.model_management.get_torch_device()
    with torch.inference_mode(False), torch.enable_grad():
        source = _ShownSource(base_of(model, data.clip, data.vae), data.folder, data.index, data.net)
        config = replace(config, condition=source.index.condition, work=runs_folder(), device=str(device))
        view = source.view = _View(config, source, node_id, lines)
        with surprises_said(view.say):
            result = train_control(config, source, callbacks=[view], say=view.say)
        samples = view.sheet(result.net) if view.newest is None else view.newest
        source.unet.to("cpu")
    comfy.model_management.soft_empty_cache()
    report = "\n".join([*_summary(result, config, data), *lines])
    return Trained(load_file(result.path), samples.movedim(1, -1), report)


class _ShownSource(PreparedSource):
    """Shows samples in the node wherever a score is taken."""

    view: _View

    def score(self, net: nn.Module, condition: str, **options: Any) -> dict[str, float]:
        scores = super().score(net, condition, **options)
        self.view.sheet(net)
        return scores

    def samples(self, net: nn.Module | None, condition: Tensor, prompts: Prompts, **options: Any) -> Tensor:
        """An interrupt is heard at each call of the UNet: the samples of a score take seconds."""
        hearing = self.unet.register_forward_pre_hook(_hear_interrupts)
        try:
            return super().samples(net, condition, prompts, **options)
        finally:
            hearing.remove()


def _hear_interrupts(*_: object) -> None:
    comfy.model_management.throw_exception_if_processing_interrupted()


class _View:
    """What the node shows while it trains: the bar, the last lines, and samples wherever a score is taken."""

    def __init__(self, config: ControlConfig, source: PreparedSource, node_id: str, lines: list[str]) -> None:
        self.config, self.source, self.node_id, self.lines = config, source, node_id, lines
        self.bar = comfy.utils.ProgressBar(config.steps)
        data = CachedData(source.folder, source.index, held_out=bool(source.index.held_out))
        self.batch = data.batch(range(min(SHOWN, len(data))))
        self.without: Tensor | None = None
        self.newest: Tensor | None = None  # the sheet of the step that the run is at
        self.announcement = ""

    def __call__(self, now: Progress) -> None:
        if not self.config.is_scored(now.step):
            self.newest = None
        self.bar.update_absolute(now.step, now.steps)
        comfy.model_management.throw_exception_if_processing_interrupted()

    def say(self, text: str) -> None:
        """The announced jump before all others to the end, then the newest line first; Nodes 2.0 runs the lines
        together."""
        line = text.removeprefix(f"{self.config.condition}: ")
        self.lines.append(line)
        if line.startswith(ANNOUNCEMENT):
            self.announcement = line
        log.info("[zeroctl] %s", text)
        server = getattr(PromptServer, "instance", None)
        if server is not None and self.node_id:
            last = [line for line in reversed(self.lines[-LAST_LINES:]) if line != self.announcement]
            server.send_progress_text(";\n".join(filter(None, [self.announcement, *last])), self.node_id)

    def sheet(self, net: nn.Module) -> Tensor:
        """Condition, without and with the control, side by side: [B, 3, H, 3 W] in 0..1."""
        options = {"seed": SAMPLE_SEED, "steps": self.config.score_sampling_steps}
        if self.without is None:
            self.without = self.source.samples(None, self.batch.condition, self.batch.prompts, **options).cpu()
        pictures = self.source.samples(net, self.batch.condition, self.batch.prompts, **options).cpu()
        sheet = torch.cat((self.batch.condition, self.without, pictures), dim=3).clamp(0, 1)
        rows = torch.cat(tuple(sheet), dim=1)
        pixels = (rows.movedim(0, -1) * 255).round().to(torch.uint8).numpy()
        self.bar.update_absolute(self.bar.current, self.bar.total, ("JPEG", Image.fromarray(pixels), PREVIEW_SIZE))
        self.newest = sheet
        return sheet


def _summary(result: TrainedControl, config: ControlConfig, data: TrainingData) -> list[str]:
    jump = "no sudden convergence was seen" if result.jump is None else str(result.jump)
    return [
        f"{result.path}: {plural(config.steps, 'step')} on "
        f"{plural(len(data.index.names) - data.index.held_out, 'sample')}",
        jump,
        f"to go on without ComfyUI: python -m zeroctl_core.train --data {data.folder} --work {config.work} "
        f"--run {config.run} --steps {config.steps} --batch-size {config.batch_size} --learning-rate "
        f"{config.learning_rate:g} --seed {config.seed}"
        + (f" --annotators {target_of('')}" if data.index.network else ""),
    ]
