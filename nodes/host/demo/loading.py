"""The embedded model as the host's MODEL, CLIP and VAE, and a description of it."""

from __future__ import annotations

from typing import Any

from zeroctl_core.canvas.cells import PIXELS_PER_CELL
from zeroctl_core.demo.colours import COLOURS
from zeroctl_core.demo.model import AUTOENCODER, MODEL, DemoModel
from zeroctl_core.demo.names import THINGS
from zeroctl_core.demo.scene import DRAWN, SIZE
from zeroctl_core.demo.words import MAX_TOKENS

from ..describe import dtype_name
from ..paths import demo_weights, fingerprint
from .clip import clip_from
from .model import SIZES, model_from
from .vae import vae_from

__all__ = ["demo_fingerprint", "describe_demo", "load_demo"]


def load_demo() -> tuple[Any, Any, Any]:
    """MODEL, CLIP and VAE.

    Raises what `DemoModel.load` raises, for weights that are missing or of another version.
    """
    folder = demo_weights()
    parts = DemoModel.load(folder)
    model, clip, vae = model_from(parts.unet), clip_from(parts.text), vae_from(parts.autoencoder)

    # newer hosts make further copies through these, for several devices and for torch.compile
    def again_model(disable_dynamic: bool = False) -> Any:
        return model_from(DemoModel.load(folder).unet, disable_dynamic)

    def again_clip(disable_dynamic: bool = False) -> Any:
        return clip_from(DemoModel.load(folder).text).patcher

    def again_vae(disable_dynamic: bool = False) -> Any:
        return vae_from(DemoModel.load(folder).autoencoder).patcher

    model.cached_patcher_init = (again_model, ())
    clip.patcher.cached_patcher_init = (again_clip, ())
    vae.patcher.cached_patcher_init = (again_vae, ())
    return model, clip, vae


def demo_fingerprint() -> str:
    """Changes when the weights were trained anew."""
    return " ".join(fingerprint(demo_weights() / name) for name in (MODEL, AUTOENCODER))


def describe_demo(model: Any) -> str:
    """What the model knows and how it is used, in lines."""
    parameters = sum(value.numel() for value in model.model.diffusion_model.parameters())
    dtype = dtype_name(model.model.get_dtype())
    low, high = SIZES
    return "\n".join(
        [
            f"a UNet of the Stable Diffusion kind with {parameters / 1e6:.1f} M parameters, {dtype} in use, "
            "trained on one to three things on a plain background",
            'prompt: such as "a cat left of a red ball on a yellow background"; the empty prompt works',
            f"things: {', '.join(THINGS)}; thing is any of them",
            f"shapes, which have a colour: {', '.join(DRAWN)}; colours: {', '.join(COLOURS)}",
            "relations: and, left of, right of, above, below; ground: on a ... background",
            f"limit: {MAX_TOKENS} tokens, which are {MAX_TOKENS - 2} words; further words are left out, an unknown "
            "noun is read as thing, other unknown words are left out, and the log names them",
            f"size: trained at {SIZE}x{SIZE} pixels, usable from {low} to {high} a side, in steps of "
            f"{PIXELS_PER_CELL}; other sizes are named in the log",
        ]
    )
