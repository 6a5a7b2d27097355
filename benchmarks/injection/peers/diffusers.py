"""diffusers' ControlNetModel and UNet2DConditionModel, called as its pipeline calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.injection.clock import Clock
from benchmarks.injection.rows import Row
from zeroctl_core.checkpoint.layouts import to_diffusers


@dataclass(frozen=True)
class UNetCall:
    """What a UNet was called with in a step without control: x [2B, 4, h, w], t [2B], context [2B, 77, D].

    chunks: which half is which, 0 for the positive cond; (1, 0) has the negative first.
    """

    x: Tensor
    t: Tensor
    context: Tensor
    chunks: tuple[int, ...]

    @property
    def negative_first(self) -> list[int]:
        """The rows in the order of diffusers' pipelines."""
        batch = self.x.shape[0] // len(self.chunks)
        halves = sorted(range(len(self.chunks)), key=lambda place: -self.chunks[place])
        return [place * batch + i for place in halves for i in range(batch)]


def networks(
    spec: Any, unet_weights: Mapping[str, Tensor], net_weights: Mapping[str, Tensor], device: torch.device
) -> tuple[nn.Module, nn.Module]:
    """diffusers' UNet and ControlNet on these tensors of the LDM layout; `spec` is one of the tests' random weights."""
    sys.modules.setdefault("torchaudio", None)  # type: ignore[arg-type]  # one built for another torch fails on import
    from diffusers import ControlNetModel, UNet2DConditionModel
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in spec.transformer_depth]
    shared = {
        "in_channels": spec.in_channels,
        "cross_attention_dim": spec.context_dim,
        "attention_head_dim": 8,
        "block_out_channels": [spec.model_channels * mult for mult in spec.channel_mult],
        "layers_per_block": spec.num_res_blocks[0],
        "down_block_types": down,
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            **shared,
            out_channels=spec.out_channels,
            up_block_types=[name.replace("Down", "Up") for name in reversed(down)],
        )
        net = ControlNetModel(**shared)
    of_checkpoint = {f"model.diffusion_model.{key}": value for key, value in unet_weights.items()}
    unet.load_state_dict(convert_ldm_unet_checkpoint(of_checkpoint, dict(unet.config)), assign=True)
    net.load_state_dict(to_diffusers(net_weights, spec.num_res_blocks), assign=True)
    return unet.eval().to(device), net.eval().to(device)


@dataclass(frozen=True, kw_only=True)
class Diffusers:
    """Steps as StableDiffusionControlNetPipeline makes them, at the latent and prompt of one call."""

    unet: nn.Module
    net: nn.Module
    clock: Clock
    call: Callable[[], UNetCall]
    images: Sequence[Tensor]  # [1, 3, H, W]
    steps: int

    def rows(self, n: int, like: str) -> list[Row]:
        """n nets, and n nets in `guess_mode`, which has a rule of its own and equals nobody."""
        return [
            Row(name=f"diffusers {n}", family="diffusers", nets=n, run=lambda: self._run(n, False), like=like),
            Row(name=f"diffusers {n} guess", family="diffusers", nets=n, run=lambda: self._run(n, True)),
        ]

    def _run(self, n: int, guess: bool) -> Tensor:
        from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

        control = self.net if n == 1 else MultiControlNetModel([self.net] * n)
        for _ in range(self.steps):
            noise = self._step(control, n, guess)
        return noise

    def _step(self, control: nn.Module, n: int, guess: bool) -> Tensor:
        call = self.call()
        order = call.negative_first
        x, t, context = call.x[order], call.t[order], call.context[order]
        rows = slice(x.shape[0] // 2, None) if guess else slice(None)
        hints = [image.to(x).repeat(x[rows].shape[0], 1, 1, 1) for image in self.images[:n]]
        with self.clock.step():
            with self.clock.part("control"):
                skips, middle = control(
                    x[rows],
                    t[0],
                    encoder_hidden_states=context[rows],
                    controlnet_cond=hints[0] if n == 1 else hints,
                    conditioning_scale=1.0 if n == 1 else [1.0] * n,
                    guess_mode=guess,
                    return_dict=False,
                )
                if guess:
                    skips = [torch.cat([torch.zeros_like(skip), skip]) for skip in skips]
                    middle = torch.cat([torch.zeros_like(middle), middle])
            with self.clock.part("unet"):
                noise = self.unet(
                    x,
                    t[0],
                    encoder_hidden_states=context,
                    down_block_additional_residuals=skips,
                    mid_block_additional_residual=middle,
                    return_dict=False,
                )[0]
        back = torch.empty_like(noise)
        back[order] = noise
        return back
