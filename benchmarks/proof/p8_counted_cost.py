"""P8. What a training step of Stable Diffusion 1.5 costs, counted: a control on a locked base against finetuning the
base, and against the naive graph (the paper, section 4: +34 % time and +23 % memory against training Stable Diffusion).

Counted on the meta device for one sample of 512x512 pixels in float32: floating-point operations forward and backward;
weights, gradients, AdamW's two moments, and the bytes that autograd keeps for the backward pass, the matrices of the
attention among them. The embedded model's step is timed too, outside of the criterion: it is narrow, and its
condition encoder works at the size of the picture.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.criterion import Figure, at_most
from benchmarks.proof.record import Common, Proof
from zeroctl_core import BASES, ControlNet, UNet

WAYS = ("finetune the base", "naive graph", "locked")
FINETUNE, NAIVE, LOCKED = WAYS
TIME, MEMORY = 1.34, 1.23  # the paper's, against training Stable Diffusion
CLAIM = (
    "Counted at the size of Stable Diffusion 1.5, a step of a control on a locked base costs no more, against "
    "finetuning the base, than the paper measured"
)
CRITERION = (
    f"against finetuning the base: at most {TIME:g} times the operations (the paper's time), and at most {MEMORY:g} "
    "times the memory"
)


@dataclass(frozen=True, kw_only=True)
class Options(Common):
    rounds: int = 12
    """steps of the embedded model that are timed of each way and seed, the ways taking turns"""
    batch: int = 16
    """samples of a step that is timed"""


def step_of(way: str, unet: UNet, net: ControlNet, x: Tensor, t: Tensor, context: Tensor, image: Tensor) -> Tensor:
    """The loss of one step. Naive: the locked encoder is in the graph, and all weights of the base get gradients."""
    if way == FINETUNE:
        return (unet(x, t, context) - x).square().mean()
    if way == NAIVE:
        residuals = net(x, t, context, feature=net.encode(image))
        return (unet(x, t, context, residuals=residuals) - x).square().mean()
    with torch.no_grad():
        emb, maps = unet.encode(x, t, context)
    residuals = net(x, t, context, feature=net.encode(image))
    return (unet.decode(emb, maps, context, residuals) - x).square().mean()


def inputs(base: str, batch: int, cells: int, tokens: int, device: str = "cpu") -> tuple[Tensor, ...]:
    width = BASES[base].spec.context_dim
    return (
        torch.randn(batch, 4, cells, cells, device=device),
        torch.full((batch,), 500.0, device=device),
        torch.randn(batch, tokens, width, device=device),
        torch.rand(batch, 3, 8 * cells, 8 * cells, device=device),
    )


def kept_bytes(loss: Callable[[], Tensor], *modules: nn.Module) -> int:
    """Bytes of all different storages that autograd keeps for the backward pass, weights apart; also on meta, where
    storages have no address."""
    weights = {p.untyped_storage()._cdata for module in modules for p in module.parameters()}
    sizes: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in weights:
            sizes[storage._cdata] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = loss()  # alive until the sum is taken: memory that is freed would be counted again
        total = sum(sizes.values())
    del result
    return total


def networks(base: str, way: str, device: str = "cpu") -> tuple[UNet, ControlNet]:
    unet = UNet(BASES[base], device=device)
    net = ControlNet(unet.base, device=device)
    unet.requires_grad_(way != LOCKED)
    return unet, net


def weights_of(way: str, unet: UNet, net: ControlNet) -> list[nn.Parameter]:
    """What the optimiser moves."""
    return list(unet.parameters() if way == FINETUNE else net.parameters())


def static_bytes(way: str, unet: UNet, net: ControlNet) -> int:
    """Weights, gradients and AdamW's two moments, float32."""
    parameters = [p for module in ([unet] if way == FINETUNE else [unet, net]) for p in module.parameters()]
    gradients = sum(p.numel() for p in parameters if p.requires_grad)
    return 4 * (sum(p.numel() for p in parameters) + gradients + 2 * sum(p.numel() for p in weights_of(way, unet, net)))


