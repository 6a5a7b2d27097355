"""The embedded model as a whole: its parts, and the files that they are kept in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from ..bases import BASES
from ..checkpoint import load_controlnet
from ..files.key_faults import key_faults
from ..files.streamed_safetensors import n_bytes_of, stream_safetensors
from ..files.written_whole import written_whole
from ..network.controlnet import ControlNet
from ..network.unet import UNet
from .autoencoder import SCALE, Autoencoder
from .judge import Judge
from .text import TextEncoder
from .words import tokenise

WEIGHTS = Path(__file__).with_name("weights")
MODEL, AUTOENCODER, JUDGE, CONTROLS = "model.safetensors", "autoencoder.safetensors", "judge.safetensors", "controls"

UNET_PREFIX, TEXT_PREFIX = "model.diffusion_model.", "cond_stage_model."
"""Where the parts stand in `model.safetensors`: the prefixes of the released Stable Diffusion checkpoints."""


@dataclass(frozen=True)
class DemoModel:
    """The UNet, its text encoder and its autoencoder, for inference in float32."""

    unet: UNet
    text: TextEncoder
    autoencoder: Autoencoder

    @classmethod
    def load(cls, folder: Path = WEIGHTS) -> DemoModel:
        """Read the weights; they are float16 in the files.

        Raises `FileNotFoundError` for a missing file, `ValueError` for one that does not hold exactly the weights of
        this model.
        """
        unet, text = UNet(BASES["tiny"]), TextEncoder()
        read_weights(folder / MODEL, {UNET_PREFIX: unet, TEXT_PREFIX: text})
        return cls(unet.eval().requires_grad_(False), text.eval().requires_grad_(False), load_autoencoder(folder))

    @torch.no_grad()
    def context(self, prompts: Sequence[str]) -> Tensor:
        """The context of prompts, [B, T, 64]. Unknown words are left out; `tokenise` names them."""
        return self.text(torch.tensor([tokenise(prompt).numbers for prompt in prompts]))

    @torch.no_grad()
    def picture(self, latent: Tensor) -> Tensor:
        """Sampled latents [B, 4, h, w] of spread near 1 -> pictures [B, 3, 8h, 8w], clamped to 0..1."""
        return self.autoencoder.decode(latent / SCALE).clamp(0, 1)


def load_autoencoder(folder: Path = WEIGHTS) -> Autoencoder:
    autoencoder = Autoencoder()
    read_weights(folder / AUTOENCODER, {"": autoencoder})
    return autoencoder.eval().requires_grad_(False)


def load_judge(folder: Path = WEIGHTS) -> Judge:
    judge = Judge()
    read_weights(folder / JUDGE, {"": judge})
    return judge.eval().requires_grad_(False)


def control_files(folder: Path = WEIGHTS) -> dict[str, Path]:
    """Name -> file of every embedded control, in alphabetical order."""
    return {path.stem: path for path in sorted((folder / CONTROLS).glob("*.safetensors"))}


def load_control(name: str, folder: Path = WEIGHTS) -> ControlNet:
    """An embedded control by name, for inference in float32.

    Raises `ValueError` for a name that is not there.
    """
    files = control_files(folder)
    if name not in files:
        raise ValueError(f"there is no embedded control {name!r}; there are: {', '.join(files) or 'none'}")
    net = load_controlnet(files[name]).to(torch.float32)
    return net.eval().requires_grad_(False)


def read_weights(path: Path, parts: Mapping[str, nn.Module]) -> dict[str, str]:
    """Load every tensor of a file into the module whose prefix it has; the file's metadata.

    Raises `FileNotFoundError` for a missing file, `ValueError` for keys or shapes that are not exactly those of the
    modules, and for a file that is not whole.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. It is part of the package; reinstall it, or make it with "
            "python -m zeroctl_core.demo.build"
        )
    try:
        tensors = safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(
            f"{path} is damaged ({error}). Reinstall the package, or make it with python -m zeroctl_core.demo.build"
        ) from error
    expected = {
        prefix + key: tuple(value.shape) for prefix, part in parts.items() for key, value in part.state_dict().items()
    }
    if faults := key_faults(expected, {key: tuple(value.shape) for key, value in tensors.items()}):
        raise ValueError(
            f"{path} is not a file of this version: {'; '.join(faults)}. Reinstall the package, or make the files with "
            "python -m zeroctl_core.demo.build"
        )
    for prefix, part in parts.items():
        part.load_state_dict({key: tensors[prefix + key].float() for key in part.state_dict()})
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def write_weights(path: Path, parts: Mapping[str, nn.Module], metadata: Mapping[str, object]) -> None:
    """Write modules as float16, with what is known of them as JSON in the header."""
    tensors = {
        prefix + key: value.to(torch.float16).contiguous()
        for prefix, part in parts.items()
        for key, value in part.state_dict().items()
    }
    header = {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()}
    with written_whole(path, n_bytes_of(tensors)) as part:
        stream_safetensors(part, tensors, {"format": "pt", **header})
