"""What a MODEL is, in the terms in which a control fits it: connections, width of the context, width of y."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zeroctl_core import Connection
from zeroctl_core.bases import Base, recognise
from zeroctl_core.connections import fits
from zeroctl_core.network.control_lora import ControlLora
from zeroctl_core.network.spec import encoder_connections
from zeroctl_core.network.t2i_adapter import AdapterBase

__all__ = [
    "Family",
    "family_of_base",
    "family_of_foreign",
    "family_of_model",
    "halving_blocks",
    "unet_base",
]


@dataclass(frozen=True)
class Family:
    """`connections` is empty where the MODEL is not a UNet of the Stable Diffusion kind."""

    name: str
    connections: tuple[Connection, ...]
    context_dim: int | None
    adm_in_channels: int | None

    def __str__(self) -> str:
        if not self.connections:
            return f"{self.name} (no Stable Diffusion UNet)"
        if self.context_dim is None:
            return f"{self.name} ({len(self.connections)} connections, no prompt)"
        y = f", y {self.adm_in_channels}" if self.adm_in_channels is not None else ", no y"
        return f"{self.name} ({len(self.connections)} connections, context {self.context_dim}{y})"

    def takes(self, control: Family) -> bool:
        """Whether a control of that family fits a MODEL of this one; without a use for y it may ignore it."""
        return (
            bool(self.connections)
            and fits(control.connections, self.connections)
            and control.context_dim in (None, self.context_dim)
            and control.adm_in_channels in (None, self.adm_in_channels)
        )


def family_of_model(model: Any) -> Family:
    """The family of a host's ModelPatcher (or BaseModel), read from the configuration its loader detected."""
    inner = getattr(model, "model", model)
    config = inner.model_config.unet_config
    kind = type(inner.model_config)  # a config itself gives None for any name
    name = getattr(kind, "title", kind.__name__)
    if "channel_mult" not in config or "model_channels" not in config:
        return Family(name, (), config.get("context_dim"), None)
    mults, blocks = config["channel_mult"], config["num_res_blocks"]
    blocks = [blocks] * len(mults) if isinstance(blocks, int) else blocks
    connections = encoder_connections(config["model_channels"], mults, blocks)
    return Family(name, connections, config.get("context_dim"), config.get("adm_in_channels"))


def halving_blocks(model: Any) -> frozenset[int]:
    """Numbers of the blocks of a MODEL's encoder that halve their map; none in another architecture."""
    skips = family_of_model(model).connections[:-1]
    return frozenset(
        number
        for number, (before, after) in enumerate(zip(skips, skips[1:], strict=False), 1)
        if after.downsample > before.downsample
    )


def family_of_base(base: Base | AdapterBase) -> Family:
    """The family of one of our networks."""
    return Family(base.title, base.connections, base.spec.context_dim, base.spec.adm_in_channels)


def family_of_foreign(control_net: Any) -> Family | None:
    """The family of a foreign net with the keys of the Stable Diffusion ControlNets; None for other keys."""
    network: Any = getattr(control_net, "control_model", None)
    lora: dict[str, Any] | None = getattr(control_net, "control_weights", None)
    if lora is None and not hasattr(network, "zero_convs"):
        return None
    try:
        if lora is not None:
            shapes = ControlLora.shapes(lora)
        else:
            shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        base = recognise(shapes)
    except ValueError:  # a net of its own kind: it is tried as it is
        return None
    return None if base is None else family_of_base(base)


def unet_base(model: Any) -> Base | None:
    """The MODEL's UNet as a base of the core, with the spec read from its weights; None for another architecture."""
    network = getattr(model, "model", model).diffusion_model
    if not hasattr(network, "input_blocks"):
        return None
    try:
        return recognise({key: tuple(value.shape) for key, value in network.state_dict().items()})
    except ValueError:  # claimed by a family, but with shapes of its own: it works, only its cost is not known
        return None
