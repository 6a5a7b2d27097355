"""What a ControlNet costs a sampling step: ours, the host's own Apply, diffusers and Advanced-ControlNet in one run.

    COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> benchmarks/injection.py [--pairs 10] [--size 256]

Stable Diffusion 1.5 at full size with random weights (UNet 859 M, ControlNet 361 M parameters), euler, CFG 7, batch 1,
both conds in one batch. The same latent, prompt and condition images for everybody. All use torch's
scaled_dot_product_attention (the host is started with --use-pytorch-cross-attention).

Configurations take turns within a round, and `--pairs` rounds are measured after one that is not, so a slow minute of
the machine meets all of them; where a round starts moves on. 10 rounds at 256 pixels want about 15 minutes of two idle
cores and 8 GB. Every figure is the median over rounds, with its extremes.
Python's garbage collector runs between rows and not within.

On the CPU (float32) a round is one step of the sampler, and the figure is the CPU time of the control over the CPU
time of the UNet in the same step, so neither the clock rate nor other work on the machine moves it much; on a machine
that is busy all the same use `--threads 1`, as threads that wait for one another burn CPU time. The control is
`SamplingRun.control` for ours, `get_control` for the host and Advanced-ControlNet, the ControlNet's forward for
diffusers. Ours encodes the condition image on the first step of a run only, everybody else on every step. Column
"control / unet" is a step that is not the first, "first step" holds the encoding; both come from the one step, whose
encoding is timed. "the rest" is what the step takes beside the two, over the UNet's time.

On a GPU (float16) a round is `--steps` steps, and the figure is wall time of a step over that of a step without
control: the median of the steps after the first, with a synchronisation around each. `--device cpu` measures the CPU
there.

Rows, each with 1 and 3 nets (`--nets`):
  host, acn          Apply on both conds; "positive": connected to the positive only, which splits the UNet's batch
  ours               both conds; "cond": branches cond, the UNet's batch is kept
  diffusers          ControlNetModel and UNet2DConditionModel called as its pipeline does; "guess": its guess_mode
The host, Advanced-ControlNet and diffusers run one network once for each of three condition images. Ours would notice
equal networks, so it gets three network objects (on the same weights) and runs three. Each loads the file with its own
loader; diffusers and Advanced-ControlNet are then given the host's tensors. Advanced-ControlNet is measured where
ZEROCTL_ACN is its folder.

Before measuring, the run checks that all compute the same: latents or noise predictions against the host's, as the norm
of the difference over the norm. guess_mode scales residuals by a rule of its own and is not compared.
"""

from __future__ import annotations

import argparse
import copy
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from machine import (
    RESULTS,
    ROOT,
    checkout,
    conditions,
    print_table,
    print_targets,
    spread,
    summary,
    target,
    with_tests_importable,
    write,
)
from torch import Tensor, nn

with_tests_importable()

from control_graphs import picture, with_host_control, with_our_control  # noqa: E402
from host_graphs import Graph, node, sample  # noqa: E402
from host_models import random_conditioning  # noqa: E402
from host_process import Host, boot  # noqa: E402
from random_weights import random_unet, save_controlnet_file, spec_of  # noqa: E402

FAMILIES = ("host", "ours", "diffusers", "acn")
ACN_APPLY = "ACN_AdvancedControlNetApply_v2"
SAME = 1e-5  # relative; larger differences mean that two rows do not compute the same


# ---- clocks


@dataclass
class Step:
    """Seconds of one step by part; `wall` beside the parts' own clock."""

    parts: dict[str, float] = field(default_factory=dict)
    wall: float = 0.0


