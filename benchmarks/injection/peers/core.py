"""Ours without a host: the core's UNet and its stack, called as the hook calls them; diffusers on the same tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from benchmarks.injection.clock import Clock
from benchmarks.injection.peers.diffusers import Diffusers, UNetCall, networks
from benchmarks.injection.rows import Row, relative_difference
from benchmarks.random_networks import control_of, control_weights, unet_of, unet_weights
from zeroctl_core import ControlNet, ControlStack, ControlUnit, Rows, Run
from zeroctl_core.control.rows import Branches
from zeroctl_core.network.noise_levels import sd_percent_to_sigma, sd_sigma

TIMESTEP = 500.0
"""Of every step: what a step costs does not depend on it."""


class CoreBench:
    """A base model and a ControlNet with random weights on one device.

    spec: of the tests' random weights. size: of the picture in pixels. steps: of a run. batch: latents of a run; a
    call has twice as many rows, the negative half first.
    """

    def __init__(
        self, spec: Any, *, size: int, steps: int, batch: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._spec = spec
        self._steps, self._device = steps, device
        self._unet_weights = unet_weights(spec, dtype, device)
        self._net_weights = control_weights(spec, dtype, device)
        self.clock = Clock(device.type == "cuda")
        self._unet = unet_of(self._unet_weights)
        cells = size // 8
        generator = torch.Generator().manual_seed(0)

        def noise(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(device, dtype)

        t = torch.full((2 * batch,), TIMESTEP, device=device)
        context = noise(2, 77, self._spec.context_dim).repeat_interleave(batch, dim=0)
        x = noise(batch, 4, cells, cells).repeat(2, 1, 1, 1)
        self._call = UNetCall(x, t, context, (1, 0))
        self._images = [torch.rand(1, 3, size, size, generator=generator).to(device, dtype) for _ in range(3)]
        self._rows = Rows(("uncond",) * batch + ("cond",) * batch, tuple(range(batch)) * 2, (None,) * (2 * batch))

    def rows(self, families: list[str], numbers: list[int]) -> list[Row]:
        """The base without control, then ours and diffusers, as far as `families` has them."""
        rows = [Row(name="base", family="base", nets=0, run=lambda: self._run(None))]
        nets = self._nets(max(numbers)) if "ours" in families else []
        peer = self._diffusers() if "diffusers" in families else None
        for n in numbers:
            if nets:
                rows += [self._ours(nets[:n], "both"), self._ours(nets[:n], "cond")]
            if peer is not None:
                rows += peer.rows(n, f"ours {n}")
        return rows

    def compare(self, rows: list[Row]) -> dict[str, float]:
        """Run every row once, which warms it up; the relative difference of each from the row that it must equal."""
        results: dict[str, Tensor] = {}
        differences: dict[str, float] = {}
        for row in rows:
            results[row.name] = row.run()
            if row.like in results:
                differences[row.name] = relative_difference(results[row.name], results[row.like])
        return differences

    def _nets(self, n: int) -> list[ControlNet]:
        """n networks on the same tensors; the stack would notice one network in several units."""
        nets = []
        for _ in range(n):
            net = control_of(self._unet.base, self._net_weights)
            self.clock.watch(net, "encode", "encode")
            nets.append(net)
        return nets

    def _ours(self, nets: list[ControlNet], branches: Branches) -> Row:
        units = [ControlUnit(net, image, branches=branches) for net, image in zip(nets, self._images, strict=False)]
        stack = ControlStack(units)
        name = f"ours {len(nets)}" + (" cond" if branches == "cond" else "")
        return Row(name=name, family="ours", nets=len(nets), run=lambda: self._run(stack))

    def _run(self, stack: ControlStack | None) -> Tensor:
        """One sampling run at one latent; the prediction of the last step."""
        run = Run(sd_percent_to_sigma, [sd_sigma(TIMESTEP), 0.0])
        call = self._call
        for _ in range(self._steps):
            with self.clock.step():
                residuals = None
                if stack is not None:
                    with self.clock.part("control"):
                        residuals = stack(call.x, call.t, call.context, run=run, rows=self._rows)
                with self.clock.part("unet"):
                    noise = self._unet(call.x, call.t, call.context, residuals=residuals)
        return noise

    def _diffusers(self) -> Diffusers:
        unet, net = networks(self._spec, self._unet_weights, self._net_weights, self._device)
        return Diffusers(
            unet=unet,
            net=net,
            clock=self.clock,
            call=lambda: self._call,
            images=self._images,
            steps=self._steps,
        )
