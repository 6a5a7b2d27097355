"""Training a ControlNet: the locked UNet around the trainable copy (arXiv 2302.05543, 3.3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from ..network.unet import UNet
from ..residuals import Residuals
from .ahead import Ahead
from .data import ControlBatch, ControlData, Prompts
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


class ConditionedControl(nn.Module):
    """A control as one function of the condition image: what is wrapped for several processes, or compiled.

    Calling `encode` beside `forward` would pass such a wrapper by.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor, t: Tensor, context: Tensor, y: Tensor | None, condition: Tensor) -> Residuals:
        """Residuals for x [B, 4, h, w] at t [B] with context [B, T, D], y [B, Y] and condition [B, 3, 8h, 8w]."""
        control = cast(Control, self.net)
        return control(x, t, context, feature=control.encode(condition), y=y)


@dataclass(frozen=True, kw_only=True)
class StepInputs:
    """What a step is computed from: all that is drawn for it, and the maps of the locked encoder."""

    latent: Tensor  # [B, 4, h, w]
    noise: Tensor  # [B, 4, h, w]
    t: Tensor  # int64 [B]
    noisy: Tensor  # [B, 4, h, w]
    times: Tensor  # float [B]
    prompts: Prompts  # those that were not dropped
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
        self.control = ConditionedControl(self.net)
        self._batches = Ahead(self._batch)
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
        batch = self._batches(step) if step < GAP_STEPS else self._batch(step)
        latent = self._on_device(batch.latent)
        t = self.objective.timesteps(self.seed, step, self.batch_size)
        noise = self._drawn("noise", step, latent)
        if batch.deviation is not None:
            latent = latent + self._on_device(batch.deviation) * self._drawn("latent", step, latent)
        prompts = self._kept(batch.prompts, self.objective.dropped(self.seed, step, self.batch_size))
        prompts = Prompts(prompts.context, prompts.whole_y)
        noisy, times = self.objective.noised(latent, noise, t), t.to(self.device).float()
        emb, maps = self.unet.encode(noisy, times, prompts.context, prompts.y)
        return StepInputs(
            latent=latent,
            noise=noise,
            t=t,
            noisy=noisy,
            times=times,
            prompts=prompts,
            condition=self._on_device(batch.condition),
            emb=emb,
            maps=maps,
        )

    def errors(self, inputs: StepInputs, *, with_control: bool = True) -> Tensor:
        """The weighted squared error of every row, [B]."""
        residuals = None
        if with_control:
            prompts = inputs.prompts
            residuals = self.control(inputs.noisy, inputs.times, prompts.context, prompts.y, inputs.condition)
        prediction = self.unet.decode(inputs.emb, inputs.maps, inputs.prompts.context, residuals)
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

    def _batch(self, step: int) -> ControlBatch:
        return self.data.batch(batch_indices(self.seed, step, self.batch_size, len(self.data)))

    def _kept(self, prompts: Prompts, dropped: Tensor) -> Prompts:
        """The prompts [B], the empty one in the place of those that were dropped; sizes are the picture's and stay."""
        dropped, empty = dropped.to(self.device), self.data.empty

        def kept(full: Tensor, none: Tensor) -> Tensor:
            rows = dropped.reshape(-1, *[1] * (full.dim() - 1))
            return torch.where(rows, none.to(self.device), full.to(self.device))

        if prompts.y is None or empty.y is None:
            return Prompts(kept(prompts.context, empty.context))
        sizes = None if prompts.sizes is None else prompts.sizes.to(self.device)
        return Prompts(kept(prompts.context, empty.context), kept(prompts.y, empty.y), sizes)

    def _drawn(self, stream: str, step: int, like: Tensor) -> Tensor:
        """Standard normal numbers of a stream at a step, the same ones on every device."""
        return self._on_device(torch.randn(like.shape, generator=generator(self.seed, stream, step)))

    def _on_device(self, x: Tensor) -> Tensor:
        return x.to(self.device).contiguous(memory_format=torch.channels_last)
