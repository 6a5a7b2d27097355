"""Which of the host's networks add a control, read from their code; and a MODEL that takes none, refused."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node, sample
from host_models import flux_model, transformer_model, transformer_net
from host_process import Host, NodeFailed
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
FEWEST = 20  # networks that a host names; the oldest that we support has 25
WIDTH = 64
LUMINA = {
    "image_model": "lumina2",
    "patch_size": 2,
    "in_channels": 16,
    "dim": WIDTH,
    "cap_feat_dim": 32,
    "n_layers": 2,
    "qk_norm": True,
    "n_heads": 2,
    "n_kv_heads": 1,
    "axes_dims": [8, 12, 12],
    "axes_lens": [300, 512, 512],
}


def networks() -> dict[str, type[nn.Module]]:
    """By the class of the MODEL that is made with them."""
    import comfy.model_base

    kinds = {}
    for name, kind in vars(comfy.model_base).items():
        if inspect.isclass(kind) and issubclass(kind, comfy.model_base.BaseModel):
            named = re.search(r"unet_model=([\w.]+)\.(\w+)", inspect.getsource(kind))
            if named:
                kinds[name] = getattr(sys.modules[named[1]], named[2])
    return kinds


def test_a_network_adds_a_control_where_its_file_asks_for_one(host: Host) -> None:
    pack = host.pack_module(ROOT).__name__
    adds_control = importlib.import_module(f"{pack}.nodes.host.network_control").adds_control
    kinds = networks()
    assert len(kinds) >= FEWEST
    for name, kind in kinds.items():
        files = [sys.modules[base.__module__] for base in kind.__mro__ if base.__module__.startswith("comfy.")]
        asks = any(re.search(r"\bcontrol\.get\(|\bapply_control\(", inspect.getsource(file)) for file in files)
        assert adds_control(kind.__new__(kind)) is asks, name


class Ones(nn.Module):
    """A control that adds 1 to the tokens of the picture, at the first place of both lists."""

    dtype = torch.float32

    def forward(self, x: Tensor, **call: Any) -> dict[str, list[Tensor]]:
        tokens = x.new_ones(x.shape[0], x.shape[-2] * x.shape[-1] // 4, WIDTH)
        return {"input": [tokens], "output": [tokens.clone()]}


@pytest.fixture()
def graph_on(host: Host) -> Any:
    """`graph_on(model)`: KSampler on a small transformer."""

    def conditioning(seed: int, masked: bool) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        extra: dict[str, Any] = {"pooled_output": torch.randn(1, 16, generator=generator)}
        if masked:  # from it hosts count the tokens for Lumina
            extra["attention_mask"] = torch.ones(1, 7, dtype=torch.long)
        return host.give([[torch.randn(1, 7, 32, generator=generator), extra]])

    def make(model: Any) -> Graph:
        masked = model.model.model_config.unet_config["image_model"] == "lumina2"
        graph = sample(host.give(model), conditioning(1, masked), conditioning(2, masked))
        return {**graph, "latent": node("EmptySD3LatentImage", width=64, height=64, batch_size=1)}

    return make


def test_a_control_is_refused_exactly_where_the_hosts_does_nothing(host, graph_on) -> None:
    net, image = host.give(transformer_net(Ones(), extra_conds=[])), host.give(picture())
    graph = graph_on(flux_model())
    assert not torch.equal(latents(host, graph), latents(host, with_host_control(graph, net, image)))
    assert not torch.equal(latents(host, graph), latents(host, with_our_control(graph, net, image)))
    graph = graph_on(transformer_model("Lumina2", dict(LUMINA)))
    assert torch.equal(latents(host, graph), latents(host, with_host_control(graph, net, image)))
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: the MODEL is Lumina2, whose network takes no control"):
        latents(host, with_our_control(graph, net, image, if_never_applied="ignore"))


def test_a_network_of_another_pack_that_drops_the_control_is_named_at_its_first_call(host, graph_on) -> None:
    model = transformer_model("Lumina2", dict(LUMINA))
    network = model.model.diffusion_model
    network.__class__ = type("NextDiTOfAPack", (type(network),), {})
    calls: list[int] = []
    network.register_forward_pre_hook(lambda *_: calls.append(1))
    net, image = host.give(transformer_net(Ones(), extra_conds=[])), host.give(picture())
    with pytest.raises(NodeFailed, match=r"^sampler .*\(NextDiTOfAPack\) did not look at the control"):
        latents(host, with_our_control(graph_on(model), net, image))
    assert calls == [1]


def test_a_network_of_another_pack_that_adds_the_control_works(host, graph_on) -> None:
    model = flux_model()
    network = model.model.diffusion_model
    plain = latents(host, graph_on(model))

    class Wrapped(nn.Module):
        """As packs for quantised models have it: the arguments are handed on."""

        dtype = torch.float32

        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            return network(*args, **kwargs)

    model.model.diffusion_model = Wrapped()
    net, image = host.give(transformer_net(Ones(), extra_conds=[])), host.give(picture())
    assert not torch.equal(plain, latents(host, with_our_control(graph_on(model), net, image)))
