"""Pictures of prompts, with and without controls."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..control.stack import ControlStack
from ..control.unit import ControlUnit
from ..sampling import noise_of, sample
from .model import DemoModel
from .scene import SIZE

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
    """Pictures [B, 3, 192, 192] of prompts with a stack of controls; row r starts from the noise of seed + r."""
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
