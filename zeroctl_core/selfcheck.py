"""`python -m zeroctl_core.selfcheck`: the core's main job from end to end, without a download.

A ControlNet of full size with random weights is written and read in both published layouts, and a stack of controls
runs on the Canny edges of a photograph. What must hold is checked, and the figures are printed. The exit status is 1
when a check fails.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .annotators import ANNOTATORS
from .annotators.pictures.photograph import photograph
from .annotators.pictures.resolution import at_resolution
from .annotators.pictures.sheet import Tile, check_sheet, write_sheet
from .bases import BASES, Base
from .canvas import resize_condition
from .canvas.cells import PIXELS_PER_CELL
from .checkpoint import load_controlnet, save_controlnet
from .checkpoint.layouts import LAYOUTS
from .command_line import read_options, run_command
from .connections import ConnectionWeights
from .control.rows import Rows
from .control.stack import ControlStack
from .control.unit import ControlUnit
from .network.controlnet import ControlNet
from .network.cost import TOKENS
from .network.random_weights import random_controlnet
from .network.spec import LATENT_CHANNELS
from .network.unet import UNet
from .residuals import Residuals
from .train.ranges import check_seed
from .weighting import MODES, RULES

EDGES_NAME = "zeroctl-selfcheck-edges.png"
TIMESTEP = 501.0


class SelfCheck:
    """One run: prints its figures, and remembers which checks failed."""

    def __init__(self, base: Base, size: int, out: Path, seed: int, say: Callable[[str], None] = print) -> None:
        self.base, self.size, self.out, self.seed, self.say = base, size, out, seed, say
        self.failed: list[str] = []
        self.seconds: list[tuple[str, float]] = []

    def run(self) -> bool:
        """Whether every check passed."""
        began = time.perf_counter()
        spec = self.base.spec
        self.say(
            f"zeroctl self-check: {self.base.title}, {self.size}x{self.size} pixels, {torch.get_num_threads()} threads"
        )
        with torch.inference_mode():
            image = self.draw_edges()
            random = torch.Generator().manual_seed(self.seed)
            side = self.size // PIXELS_PER_CELL
            x = torch.randn(1, LATENT_CHANNELS, side, side, generator=random)
            context = torch.randn(1, TOKENS, spec.context_dim, generator=random)
            y = None if spec.adm_in_channels is None else torch.randn(1, spec.adm_in_channels, generator=random)
            residuals = self.round_trips(image, x, context, y)
            self.show_residuals(residuals)
            self.show_weighting()
            self.check_stack(image, x, context, y)
        self.check_untrained()
        self.say("\ntimings, seconds")
        for name, seconds in self.seconds:
            self.say(f"  {name:<34}{seconds:8.2f}")
        self.say(f"  {'everything':<34}{time.perf_counter() - began:8.2f}")
        self.say(f"\nFAILED: {len(self.failed)} ({'; '.join(self.failed)})" if self.failed else "\nall checks passed")
        return not self.failed

    def check(self, what: str, holds: bool) -> None:
        self.say(f"  {'ok  ' if holds else 'FAIL'}  {what}")
        if not holds:
            self.failed.append(what)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds.append((name, time.perf_counter() - began))

    def draw_edges(self) -> Tensor:
        """The condition: Canny edges of a photograph on the canvas, [1, 3, size, size]; writes the picture of both."""
        self.say("\ncondition")
        photo = at_resolution(photograph(), self.size)
        with self.timed("Canny"):
            edges = ANNOTATORS["canny"](photo)
        canvas_image = resize_condition(edges, self.size, self.size).image
        share = float(canvas_image.mean())
        self.check(f"edges are white on black, {share:.1%} of the picture", 0.001 < share < 0.5)
        self.check("edges are 0 or 1, nothing between", torch.unique(canvas_image).tolist() == [0, 1])
        path = self.out / EDGES_NAME
        tiles = [Tile(photo[0], "photograph"), Tile(canvas_image[0], "Canny 100/200")]
        write_sheet(path, [(f"the condition, {self.size} px", tiles)], scale=1)
        self.say(f"  photograph and edges: {path}")
        return canvas_image

    def round_trips(self, image: Tensor, x: Tensor, context: Tensor, y: Tensor | None) -> Residuals:
        """Write and read both layouts, one at a time (a full file has 1.45 GB); the residuals of what was read."""
        self.say("\nfiles")
        with self.timed("random weights"):
            self.net = random_controlnet(self.base, self.seed)
        expected = dict(self.net.named_parameters())
        n_bytes = sum(value.numel() * value.element_size() for value in expected.values())
        t = torch.full((1,), TIMESTEP)
        results: list[Residuals] = []
        with tempfile.TemporaryDirectory(prefix="zeroctl-", ignore_cleanup_errors=True) as folder:
            free = shutil.disk_usage(folder).free
            if free < 1.1 * n_bytes:
                raise OSError(
                    f"{folder} has {free / 1e9:.1f} GB free, the self-check writes a file of {n_bytes / 1e9:.1f} GB; "
                    "free some space, or set TMPDIR to a folder that has it"
                )
            for layout in LAYOUTS:
                path = Path(folder) / f"random-{layout}.safetensors"
                with self.timed(f"save, {layout}"):
                    save_controlnet(self.net, path, layout=layout)
                with self.timed(f"load, {layout}"):
                    net = load_controlnet(path)
                self.check(
                    f"{layout}: a file of {path.stat().st_size / 1e9:.2f} GB is recognised as {net.base.title} "
                    f"with {len(net.base.connections)} connections",
                    net.base.name == self.base.name and net.base.connections == self.base.connections,
                )
                loaded = dict(net.named_parameters())
                same = loaded.keys() == expected.keys() and all(torch.equal(loaded[k], expected[k]) for k in expected)
                self.check(f"{layout}: all {len(expected)} tensors are equal bit for bit after the round trip", same)
                with self.timed(f"encode the condition, {layout}"):
                    feature = net.encode(image)
                with self.timed(f"forward, {layout}"):
                    results.append(net(x, t, context, feature=feature, y=y))
                del net, loaded
                path.unlink()
        # not to the bit: kernels for matrices choose their order of summation by where the weights lie in memory
        apart = max(float((a - b).norm() / a.norm()) for a, b in zip(*results, strict=True))
        self.check(f"both files give the same residuals, relative distance {apart:.1e} (at most 1e-5)", apart <= 1e-5)
        return results[0]

    def show_residuals(self, residuals: Residuals) -> None:
        self.say("\nresiduals, shallow to deep, the middle last")
        self.say("  connection   channels   cells      L2 norm      RMS")
        right = True
        side = self.size // PIXELS_PER_CELL
        for place, (connection, residual) in enumerate(zip(self.base.connections, residuals, strict=True)):
            height, width = residual.shape[-2:]
            name = "middle" if connection.stage == "middle" else f"skip {place}"
            norm, rms = float(residual.norm()), float(residual.square().mean().sqrt())
            self.say(f"  {name:<10}{connection.channels:>11}{f'{height}x{width}':>8}{norm:>13.2f}{rms:>9.4f}")
            cells = side // connection.downsample
            right &= residual.shape == (1, connection.channels, cells, cells) and 0 < rms < 1e4
        self.check("every residual has the shape of its connection, is finite and not 0", right)

    def show_weighting(self) -> None:
        self.say("\nweighting rules")
        connections = self.base.connections
        columns = {name: rule(connections) for name, rule in RULES.items()}
        widths = {name: max(len(name), 8) + 2 for name in columns}
        self.say("  connection" + "".join(f"{name:>{width}}" for name, width in widths.items()))
        for place, connection in enumerate(connections):
            name = "middle" if connection.stage == "middle" else f"skip {place}"
            numbers = "".join(f"{columns[rule][place]:>{width}.4f}" for rule, width in widths.items())
            self.say(f"  {name:<10}{numbers}")

    def check_stack(self, image: Tensor, x: Tensor, context: Tensor, y: Tensor | None) -> None:
        """Rows as a sampler with guidance has them: the one without control first."""
        self.say("\na stack on two rows, uncond and cond")
        rows = Rows(("uncond", "cond"), (0, 0), (None, None))
        both = (x.expand(2, -1, -1, -1), torch.full((2,), TIMESTEP), context.expand(2, -1, -1))
        both_y = None if y is None else y.expand(2, -1)

        def stack(*units: ControlUnit) -> Residuals | None:
            return ControlStack(units)(*both, y=both_y, rows=rows)

        rule, branches = MODES["paper"]
        weights = ConnectionWeights(tuple(RULES[rule](self.base.connections)))
        whole = ControlUnit(self.net, image, weights=weights, branches=branches)
        half = ControlUnit(self.net, image, strength=0.5, weights=weights, branches=branches)
        with self.timed("stack, cond only"):
            one = stack(whole)
        two = stack(half, half)
        if one is None or two is None:
            self.check("a stack of open units acts", False)
            return
        self.check("mode paper: the uncond row gets exactly 0", all(not bool(r[0].any()) for r in one))
        self.check("mode paper: the cond row gets something", all(bool(r[1].any()) for r in one))
        same = all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
        self.check("two units of strength 0.5 equal one of strength 1 bit for bit", same)
        self.check("strength 0 computes nothing", stack(ControlUnit(self.net, image, strength=0.0)) is None)

    def check_untrained(self) -> None:
        """On the small base: a copy of a UNet of full size would need 5 GB more."""
        self.say("\nan untrained control (tiny base)")
        base = BASES["tiny"]
        net = ControlNet.trainable_copy(UNet(base))
        random = torch.Generator().manual_seed(self.seed)
        x, context = (
            torch.randn(1, 4, 8, 8, generator=random),
            torch.randn(1, 9, base.spec.context_dim, generator=random),
        )
        with torch.no_grad():
            feature = net.encode(torch.rand(1, 3, 64, 64, generator=random))
            residuals = net(x, torch.full((1,), TIMESTEP), context, feature=feature)
        self.check("every residual is exactly 0", all(not bool(residual.any()) for residual in residuals))


@dataclass(frozen=True, kw_only=True)
class Options:
    """Raises `ValueError` for an unknown base and for a number out of its range."""

    base: str = "sd15"
    """Architecture."""

    size: int = 512
    """Side of the picture in pixels, a multiple of 64."""

    out: Path = Path(".")
    """Folder for the picture of the condition."""

    seed: int = 0
    """Of the random weights."""

    def __post_init__(self) -> None:
        if self.base not in BASES:
            raise ValueError(f"base is {self.base}; expected one of {', '.join(BASES)}")
        if self.size < 64 or self.size % 64:
            raise ValueError(f"size is {self.size}; expected a multiple of 64, at least 64")
        check_seed("seed", self.seed)


def run(options: Options) -> int:
    check_sheet(options.out / EDGES_NAME)
    return 0 if SelfCheck(BASES[options.base], options.size, options.out, options.seed).run() else 1


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(
        Options,
        "selfcheck",
        "Write and read a full ControlNet with random weights in both layouts, run it on the edges of a photograph, "
        "and check what must hold. Needs 1.5 GB of disk for a while and about 3 GB of memory.",
        arguments,
    )
    return run_command(lambda: run(options))


if __name__ == "__main__":
    sys.exit(main())
