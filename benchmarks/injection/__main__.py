"""What a ControlNet costs a sampling step: ours, the host's own Apply, diffusers and Advanced-ControlNet in one run.

    COMFYUI_PATH=<ComfyUI> <the Python of that ComfyUI> -m benchmarks.injection [--pairs 10] [--size 256]

That Python needs tyro, and diffusers where it is to be measured. Without COMFYUI_PATH ours runs in a loop of its own,
beside diffusers.

Stable Diffusion 1.5 at full size with random weights (UNet 859 M, ControlNet 361 M parameters), euler, CFG 7, both
conds in one batch. The same latent, prompt and condition images for everybody. All use torch's
scaled_dot_product_attention (the host is started with --use-pytorch-cross-attention).

Configurations take turns within a round, and `--pairs` rounds are measured after one that is not, so a slow minute of
the machine meets all of them; where a round starts moves on. 10 rounds at 256 pixels want about 15 minutes of two idle
cores and 8 GB. Every figure is the median over rounds, with its extremes.
Python's garbage collector runs between rows and not within.

On the CPU (float32) a round is one step of the sampler, and the figure is the CPU time of the control over the CPU
time of the UNet in the same step, so neither the clock rate nor other work on the machine moves it much; on a machine
that is busy all the same use `--threads 1`, as threads that wait for one another burn CPU time. The control is
`Calls.control` for ours, `get_control` for the host and Advanced-ControlNet, the ControlNet's forward for
diffusers. Ours encodes the condition image on the first step of a run only, everybody else on every step. Column
"control / unet" is a step that is not the first, "first step" holds the encoding; both come from the one step, whose
encoding is timed. "the rest" is what the step takes beside the two, over the UNet's time.

On a GPU (float16) a round is `--steps` steps, and the figure is wall time of a step over that of a step without
control: the median of the steps after the first, with a synchronisation around each. There every row is also run once
under the profiler, which counts launches, copies, synchronisations and values read back a step, and the card's memory.
`--device cpu` measures the CPU there.

Rows, each with 1 and 3 nets (`--nets`):
  host, acn          Apply on both conds; "positive": connected to the positive only, which splits the UNet's batch
  ours               both conds; "cond": branches cond, the UNet's batch is kept
  diffusers          ControlNetModel and UNet2DConditionModel called as its pipeline does; "guess": its guess_mode
The host, Advanced-ControlNet and diffusers run one network once for each of three condition images. Ours would notice
equal networks, so it gets three network objects (on the same weights) and runs three. Each loads the file with its own
loader; diffusers and Advanced-ControlNet are then given the host's tensors. Advanced-ControlNet is measured where
ZEROCTL_ACN is its folder.

Before measuring, the run checks that all compute the same: latents or noise predictions against the host's, or without
a host against ours, as the norm of the difference over the norm. guess_mode scales residuals by a rule of its own and
is not compared.
"""

from __future__ import annotations

import os
from typing import Any

import torch

from benchmarks.injection.figures import print_figures
from benchmarks.injection.run import Options, run
from benchmarks.machine import RESULTS, checkout, conditions, print_targets, write
from benchmarks.options import read_options


def main() -> None:
    options = read_options(Options, "injection", __doc__)
    device = torch.device(options.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if options.threads:
        torch.set_num_threads(options.threads)
    host = checkout() if os.environ.get("COMFYUI_PATH") else None
    report: dict[str, Any] = {"benchmark": "injection", **conditions(host)}
    report |= run(options, host, device)

    print(
        f"{report['versions'].get('host', 'without a host')}, {device.type}, {report['dtype']}, {options.size} px, "
        f"{options.pairs} rounds; median (min..max); peak memory {report['peak_memory_gb']} GB"
    )
    print_figures(report["rows"])
    print_targets(report["targets"])
    print("\n".join(report["not_the_same"]))
    out = options.out or (RESULTS / f"injection-{device.type}.json" if options.preset == "sd15" else None)
    if out is not None:
        write(out, report)


if __name__ == "__main__":
    main()