class Clock:
    """Times parts of a step: CPU seconds of all threads, or wall seconds with the GPU's work done."""

    def __init__(self, cuda: bool) -> None:
        self._cuda = cuda
        self._running: set[str] = set()
        self.steps: list[Step] = []

    def now(self) -> float:
        if not self._cuda:
            return time.process_time()
        torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def step(self) -> Iterator[None]:
        self.steps.append(Step())
        wall = time.perf_counter()
        with self.part("step"):
            yield
        self.steps[-1].wall = time.perf_counter() - wall

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add to a part of the current step; a part inside itself (a chain of nets) counts once."""
        # on a GPU nothing inside a step waits for it, or the parts could not overlap
        if name in self._running or (self._cuda and name != "step"):
            yield
            return
        self._running.add(name)
        start = self.now()
        try:
            yield
        finally:
            self._running.discard(name)
            parts = self.steps[-1].parts
            parts[name] = parts.get(name, 0.0) + self.now() - start

    def watch(self, owner: Any, function: str, part: str) -> None:
        """Time every call of a method or function from now on."""
        original = getattr(owner, function)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.step() if part == "step" else self.part(part):
                return original(*args, **kwargs)

        setattr(owner, function, timed)


# ---- what is measured


@dataclass(frozen=True)
class Row:
    """One configuration. `run` makes the steps and returns what is compared; `like` names the row it must equal."""

    name: str
    family: str
    nets: int
    run: Callable[[], Tensor]
    like: str | None = None


@dataclass(frozen=True)
class UNetCall:
    """What the host called its UNet with in a step without control: x [2, 4, h, w], t [2], context [2, 77, 768].

    chunks: the host's cond_or_uncond, 0 for the positive cond.
    """

    x: Tensor
    t: Tensor
    context: Tensor
    chunks: tuple[int, ...]


class Bench:
    """The booted host, the nets and the rows."""

    def __init__(self, host: Host, arguments: argparse.Namespace, cuda: bool) -> None:
        self.host = host
        self.preset, self.size = arguments.preset, arguments.size
        self.clock = Clock(cuda)
        self.dtype = torch.float16 if cuda else torch.float32
        self.model = _model(self.preset, self.dtype)
        self._unet = self.model.model.diffusion_model
        self._call: UNetCall | None = None
        self._noise: dict[str, Tensor] = {}  # what the UNet said last, by row
        self._net_file = "bench.safetensors"
        save_controlnet_file(host.base / "models" / "controlnet" / self._net_file, self.preset, dtype=self.dtype)
        self._graph = sample(
            host.give(self.model),
            host.give(random_conditioning(self.preset, seed=1)),
            host.give(random_conditioning(self.preset, seed=2)),
            size=self.size,
            steps=arguments.steps,
        )
        self._pictures = [picture(self.size, self.size, seed=i) for i in range(3)]
        self._images = [host.give(image) for image in self._pictures]

    def rows(self, families: list[str], numbers: list[int]) -> list[Row]:
        """Neighbours are what is compared most closely."""
        self._watch()
        made: dict[str, Callable[[int], list[Row]]] = {}
        theirs = self._loaded("ControlNetLoader", control_net_name=self._net_file)
        if "host" in families:
            made["host"] = lambda n: [
                self._row("host", n, self._on_conditioning(theirs, n, True)),
                self._row("host", n, self._on_conditioning(theirs, n, False), "positive"),
            ]
        if "acn" in families:
            advanced = self._loaded("ACN_ControlNetLoaderAdvanced", cnet=self._net_file)
            advanced.control_model.load_state_dict(theirs.control_model.state_dict(), assign=True)  # 1.45 GB less
            self.clock.watch(type(advanced), "get_control_inject", "control")  # what its objects bind as get_control
            made["acn"] = lambda n: [
                self._row("acn", n, self._on_conditioning(advanced, n, True, ACN_APPLY), like=f"host {n}"),
                self._row(
                    "acn",
                    n,
                    self._on_conditioning(advanced, n, False, ACN_APPLY),
                    "positive",
                    like=f"host {n} positive",
                ),
            ]
        if "ours" in families:
            ours = _sharing(self._loaded("ZeroctlLoadControlNet", control_net_name=self._net_file), max(numbers))
            made["ours"] = lambda n: [
                self._row("ours", n, self._on_model(ours[:n], "both"), like=f"host {n}"),
                self._row("ours", n, self._on_model(ours[:n], "cond"), "cond", like=f"host {n} positive"),
            ]
        if "diffusers" in families:
            unet, net = _in_diffusers(self.model, theirs.control_model)
            made["diffusers"] = lambda n: [
                self._in_diffusers_row(unet, net, n, False),
                self._in_diffusers_row(unet, net, n, True),
            ]
        rows = [self._row("base", 0, self._graph)]
        for n in numbers:
            rows += [row for family in families for row in made[family](n)]
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
        self.clock.watch(sys.modules[f"{pack}.nodes.host.hook.run"].SamplingRun, "control", "control")
        self.clock.watch(sys.modules[f"{pack}.nodes.host.loading"].NetInHost, "encode", "encode")

    def _loaded(self, loader: str, **inputs: str) -> Any:
        return self.host.run({"net": node(loader, **inputs)}, keep={"net": ["net", 0]})["net"]

    def _row(self, family: str, n: int, graph: Graph, variant: str = "", like: str | None = None) -> Row:
        name = " ".join(part for part in (family, str(n) if n else "", variant) if part)

        def run() -> Tensor:
            return self.host.run(graph, keep={"latent": ["sampler", 0]})["latent"]["samples"]

        return Row(name, family, n, run, like)

    def _on_conditioning(self, net: Any, n: int, negative: bool, apply: str = "ControlNetApplyAdvanced") -> Graph:
        graph, given = self._graph, self.host.give(net)
        for i in range(n):
            graph = with_host_control(graph, given, self._images[i], negative, name=f"c{i}")
            graph[f"c{i}"]["class_type"] = apply
        return graph

    def _on_model(self, nets: list[Any], branches: str) -> Graph:
        graph = self._graph
        for i, net in enumerate(nets):
            before = {"stack": [f"c{i - 1} control", 0]} if i else {}
            graph = with_our_control(
                graph, self.host.give(net), self._images[i], name=f"c{i}", branches=branches, **before
            )
            graph[f"c{i}"]["inputs"]["model"] = ["model", 0]
        return graph

    def compare(self, rows: list[Row]) -> dict[str, float]:
        """Run every row once, which warms it up; the relative difference of each from the row that it must equal."""
        results: dict[str, Tensor] = {}
        differences: dict[str, float] = {}
        for row in rows:
            with self._recorded(row):
                results[row.name] = row.run()
            found = self._noise if row.family == "diffusers" else results
            if row.like in found:
                one, other = found[row.name].double(), found[row.like].double()
                differences[row.name] = float((one - other).norm() / other.norm())
        return differences

    @contextmanager
    def _recorded(self, row: Row) -> Iterator[None]:
        """Keep what the host's UNet is called with without control, and what it says."""
        if row.family == "diffusers":
            yield
            self._noise[row.name] = row.run()
            return

        def record(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], noise: Tensor) -> None:
            if row.family == "base" and self._call is None:
                self._call = UNetCall(
                    args[0], args[1], kwargs["context"], tuple(kwargs["transformer_options"]["cond_or_uncond"])
                )
            self._noise.setdefault(row.name, noise)

        handle = self._unet.register_forward_hook(record, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    def _in_diffusers_row(self, unet: nn.Module, net: nn.Module, n: int, guess: bool) -> Row:
        """A step as StableDiffusionControlNetPipeline makes it, at the latent and prompt of the host's first step."""
        from diffusers.models.controlnets.multicontrolnet import MultiControlNetModel

        control = net if n == 1 else MultiControlNetModel([net] * n)

        def step() -> Tensor:
            call = self._call
            assert call is not None  # the base row runs first
            order = sorted(range(2), key=lambda row: -call.chunks[row])  # the pipeline has the negative first
            x, t, context = call.x[order], call.t[order], call.context[order]
            seen = slice(1, 2) if guess else slice(0, 2)
            scale = 1.0 if n == 1 else [1.0] * n
            hints = [image.movedim(-1, 1).to(x) for image in self._pictures[:n]]
            hints = [hint if guess else torch.cat([hint] * 2) for hint in hints]
            with self.clock.step():
                with self.clock.part("control"):
                    skips, middle = control(
                        x[seen],
                        t[0],
                        encoder_hidden_states=context[seen],
                        controlnet_cond=hints[0] if n == 1 else hints,
                        conditioning_scale=scale,
                        guess_mode=guess,
                        return_dict=False,
                    )
                    if guess:
                        skips = [torch.cat([torch.zeros_like(skip), skip]) for skip in skips]
                        middle = torch.cat([torch.zeros_like(middle), middle])
                with self.clock.part("unet"):
                    noise = unet(
                        x,
                        t[0],
                        encoder_hidden_states=context,
                        down_block_additional_residuals=skips,
                        mid_block_additional_residual=middle,
                        return_dict=False,
                    )[0]
            return noise[order]

        def run() -> Tensor:
            for _ in range(self._graph["sampler"]["inputs"]["steps"]):
                noise = step()
            return noise

        variant = " guess" if guess else ""
        return Row(f"diffusers {n}{variant}", "diffusers", n, run, None if guess else f"host {n}")


def _model(preset: str, dtype: torch.dtype) -> Any:
    """A MODEL of the host's own class with a random UNet, whose weights are not held twice."""
    import comfy.model_detection
    import comfy.model_management
    import comfy.supported_models
    from comfy.model_patcher import ModelPatcher

    weights = random_unet(preset, dtype=dtype)
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
    made = [control_net]
    for _ in range(n - 1):
        other = control_net.copy()
        other.control_model = copy.deepcopy(control_net.control_model, dict(weights))
        other.control_model_wrapped = type(control_net.control_model_wrapped)(
            other.control_model,
            load_device=control_net.load_device,
            offload_device=control_net.control_model_wrapped.offload_device,
        )
        made.append(other)
    return made


def _in_diffusers(model: Any, control_model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """diffusers' UNet and ControlNet on the tensors of the host's."""
    sys.modules.setdefault("torchaudio", None)  # type: ignore[arg-type]  # one built for another torch fails on import
    import comfy.model_management
    import comfy.utils
    from diffusers import ControlNetModel, UNet2DConditionModel

    config = model.model.model_config.unet_config
    spec = spec_of("sd15")
    widths = [config["model_channels"] * mult for mult in config["channel_mult"]]
    blocks = config["num_res_blocks"][0]
    depths = config["transformer_depth"][::blocks]
    shared = {
        "in_channels": spec.in_channels,
        "cross_attention_dim": spec.context_dim,
        "attention_head_dim": 8,
        "block_out_channels": widths,
        "layers_per_block": blocks,
        "down_block_types": ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in depths],
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel(
            **shared,
            out_channels=spec.out_channels,
            up_block_types=["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(depths)],
        )
        net = ControlNetModel(**shared)
    names = comfy.utils.unet_to_diffusers(config)
    theirs = model.model.diffusion_model.state_dict()
    unet.load_state_dict({name: theirs[ldm] for name, ldm in names.items() if ldm in theirs}, assign=True)
    theirs = control_model.state_dict()
    last = max(int(key.split(".")[1]) for key in theirs if key.startswith("input_hint_block."))
    places = {0: "conv_in", last: "conv_out", **{2 * k: f"blocks.{k - 1}" for k in range(1, last // 2)}}
    renamed = {f"input_hint_block.{k}": f"controlnet_cond_embedding.{place}" for k, place in places.items()}
    renamed["middle_block_out.0"] = "controlnet_mid_block"
    renamed |= {
        key.removesuffix(".weight"): f"controlnet_down_blocks.{key.split('.')[1]}"
        for key in theirs
        if key.startswith("zero_convs.") and key.endswith(".weight")
    }
    tensors = {name: theirs[ldm] for name, ldm in names.items() if ldm in theirs}
    tensors |= {f"{new}.{kind}": theirs[f"{old}.{kind}"] for old, new in renamed.items() for kind in ("weight", "bias")}
    net.load_state_dict(tensors, assign=True)
    device = comfy.model_management.get_torch_device()  # on the CPU the tensors stay the host's
    return unet.eval().to(device), net.eval().to(device)


# ---- figures

Found = dict[str, list[dict[str, float]]]  # by row, the figures of each round


def figures_of(steps: list[Step], cuda: bool) -> dict[str, float]:
    """One round of one row. On a GPU the first step of several is left out."""
    if cuda:
        kept = steps[1:] or steps
        return {"step": statistics.median(step.parts["step"] for step in kept)}
    part: Callable[[str], float] = lambda name: statistics.median(step.parts.get(name, 0.0) for step in steps)  # noqa: E731
    encode = steps[0].parts.get("encode", 0.0)
    later = [step.parts.get("control", 0.0) - step.parts.get("encode", 0.0) for step in steps]
    unet = part("unet")
    return {
        "step": part("step"),
        "wall": statistics.median(step.wall for step in steps),
        "unet": unet,
        "control": statistics.median(later),
        "encode": encode,
        "control / unet": statistics.median(c / step.parts["unet"] for c, step in zip(later, steps, strict=True)),
        "first step": steps[0].parts.get("control", 0.0) / steps[0].parts["unet"],
        "the rest": (part("step") - part("control") - unet) / unet,
    }


def measured(bench: Bench, rows: list[Row], rounds: int, cuda: bool) -> Found:
    """Figures by row, one a round."""
    # a full collection walks all objects of the host, takes 0.3 s and would fall on whichever row comes then
    gc.collect()
    gc.disable()
    found: Found = {row.name: [] for row in rows}
    for i in range(rounds):
        for row in rows[i % len(rows) :] + rows[: i % len(rows)]:
            bench.clock.steps.clear()
            row.run()
            found[row.name].append(figures_of(bench.clock.steps, cuda))
            gc.collect(1)  # between rows only the young objects: what a run leaves in cycles
        gc.collect()
        print(f"round {i + 1} of {rounds}", file=sys.stderr, flush=True)
    gc.enable()
    return found


def paired(found: Found, row: str, other: str, key: str) -> list[float]:
    """A figure of one row over that of another in the same round."""
    return [one[key] / two[key] for one, two in zip(found[row], found[other], strict=True)]


def summed_up(found: Found, rows: list[Row], differences: dict[str, float]) -> list[dict[str, Any]]:
    table = []
    for row in rows:
        here = found[row.name]
        line: dict[str, Any] = {"row": row.name, "nets": row.nets}
        keys = [key for key in here[0] if row.nets or key not in ("control", "encode", "control / unet", "first step")]
        line |= {key: summary([one[key] for one in here], 6) for key in keys}
        line["step / base"] = summary(paired(found, row.name, "base", "step"))
        if row.like in found:
            key = "control / unet" if "control / unet" in here[0] else "step"
            line["over " + row.like] = summary(paired(found, row.name, row.like, key))
        if row.name in differences:
            line["relative difference from " + str(row.like)] = float(f"{differences[row.name]:.2e}")
        table.append(line)
    return table


def peak_memory() -> int:
    """The largest resident set of this process so far, in bytes; mapped files count."""
    import psutil

    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):  # Windows
        return int(info.peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def targets_of(found: Found, cuda: bool) -> list[dict[str, Any]]:
    """The project's own targets, for the rows that were run."""
    targets = []
    for n, most, most_on_gpu in ((1, 0.20, 1.20), (3, 0.58, 1.55)):
        name = f"ours {n} cond"
        if name in found and cuda:
            value = statistics.median(paired(found, name, "base", "step"))
            targets.append(target(f"{name}: step / base", value, most_on_gpu))
        elif name in found:
            value = statistics.median(one["control / unet"] for one in found[name])
            targets.append(target(f"{name}: control / unet", value, most))
        if f"ours {n}" in found and f"host {n}" in found:
            key = "step" if cuda else "control / unet"
            value = statistics.median(paired(found, f"ours {n}", f"host {n}", key))
            targets.append(target(f"ours {n} over host {n}: {key}", value, 1.02))
    return targets


def print_figures(table: list[dict[str, Any]]) -> None:
    columns = ["control / unet", "first step", "the rest", "step / base", "wall"]
    columns = [column for column in columns if any(column in line for line in table)]
    rows = []
    for line in table:
        difference = next((f"{value:.0e}" for key, value in line.items() if key.startswith("relative difference")), "")
        rows.append([line["row"], *(spread(line.get(column)) for column in columns), difference])
    print_table(["", *columns, "difference"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10, help="measured rounds; each holds every row once")
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels")
    parser.add_argument("--nets", default="1,3", help="numbers of nets, such as 1 or 1,3")
    parser.add_argument("--only", default="", metavar="FAMILIES", help=f"of {', '.join(FAMILIES)}, separated by commas")
    parser.add_argument(
        "--preset", choices=["sd15", "thin"], default="sd15", help="thin: small weights, to try the script"
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], help="the GPU where there is one")
    parser.add_argument("--steps", type=int, help="steps of a round: 1 on the CPU, 12 on a GPU")
    parser.add_argument("--threads", type=int, help="threads of torch on the CPU")
    parser.add_argument("--out", type=Path, help="the JSON file; results/injection-<device>.json for full-size weights")
    arguments = parser.parse_args()

    numbers = sorted({int(n) for n in arguments.nets.split(",")})
    if not numbers or numbers[0] < 1 or numbers[-1] > 3:
        parser.error(f"--nets is {arguments.nets!r}, expected numbers from 1 to 3")
    families = [name.strip() for name in arguments.only.split(",") if name.strip()] or list(FAMILIES)
    if unknown := [name for name in families if name not in FAMILIES]:
        parser.error(f"--only has {', '.join(unknown)}, expected {', '.join(FAMILIES)}")
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    cuda = device == "cuda"
    arguments.steps = arguments.steps or (12 if cuda else 1)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    checked_out = checkout()
    advanced = os.environ.get("ZEROCTL_ACN")
    if "acn" in families and not advanced:
        print("Advanced-ControlNet: left out, ZEROCTL_ACN does not name its folder")
        families.remove("acn")
    os.environ["ZEROCTL_HOST_OPTIONS"] = "--use-pytorch-cross-attention" + ("" if cuda else " --cpu")
    report: dict[str, Any] = {"benchmark": "injection", **conditions(checked_out)}

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base, torch.inference_mode():
        host = boot(checked_out, Path(base))
        host.load_pack(ROOT)
        if "acn" in families:
            host.load_pack(Path(str(advanced)).expanduser().resolve())
        bench = Bench(host, arguments, cuda)
        rows = bench.rows([name for name in FAMILIES if name in families], numbers)
        report |= {
            "device": device,
            "dtype": str(bench.dtype).removeprefix("torch."),
            "preset": arguments.preset,
            "latent": [1, 4, arguments.size // 8, arguments.size // 8],
            "cfg": 7.0,
            "sampler": "euler",
            "steps_a_round": arguments.steps,
            "rounds": arguments.pairs,
            "unit": "wall seconds" if cuda else "CPU seconds; wall: wall seconds",
        }
        differences = bench.compare(rows)
        found = measured(bench, rows, arguments.pairs, cuda)
    report["rows"] = summed_up(found, rows, differences)
    report["targets"] = targets_of(found, cuda) if arguments.preset == "sd15" else []
    report["peak_memory_gb"] = round(peak_memory() / 1e9, 2)

    print(
        f"{report['versions']['host']}, {device}, {report['dtype']}, {arguments.size} px, {arguments.pairs} rounds; "
        f"median (min..max); peak memory {report['peak_memory_gb']} GB"
    )
    print_figures(report["rows"])
    print_targets(report["targets"])
    limit = SAME if not cuda else 1e-2
    for name, difference in differences.items():
        if not difference <= limit:
            print(f"NOT THE SAME: {name} differs by {difference:.1e}, its figures cannot be compared")
    out = arguments.out or (RESULTS / f"injection-{device}.json" if arguments.preset == "sd15" else None)
    if out is not None:
        write(out, report)


if __name__ == "__main__":
    main()
