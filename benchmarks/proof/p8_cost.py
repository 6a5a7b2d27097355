"""P8. What a training step costs: time and memory against finetuning the base, and against the naive graph (the paper,
section 4: +34 % time and +23 % memory against training Stable Diffusion itself).

Time is measured on the embedded model, steps of the three ways taking turns. Memory is counted: weights, gradients,
AdamW's two moments, and the bytes that autograd keeps for the backward pass. The arithmetic of Stable Diffusion 1.5
itself is counted on the meta device, for one sample of 512x512 pixels.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.proof.record import Proof
from zeroctl_core import BASES, ControlNet, UNet

WAYS = ("finetune the base", "naive graph", "locked")


def step_of(way: str, unet: UNet, net: ControlNet, x: Tensor, t: Tensor, context: Tensor, image: Tensor) -> Tensor:
    """The loss of one step. Naive: the locked encoder is in the graph, and all weights of the base get gradients."""
    if way == "finetune the base":
        return (unet(x, t, context) - x).square().mean()
    if way == "naive graph":
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
    """Bytes of all different storages that autograd keeps for the backward pass, weights apart."""
    weights = {p.untyped_storage().data_ptr() for module in modules for p in module.parameters()}
    sizes: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in weights:
            sizes[storage.data_ptr()] = storage.nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        result = loss()  # alive until the sum is taken: memory that is freed would be counted again
        total = sum(sizes.values())
    del result
    return total


def networks(base: str, way: str, device: str = "cpu") -> tuple[UNet, ControlNet]:
    unet = UNet(BASES[base], device=device)
    net = ControlNet(unet.base, device=device)
    unet.requires_grad_(way != "locked")
    return unet, net


def main() -> None:
    proof = Proof("p8_cost", "A locked base costs less than finetuning it.", rounds=12, batch=16)
    results: dict[str, dict[str, float]] = {}
    ready = {}
    for way in WAYS:
        torch.manual_seed(0)
        unet, net = networks("tiny", way)
        modules = {"finetune the base": [unet], "naive graph": [net], "locked": [net]}[way]
        parameters = [p for module in modules for p in module.parameters()]
        optimiser = torch.optim.AdamW(parameters, lr=1e-5, foreach=True)
        ready[way] = (unet, net, parameters, optimiser)
    arrays = inputs("tiny", proof.options.batch, 16, 12)
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for turn in range(proof.options.rounds + 1):
        for way, (unet, net, _, optimiser) in ready.items():
            began = time.perf_counter()
            step_of(way, unet, net, *arrays).backward()
            optimiser.step()
            # the released trainer never clears the base's gradients; here they are freed, which is kinder to it
            for module in (unet, net):
                module.zero_grad(set_to_none=True)
            if turn:  # the first round warms up
                times[way].append(time.perf_counter() - began)
    for way, (unet, net, parameters, _) in ready.items():
        n_bytes = kept_bytes(lambda: step_of(way, unet, net, *arrays), unet, net)  # noqa: B023
        nets = [unet] if way == "finetune the base" else [unet, net]
        weights = sum(p.numel() for module in nets for p in module.parameters()) * 4
        gradients = sum(p.numel() for module in nets for p in module.parameters() if p.requires_grad) * 4
        moments = 2 * sum(p.numel() for p in parameters) * 4
        results[way] = {
            "seconds_a_step": round(statistics.median(times[way]), 4),
            "seconds_spread": round(max(times[way]) - min(times[way]), 4),
            "static_mb": round((weights + gradients + moments) / 1e6, 2),
            "kept_for_backward_mb": round(n_bytes / 1e6, 2),
        }
    for way in WAYS:  # Stable Diffusion 1.5 by arithmetic alone
        unet, net = networks("sd15", way, "meta")
        with FlopCounterMode(display=False) as counter:
            step_of(way, unet, net, *inputs("sd15", 1, 64, 77, "meta")).backward()
        results[way]["sd15_gflop_a_step"] = round(counter.get_total_flops() / 1e9)
    base = results["finetune the base"]
    for way in WAYS:
        result = results[way]
        result["time_ratio"] = round(result["seconds_a_step"] / base["seconds_a_step"], 3)
        total = result["static_mb"] + result["kept_for_backward_mb"]
        result["memory_ratio"] = round(total / (base["static_mb"] + base["kept_for_backward_mb"]), 3)
        result["sd15_flop_ratio"] = round(result["sd15_gflop_a_step"] / base["sd15_gflop_a_step"], 3)
        print(f"{way}: {result}")

    def draw(axes: Any) -> None:
        labels = ("time_ratio", "memory_ratio", "sd15_flop_ratio")
        for n, way in enumerate(WAYS):
            axes.bar([k + 0.27 * (n - 1) for k in range(3)], [results[way][label] for label in labels], 0.25, label=way)
        axes.axhline(1.34, color="grey", linestyle=":", label="the paper's time, 1.34")
        axes.axhline(1.23, color="grey", linestyle="--", label="the paper's memory, 1.23")
        axes.set_xticks(range(3), ("time,\nembedded model", "memory,\nembedded model", "arithmetic,\nSD 1.5, 512x512"))
        axes.set_ylabel("against finetuning the base")
        axes.legend(fontsize=8)

    proof.curves(draw)
    ours = results["locked"]
    proof.write(
        results,
        f"locked against finetuning: time {ours['time_ratio']}, memory {ours['memory_ratio']}, arithmetic of SD 1.5 "
        f"{ours['sd15_flop_ratio']}",
    )


if __name__ == "__main__":
    main()