def counted(way: str) -> dict[str, float]:
    """Of Stable Diffusion 1.5, by arithmetic alone."""
    unet, net = networks("sd15", way, "meta")
    arrays = inputs("sd15", 1, 64, 77, "meta")
    with FlopCounterMode(display=False) as counter:
        step_of(way, unet, net, *arrays).backward()
    saved_for_backward = kept_bytes(lambda: step_of(way, unet, net, *arrays), unet, net)
    static = static_bytes(way, unet, net)
    return {
        "gflop": counter.get_total_flops() / 1e9,
        "static_gb": static / 1e9,
        "kept_for_backward_gb": saved_for_backward / 1e9,
        "memory_gb": (static + saved_for_backward) / 1e9,
    }


def timed(seed: int, options: Options) -> dict[str, float]:
    """The median seconds of a step of the embedded model, by way; the first round warms up."""
    torch.manual_seed(seed)
    arrays = inputs("tiny", options.batch, 16, 16)
    ready = {}
    for way in WAYS:
        unet, net = networks("tiny", way)
        ready[way] = unet, net, torch.optim.AdamW(weights_of(way, unet, net), lr=1e-5, foreach=True)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(options.rounds + 1):
        for way, (unet, net, optimiser) in ready.items():
            began = time.perf_counter()
            step_of(way, unet, net, *arrays).backward()
            optimiser.step()
            # the released trainer never clears the base's gradients; here they are freed, which is kinder to it
            for module in (unet, net):
                module.zero_grad(set_to_none=True)
            if turn:
                times[way].append(time.perf_counter() - began)
    return {way: statistics.median(some) for way, some in times.items()}


def main() -> None:
    proof = Proof("p8_counted_cost", Options, claim=CLAIM, criterion=CRITERION)
    counts = {way: counted(way) for way in WAYS}
    proof.say("counted")
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    for seed in proof.seeds:
        for way, value in timed(seed, proof.options).items():
            seconds[way].append(value)
        proof.say(f"seed {seed}: " + ", ".join(f"{way} {some[-1]:.3f} s" for way, some in seconds.items()))

    def ratio(way: str, key: str) -> Figure:
        """Counts are the same for every seed."""
        return Figure.of([counts[way][key] / counts[FINETUNE][key]] * len(proof.seeds))

    clock = {way: Figure.of(some) / Figure.of(seconds[FINETUNE]) for way, some in seconds.items()}
    proof.conclude(
        [
            at_most("operations over those of finetuning", ratio(LOCKED, "gflop"), TIME),
            at_most("memory over that of finetuning", ratio(LOCKED, "memory_gb"), MEMORY),
        ],
        f"against finetuning SD 1.5: {ratio(LOCKED, 'gflop').mean:.2f} times the operations and "
        f"{ratio(LOCKED, 'memory_gb').mean:.2f} times the memory, the naive graph {ratio(NAIVE, 'gflop').mean:.2f} and "
        f"{ratio(NAIVE, 'memory_gb').mean:.2f}; the embedded model's step takes {clock[LOCKED]} times the time",
    )

    def draw(axes: Any) -> None:
        for n, way in enumerate(WAYS):
            bars = [ratio(way, "gflop"), ratio(way, "memory_gb"), clock[way]]
            places = [k + 0.27 * (n - 1) for k in range(3)]
            axes.bar(places, [f.mean for f in bars], 0.25, yerr=[f.error or 0 for f in bars], capsize=3, label=way)
        axes.axhline(TIME, color="grey", linestyle=":", label=f"the paper's time, {TIME:g}")
        axes.axhline(MEMORY, color="grey", linestyle="--", label=f"the paper's memory, {MEMORY:g}")
        axes.set_xticks(
            range(3), ("operations, SD 1.5,\ncounted", "memory, SD 1.5,\ncounted", "embedded model,\ntimed")
        )
        axes.set_ylabel("against finetuning the base")
        axes.legend(fontsize=8)

    proof.curves(draw)
    proof.write(
        {
            "stable_diffusion_1_5_counted": counts,
            "embedded_model_seconds_a_step": {way: Figure.of(some) for way, some in seconds.items()},
            "embedded_model_time_over_finetuning": clock,
        }
    )


if __name__ == "__main__":
    main()
