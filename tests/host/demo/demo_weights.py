"""The embedded model's files for tests: those of the package, or random ones in the same format where it has none."""

from __future__ import annotations

from pathlib import Path

import torch

from zeroctl_core import BASES, UNet, save_controlnet
from zeroctl_core.demo.autoencoder import Autoencoder
from zeroctl_core.demo.judge import Judge
from zeroctl_core.demo.model import (
    AUTOENCODER,
    CONTROLS,
    JUDGE,
    MODEL,
    TEXT_PREFIX,
    UNET_PREFIX,
    WEIGHTS,
    control_files,
    write_weights,
)
from zeroctl_core.demo.text import TextEncoder
from zeroctl_core.network.random_weights import random_controlnet

CONTROLS_USED = ("edges", "scribble", "depth", "colours")


def are_shipped() -> bool:
    return (WEIGHTS / MODEL).is_file() and (WEIGHTS / AUTOENCODER).is_file() and "edges" in control_files()


def write_random(folder: Path) -> Path:
    """Write the files of an untrained model whose controls act."""
    random_state = torch.random.get_rng_state()
    torch.manual_seed(20230210)
    write_weights(folder / MODEL, {UNET_PREFIX: UNet(BASES["tiny"]), TEXT_PREFIX: TextEncoder()}, {})
    write_weights(folder / AUTOENCODER, {"": Autoencoder()}, {})
    write_weights(folder / JUDGE, {"": Judge()}, {})
    (folder / CONTROLS).mkdir()
    for seed, name in enumerate(CONTROLS_USED):
        net = random_controlnet(BASES["tiny"], seed).to(torch.float16)
        save_controlnet(net, folder / CONTROLS / f"{name}.safetensors")
    torch.random.set_rng_state(random_state)
    return folder
