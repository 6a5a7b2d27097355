"""The host's own Apply, Advanced-ControlNet and ours inside a booted host, and diffusers on the host's tensors."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.importing import from_tests, mock_missing
from benchmarks.injection.clock import Clock
from benchmarks.injection.peers.diffusers import Diffusers, UNetCall, networks
from benchmarks.injection.rows import Row, relative_difference
from benchmarks.machine import ROOT

ACN_APPLY = "ACN_AdvancedControlNetApply_v2"
OURS = (
    ("nodes.host.hook.calls", "Calls", "control", "control"),
    ("nodes.host.control_net", "NetInHost", "encode", "encode"),
)
"""What is timed of ours: module, class and method, and the part of a step that it is."""
NET_FILE = "bench.safetensors"

Graph = dict[str, dict[str, Any]]


def boot(checkout: Path, base: Path, packs: list[Path]) -> Any:
    """The host of a checkout in this process, with these packs; its files go below `base`."""
    mock_missing("av")  # for videos
    host = from_tests("host/host_process").boot(checkout, base)
    for pack in packs:
        host.load_pack(pack)
    return host


class HostBench:
    """A base model and a ControlNet with random weights in a booted host that has loaded our pack.

    spec: of the tests' random weights. size: of the picture in pixels. steps: of a run. batch: latents of a run.
    """

    def __init__(self, host: Any, spec: Any, *, size: int, steps: int, batch: int, dtype: torch.dtype) -> None:
        import comfy.model_management

        # in this order, as each imports those before it by their bare names
        weights = from_tests("random_weights")
        graphs = from_tests("host/host_graphs")
        self._controls = from_tests("host/control_graphs")
        random_conditioning = from_tests("host/host_models").random_conditioning
        self.host = host
        self._spec = spec
        self._steps = steps
        self._node = graphs.node
        self._device = comfy.model_management.get_torch_device()
        self.clock = Clock(self._device.type == "cuda")
        self.model = _model(weights.random_unet(spec, dtype=dtype), dtype)
        self._unet = self.model.model.diffusion_model
        self._call: UNetCall | None = None
        self._noise: dict[str, Tensor] = {}  # the UNet's last output, by row
        weights.save_controlnet_file(host.base / "models" / "controlnet" / NET_FILE, spec, dtype=dtype)
        self._graph = graphs.sample(
            host.give(self.model),
            host.give(random_conditioning(spec, seed=1)),
            host.give(random_conditioning(spec, seed=2)),
            size=size,
            steps=steps,
            batch=batch,
        )
        self._pictures = [self._controls.picture(size, size, seed=i) for i in range(3)]
        self._images = [host.give(image) for image in self._pictures]

    def rows(self, families: list[str], numbers: list[int]) -> list[Row]:
        """Neighbours are what is compared most closely."""
        self._watch()
        makers: dict[str, Callable[[int], list[Row]]] = {}
        theirs = self._load("ControlNetLoader", control_net_name=NET_FILE)
        if "host" in families:
            makers["host"] = lambda n: [
                self._row("host", n, self._on_conditioning(theirs, n, True)),
                self._row("host", n, self._on_conditioning(theirs, n, False), "positive"),
            ]
        if "acn" in families:
            advanced = self._load("ACN_ControlNetLoaderAdvanced", cnet=NET_FILE)
            advanced.control_model.load_state_dict(theirs.control_model.state_dict(), assign=True)  # 1.45 GB less
            self.clock.watch(type(advanced), "get_control_inject", "control")  # what its objects bind as get_control

            def acn(n: int, negative: bool) -> Graph:
                return self._on_conditioning(advanced, n, negative, ACN_APPLY)

            makers["acn"] = lambda n: [
                self._row("acn", n, acn(n, True), like=f"host {n}"),
                self._row("acn", n, acn(n, False), "positive", like=f"host {n} positive"),
            ]
        if "ours" in families:
            ours = _sharing(self._load("ZeroctlLoadControlNet", control_net_name=NET_FILE), max(numbers))
            makers["ours"] = lambda n: [
                self._row("ours", n, self._on_model(ours[:n], "both"), like=f"host {n}"),
                self._row("ours", n, self._on_model(ours[:n], "cond"), "cond", like=f"host {n} positive"),
            ]
        if "diffusers" in families:
            makers["diffusers"] = lambda n: self._diffusers(theirs).rows(n, f"host {n}")
        rows = [self._row("base", 0, self._graph)]
        for n in numbers:
            rows += [row for family in families for row in makers[family](n)]
        return rows

    def _watch(self) -> None:
        import comfy.controlnet
        import comfy.samplers
        import comfy.utils

        comfy.utils.set_progress_bar_enabled(False)
        pack = self.host.pack_module(ROOT).__name__
        self.clock.watch(comfy.samplers, "calc_cond_batch", "step")
        self.clock.watch(self._unet, "forward", "unet")
        self.clock.watch(comfy.controlnet.ControlNet, "get_control", "control")
        for module, owner, function, part in OURS:
            self.clock.watch(getattr(sys.modules[f"{pack}.{module}"], owner), function, part)

    def _load(self, loader: str, **inputs: str) -> Any:
        return self.host.run({"net": self._node(loader, **inputs)}, keep={"net": ["net", 0]})["net"]

    def _row(self, family: str, n: int, graph: Graph, variant: str = "", like: str | None = None) -> Row:
        def run() -> Tensor:
            latent: Tensor = self.host.run(graph, keep={"latent": ["sampler", 0]})["latent"]["samples"]
            return latent

        name = " ".join(part for part in (family, str(n) if n else "", variant) if part)
        return Row(name=name, family=family, nets=n, run=run, like=like)

    def _on_conditioning(self, net: Any, n: int, negative: bool, apply: str = "ControlNetApplyAdvanced") -> Graph:
        graph, net_node = self._graph, self.host.give(net)
        for i in range(n):
            graph = self._controls.with_host_control(graph, net_node, self._images[i], negative, name=f"c{i}")
            graph[f"c{i}"]["class_type"] = apply
        return graph

    def _on_model(self, nets: list[Any], branches: str) -> Graph:
        graph = self._graph
        for i, net in enumerate(nets):
            before = {"stack": [f"c{i - 1} control", 0]} if i else {}
            graph = self._controls.with_our_control(
                graph, self.host.give(net), self._images[i], name=f"c{i}", branches=branches, **before
            )
            graph[f"c{i}"]["inputs"]["model"] = ["model", 0]
        return graph

    def _diffusers(self, theirs: Any) -> Diffusers:
        def call() -> UNetCall:
            assert self._call is not None  # the base row runs first
            return self._call

        if not hasattr(self, "_networks"):
            unet, net = self._unet.state_dict(), theirs.control_model.state_dict()
            self._networks = networks(self._spec, unet, net, self._device)  # on the CPU the tensors stay the host's
        images = [image.movedim(-1, 1) for image in self._pictures]
        unet, net = self._networks
        return Diffusers(unet=unet, net=net, clock=self.clock, call=call, images=images, steps=self._steps)

    def compare(self, rows: list[Row]) -> dict[str, float]:
        """Run every row once, which warms it up; the relative difference of each from the row that it must equal."""
        results: dict[str, Tensor] = {}
        differences: dict[str, float] = {}
        for row in rows:
            with self._recorded(row):
                results[row.name] = row.run()
            outputs = self._noise if row.family == "diffusers" else results
            if row.like in outputs:
                differences[row.name] = relative_difference(outputs[row.name], outputs[row.like])
        return differences

    @contextmanager
    def _recorded(self, row: Row) -> Iterator[None]:
        """Record what the host's UNet is called with without control, and its output."""
        if row.family == "diffusers":
            yield
            self._noise[row.name] = row.run()
            return

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], noise: Tensor) -> None:
            if row.family == "base" and self._call is None:
                chunks = tuple(kwargs["transformer_options"]["cond_or_uncond"])
                self._call = UNetCall(args[0], args[1], kwargs["context"], chunks)
            self._noise.setdefault(row.name, noise)

        handle = self._unet.register_forward_hook(record, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


def _model(weights: dict[str, Tensor], dtype: torch.dtype) -> Any:
    """A MODEL of the host's own class with a random UNet, whose weights are not held twice."""
    import comfy.model_detection
    import comfy.model_management
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    config = comfy.supported_models.SD15(comfy.model_detection.detect_unet_config(weights, ""))
    config.set_inference_dtype(dtype, None)
    model = config.get_model(weights, "")
    model.diffusion_model.load_state_dict(weights, assign=True)
    return ModelPatcher(
        model.eval(),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )


def _sharing(control_net: Any, n: int) -> list[Any]:
    """n CONTROL_NETs of ours with networks of their own on the same weights."""
    weights = {id(tensor): tensor for tensor in control_net.control_model.parameters()}
    nets = [control_net]
    for _ in range(n - 1):
        other = control_net.copy()
        other.control_model = copy.deepcopy(control_net.control_model, dict(weights))
        other.control_model_wrapped = type(control_net.control_model_wrapped)(
            other.control_model,
            load_device=control_net.load_device,
            offload_device=control_net.control_model_wrapped.offload_device,
        )
        nets.append(other)
    return nets
