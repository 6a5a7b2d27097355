"""Every sampler, every scheduler and every node that patches a MODEL: our Apply against ComfyUI's own, to the bit.

    COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> -m benchmarks.sweep [--only samplers] [--steps 4]

That Python needs tyro: `pip install tyro`.

On a thin random SD 1.5 model with CFG the same graph is sampled twice, with Apply ControlNet of ComfyUI on both prompts
and with Apply ControlNets to Model, in the window 0.2 to 0.7, or without one where none of the steps lies in it.
Recorded is the largest difference of the latents, beside what the control itself changes. A node that patches a MODEL
is found by its sockets (one MODEL in, MODEL out, all else with a default), set to its defaults and put before Apply and
behind it. Nodes that fail without any control are listed with their error; `LEFT_OUT` says what is not tried and why.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.importing import from_tests, mock_missing
from benchmarks.machine import RESULTS, ROOT, checkout, conditions, write
from benchmarks.options import read_options

Window = tuple[float, float]

WINDOWS = ((0.2, 0.7), (0.0, 1.0))
LEFT_OUT = {
    "dpm_adaptive": "chooses its steps by the picture",
    "TorchCompileModel": "compiles for minutes on a CPU",
}
NET_FILE = "sweep.safetensors"
KINDS = ("samplers", "schedulers", "patches")

Graph = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Options:
    """only: one of samplers, schedulers, patches; empty: all. name: of one row; empty: all. steps: of a run."""

    only: str = ""
    name: str = ""
    steps: int = 4
    out: Path = RESULTS / "sweep.json"


class Sweep:
    """Graphs on one random model in a booted host that has loaded our pack."""

    def __init__(self, host: Any, steps: int) -> None:
        weights = from_tests("random_weights")
        graphs = from_tests("host/host_graphs")
        self._controls = from_tests("host/control_graphs")
        models = from_tests("host/host_models")
        self.host = host
        self.node = graphs.node
        weights.save_controlnet_file(host.base / "models" / "controlnet" / NET_FILE, "thin")
        model = host.give(models.cut_model("thin"))
        positive, negative = (host.give(models.random_conditioning("thin", seed=seed)) for seed in (1, 2))

        def graph(**options: Any) -> Graph:
            return dict(graphs.sample(model, positive, negative, **{"steps": steps, **options}))

        self.graph = graph
        self._image = host.give(self._controls.picture())

    def theirs(self, graph: Graph, window: Window) -> Graph:
        net = self.node("ControlNetLoader", control_net_name=NET_FILE)
        ends = {"start_percent": window[0], "end_percent": window[1]}
        return dict(self._controls.with_host_control(graph, net, self._image, **ends))

    def ours(self, graph: Graph, window: Window) -> Graph:
        net = self.node("ZeroctlLoadControlNet", control_net_name=NET_FILE)
        return dict(self._controls.with_our_control(graph, net, self._image, start=window[0], end=window[1]))

    def patched(self, graph: Graph, class_type: str) -> Graph:
        """The graph with the node, at its defaults, before the MODEL input of its sampler."""
        sampler = graph["sampler"]["inputs"]
        inputs = {**_defaults(self.host.nodes.NODE_CLASS_MAPPINGS[class_type]), _model_input(self.host, class_type): 0}
        inputs[_model_input(self.host, class_type)] = sampler["model"]
        patch = self.node(class_type, **inputs)
        return {**graph, "patch": patch, "sampler": {**graph["sampler"], "inputs": {**sampler, "model": ["patch", 0]}}}

    def latents(self, graph: Graph) -> torch.Tensor:
        torch.manual_seed(0)  # some patches draw
        with torch.inference_mode():
            latents: torch.Tensor = self._controls.latents(self.host, graph)
        return latents

    def row(self, name: str, graph: Graph, *ours: Callable[[Window], Graph]) -> dict[str, Any]:
        """The largest difference of our graphs from ComfyUI's Apply on this one, in the first window with an effect."""
        try:
            without = self.latents(graph)
        except Exception as error:  # the node itself, whatever it is, and not what is compared
            return {"name": name, "error": str(error).splitlines()[0][:200]}
        row: dict[str, Any] = {}
        for window in WINDOWS:
            theirs = self.latents(self.theirs(graph, window))
            difference = max(_largest(theirs, self.latents(make(window))) for make in ours)
            row = {"name": name, "difference": difference, "control": _largest(without, theirs), "window": window}
            if row["control"]:
                break
        return row


