"""Training a ControlNet: the locked UNet around the trainable copy (arXiv 2302.05543, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ..network.unet import UNet
from ..residuals import Residuals
from .data import ControlData
from .draws import batch_indices, generator
from .fingerprint import fingerprint
from .memory import channels_last
from .objective import Objective

GAP_STEPS = 10_000_000  # the first step whose draws the paired gap uses: no training gets there


class Control(Protocol):
    """What is trained, beside being a module: a `ControlNet`, or something that is called like one."""

    def encode(self, image: Tensor, /) -> Tensor: ...

    def __call__(
        self, x: Tensor, t: Tensor, context: Tensor, /, *, feature: Tensor, y: Tensor | None = None
    ) -> Residuals: ...


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """What a step is computed from: all that is drawn for it, and the maps of the locked encoder."""

    latent: Tensor  # [B, 4, h, w]
    noise: Tensor  # [B, 4, h, w]
    t: Tensor  # int64 [B]
    noisy: Tensor  # [B, 4, h, w]
    times: Tensor  # float [B]
    context: Tensor  # [B, T, D]
    condition: Tensor  # [B, 3, 8h, 8w]
    emb: Tensor  # [B, 4 * model_channels]
    maps: list[Tensor]  # of the locked encoder and middle


class ControlTask:
    """The objective of a ControlNet on a locked UNet, as a `Task` of the training loop.

    Of the locked UNet, encoder and middle run without a graph; the decoder runs with one, because gradients pass
    through it to the residuals, but no gradient of its weights is computed. (The released trainer computes and keeps
    those of the decoder.)

    `net` is a `ControlNet`, or another module that is called like `Control`. `label` names what else belongs to the
    identity of the run.

    Raises `ValueError` for a batch larger than the data.
    """

    def __init__(
        self,
        unet: UNet,
        net: nn.Module,
        data: ControlData,
        objective: Objective,
        *,
        seed: int,
        batch_size: int,
        device: torch.device | str = "cpu",
        label: str = "",
    ) -> None:
        if batch_size > len(data):
            raise ValueError(
                f"the batch size is {batch_size}, the number of samples {len(data)}: a batch holds no sample twice; "
                "lower the batch size"
            )
        self.name = (
            f"control {data.name} {objective} seed {seed} batch {batch_size} {label} "
            f"base {fingerprint(unet)} start {fingerprint(net)}"
        )
        self.device = torch.device(device)
        self.unet = channels_last(unet.to(self.device)).eval().requires_grad_(False)
        self.net = channels_last(net.to(self.device)).train().requires_grad_(True)
        self.data, self.objective, self.seed, self.batch_size = data, objective, seed, batch_size
        self.empty = data.empty_context.to(self.device)
        self._checked_after: int | None = None

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        return {"control": self.net}

    def loss(self, step: int) -> Tensor:
        """The loss of the batch of a step: a function of the weights and the step alone.

        Raises `RuntimeError` when a locked weight was given a gradient by the step before; looked for once.
        """
        if self._checked_after is None:
            self._checked_after = step
        elif step == self._checked_after + 1:
            self.check_locked()
        return self.errors(self.draw(step)).mean()

    def check_locked(self) -> None:
        """Raises `RuntimeError` when a locked weight has a gradient."""
        if names := [name for name, weight in self.unet.named_parameters() if weight.grad is not None]:
            raise RuntimeError(f"weights of the locked UNet have a gradient: {len(names)}, the first is {names[0]}")

    @torch.no_grad()
    def draw(self, step: int) -> StepInputs:
        """The batch of a step with its timesteps, noise and dropped prompts, and the maps of the locked encoder."""
        rows = batch_indices(self.seed, step, self.batch_size, len(self.data))
        batch = self.data.batch(rows)
        latent = self._on_device(batch.latent)
        t = self.objective.timesteps(self.seed, step, len(rows))
        noise = self._on_device(torch.randn(batch.latent.shape, generator=generator(self.seed, "noise", step)))
        dropped = self.objective.dropped(self.seed, step, len(rows)).to(self.device)
        context = torch.where(dropped[:, None, None], self.empty, batch.context.to(self.device))
        noisy, times = self.objective.noised(latent, noise, t), t.to(self.device).float()
        emb, maps = self.unet.encode(noisy, times, context)
        return StepInputs(
            latent=latent,
            noise=noise,
            t=t,
            noisy=noisy,
            times=times,
            context=context,
            condition=self._on_device(batch.condition),
            emb=emb,
            maps=maps,
        )

    def errors(self, inputs: StepInputs, *, with_control: bool = True) -> Tensor:
        """The weighted squared error of every row, [B]."""
        residuals = None
        if with_control:
            control = cast(Control, self.net)
            feature = control.encode(inputs.condition)
            residuals = control(inputs.noisy, inputs.times, inputs.context, feature=feature)
        prediction = self.unet.decode(inputs.emb, inputs.maps, inputs.context, residuals)
        return self.objective.errors(prediction, inputs.latent, inputs.noise, inputs.t)

    @torch.no_grad()
    def paired_gap(self, batches: int = 2) -> float:
        """L(no control) - L(control) on the same latents, timesteps and noise: a smooth sign of what was learnt.

        The draws are the same at every call, and none that training uses; the samples are training samples.
        """
        gaps = []
        for step in range(GAP_STEPS, GAP_STEPS + batches):
            inputs = self.draw(step)
            gaps.append(self.errors(inputs, with_control=False) - self.errors(inputs))
        return float(torch.cat(gaps).mean())

    def _on_device(self, x: Tensor) -> Tensor:
        return x.to(self.device).contiguous(memory_format=torch.channels_last)
