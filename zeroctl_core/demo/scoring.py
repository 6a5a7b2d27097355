"""Pictures of known scenes, drawn with and without controls, and their scores."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..control.stack import ControlStack
from ..control.unit import ControlUnit, Net
from ..sampling import noise_of, sample
from .conditions import CONDITIONS
from .following import follow_scores
from .model import DemoModel
from .world import SIZE, render, scenes

STEPS, GUIDANCE = 20, 3.0
"""What the demo uses; see benchmarks/proof/p5_guidance.py for other scales."""


def control_samples(
    model: DemoModel,
    units: Sequence[ControlUnit],
    prompts: Sequence[str],
    seed: int,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
) -> Tensor:
    """Pictures [B, 3, 128, 128] of prompts with a stack of controls; row r starts from the noise of seed + r."""
    device = next(model.unet.parameters()).device
    latent = sample(
        model.unet,
        noise_of(range(seed, seed + len(prompts)), (SIZE, SIZE)).to(device),
        model.context(prompts).to(device),
        model.context([""]).to(device),
        stack=ControlStack(units) if units else None,
        guidance=guidance,
        steps=steps,
    )
    return model.picture(latent.cpu())


def score_control(
    model: DemoModel,
    net: Net,
    condition: str,
    *,
    n: int = 32,
    seed: int = 0,
    steps: int = 10,
    strength: float = 1.0,
    batch: int = 64,
) -> dict[str, float]:
    """`follow_scores` of n samples of held-out scenes with the right prompt, and `follow`, the one to watch: IoU."""
    totals: dict[str, float] = {}
    for start in range(0, n, batch):
        world = scenes(seed, start, min(batch, n - start), "held_out")
        units = [ControlUnit(net, CONDITIONS[condition](render(world)), strength=strength)]
        pictures = control_samples(model, units, [one.caption for one in world], seed * 100_000 + start, steps=steps)
        for key, value in follow_scores(pictures, world).items():
            totals[key] = totals.get(key, 0.0) + value * len(world) / n
    return {"follow": totals["iou"], **totals}