def _largest(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def _model_input(host: Any, class_type: str) -> str:
    """The only required input of type MODEL."""
    required = host.nodes.NODE_CLASS_MAPPINGS[class_type].INPUT_TYPES()["required"]
    (name,) = [name for name, spec in required.items() if spec[0] == "MODEL"]
    return str(name)


def _defaults(node_class: Any) -> dict[str, Any]:
    """The defaults of a node's required widgets. Raises `KeyError` for an input that has none."""
    values = {}
    for name, spec in node_class.INPUT_TYPES()["required"].items():
        kind, options = spec[0], spec[1] if len(spec) > 1 else {}
        if kind == "MODEL":
            continue
        choices = kind if isinstance(kind, list) else options.get("options", ())
        values[name] = options["default"] if "default" in options else choices[0] if choices else options["default"]
    return values


def patches(host: Any) -> Iterator[str]:
    """The nodes with one MODEL as input, a MODEL as first output and defaults for all else, by name."""
    for name, node_class in sorted(host.nodes.NODE_CLASS_MAPPINGS.items()):
        if name.startswith("Zeroctl") or tuple(getattr(node_class, "RETURN_TYPES", ()))[:1] != ("MODEL",):
            continue
        try:
            required = node_class.INPUT_TYPES()["required"]
            _defaults(node_class)
        except KeyError:
            continue
        if sum(spec[0] == "MODEL" for spec in required.values()) == 1:
            yield name


def rows(sweep: Sweep, kind: str, only: str = "") -> Iterator[dict[str, Any]]:
    """One row a sampler, scheduler or patch."""
    import comfy.samplers

    names = {
        "samplers": comfy.samplers.SAMPLER_NAMES,
        "schedulers": comfy.samplers.SCHEDULER_NAMES,
        "patches": patches(sweep.host),
    }[kind]
    for name in names:
        if name in LEFT_OUT or only not in ("", name):
            continue
        if kind == "patches":
            yield _patch_row(sweep, name)
        else:
            graph = sweep.graph(**{kind.removesuffix("s"): name})
            yield sweep.row(name, graph, lambda window, graph=graph: sweep.ours(graph, window))


def _patch_row(sweep: Sweep, name: str) -> dict[str, Any]:
    """The node before Apply, and behind it."""
    graph = sweep.graph()
    return sweep.row(
        name,
        sweep.patched(graph, name),
        lambda window: sweep.ours(sweep.patched(graph, name), window),
        lambda window: sweep.patched(sweep.ours(graph, window), name),
    )


def main() -> None:
    options = read_options(Options, "sweep", __doc__)
    if options.only and options.only not in KINDS:
        sys.exit(f"error: --only is {options.only!r}, expected one of {', '.join(KINDS)}")
    folder, facts = checkout(), conditions(checkout())
    torch.set_num_threads(1)  # the order of a sum must not depend on who has time
    mock_missing("av")  # for videos
    with tempfile.TemporaryDirectory() as base:
        host = from_tests("host/host_process").boot(folder, Path(base))
        host.load_pack(ROOT)
        sweep = Sweep(host, options.steps)
        results: dict[str, list[dict[str, Any]]] = {}
        for kind in [options.only] if options.only else KINDS:
            results[kind] = []
            for row in rows(sweep, kind, options.name):
                print(kind, *row.values(), flush=True)
                results[kind].append(row)
            write(
                options.out,
                {"benchmark": "sweep", **facts, "steps": options.steps, "left_out": LEFT_OUT, "rows": results},
            )


if __name__ == "__main__":
    main()
