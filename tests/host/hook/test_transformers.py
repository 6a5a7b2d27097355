"""Controls for large transformers in our Apply: equal to the host's own, with masks on the grid of their tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node, sample
from host_models import PooledVAE, flux_model, flux_net, qwen_fun_net, qwen_model, qwen_net
from host_process import Host, NodeFailed
from torch import Tensor

FELT = 1e-3  # by what a control moves them at least
ROUNDING = 1e-4  # an area of ones is not 1 to the bit
KINDS = ["flux", "qwen", "qwen fun"]
MODELS = {"flux": flux_model, "qwen": qwen_model}
NETS = {"flux": flux_net, "qwen": qwen_net, "qwen fun": qwen_fun_net}
Case = tuple[Graph, Any, dict[str, Any]]


@pytest.fixture(scope="session")
def nets(host: Host) -> Callable[[str], Any]:
    """`nets(kind)`: its CONTROL_NET, made once."""
    by_kind: dict[str, Any] = {}

    def net(kind: str) -> Any:
        if kind not in by_kind:
            import comfy.controlnet

            if kind == "qwen fun" and not hasattr(comfy.controlnet, "QwenFunControlNet"):
                pytest.skip("this host has no Qwen Fun control")
            with torch.inference_mode():
                by_kind[kind] = NETS[kind]()
        return by_kind[kind]

    return net


@pytest.fixture(scope="session")
def models(host: Host) -> dict[str, Any]:
    with torch.inference_mode():
        return {family: make() for family, make in MODELS.items()}


@pytest.fixture()
def case(host: Host, models: dict[str, Any], nets: Callable[[str], Any]) -> Callable[..., Case]:
    """`case(kind, width=64, height=64)`: KSampler on a MODEL of the kind, its net, and what its Apply takes beside."""
    import comfy.model_management

    # the host reloads every model in its list, and stumbles over clones that are gone while a fixture holds their
    # network
    comfy.model_management.unload_all_models()
    comfy.model_management.current_loaded_models.clear()

    def conditioning(seed: int) -> dict[str, Any]:
        generator = torch.Generator().manual_seed(seed)
        return host.give(
            [[torch.randn(1, 7, 32, generator=generator), {"pooled_output": torch.randn(1, 16, generator=generator)}]]
        )

    def make(kind: str, width: int = 64, height: int = 64, batch: int = 2) -> Case:
        family = kind.split()[0]
        graph = sample(host.give(models[family]), conditioning(1), conditioning(2))
        graph["latent"] = node("EmptySD3LatentImage", width=width, height=height, batch_size=batch)
        if family != "qwen":
            return graph, nets(kind), {}
        return {**graph, "vae": host.give(PooledVAE())}, nets(kind), {"vae": ["vae", 0]}

    return make


def masked(mask: Tensor, host: Host) -> dict[str, Any]:
    return {"extra": {"mask": host.give(mask)}, "mask": ["mask", 0]}


def weighted(custom: str = "", base: str = "auto") -> dict[str, Any]:
    return {
        "extra": {"weights": node("ZeroctlWeights", rule="uniform", base=base, custom=custom)},
        "weights": ["weights", 0],
    }


@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_transformers_net_equals_the_hosts_apply(host, case, kind, negative) -> None:
    graph, net, inputs = case(kind)
    image = host.give(picture())
    theirs = with_host_control(graph, host.give(net), image, negative, strength=0.7, end_percent=0.9, **inputs)
    branches = "both" if negative else "cond"
    ours = with_our_control(graph, host.give(net), image, strength=0.7, end=0.9, branches=branches, **inputs)
    theirs, ours, plain = latents(host, theirs), latents(host, ours), latents(host, graph)
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, plain) > FELT


@pytest.mark.parametrize("kind", KINDS)
def test_cond_only_runs_the_net_on_half_of_the_rows(host, case, kind) -> None:
    graph, net, inputs = case(kind)
    image = host.give(picture(batch=2))
    calls = {}
    for branches in ("both", "cond", "uncond"):
        with counted(net.control_model) as calls[branches]:
            latents(host, with_our_control(graph, host.give(net), image, branches=branches, **inputs))
    assert calls == {"both": [4, 4], "cond": [2, 2], "uncond": [2, 2]}


@pytest.mark.parametrize(
    ("kind", "size"),
    [*((kind, (64, 64)) for kind in KINDS), ("qwen", (88, 56)), ("qwen fun", (88, 56))],  # Flux's takes no odd ones
)
def test_a_mask_of_zeros_is_no_control_and_of_ones_no_mask(host, case, kind, size) -> None:
    graph, net, inputs = case(kind, *size)
    image = host.give(picture(size[1], size[0]))
    everything, nothing = torch.ones(1, size[1], size[0]), torch.zeros(1, size[1], size[0])
    nowhere = latents(host, with_our_control(graph, host.give(net), image, **masked(nothing, host), **inputs))
    assert torch.equal(nowhere, latents(host, graph))
    everywhere = latents(host, with_our_control(graph, host.give(net), image, **masked(everything, host), **inputs))
    whole = latents(host, with_our_control(graph, host.give(net), image, **inputs))
    assert largest_difference(everywhere, whole) <= ROUNDING


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_weighs_the_tokens_of_its_part_of_the_picture(host, case, kind) -> None:
    """Seen in what reaches the network: tokens follow each other row by row, 16 pixels each."""
    graph, net, inputs = case(kind, 96, 64)
    mask = torch.zeros(1, 64, 96)
    mask[:, :32, 48:] = 1.0
    mask[:, 48:, :8] = 0.5
    grid = torch.zeros(4, 6)
    grid[:2, 3:] = 1.0
    grid[3:, 0] = 0.25
    whole, part = (
        received(host, with_our_control(graph, host.give(net), host.give(picture(64, 96)), **options, **inputs))
        for options in ({}, masked(mask, host))
    )
    assert len(whole) == len(part) > 1
    for one, other in zip(whole, part, strict=True):
        assert one.abs().max() > 0.0
        torch.testing.assert_close(other, one * grid.reshape(1, -1, 1))


def received(host: Host, graph: Graph) -> list[Tensor]:
    """What comes into the network as control in the first step, place by place."""
    from comfy.patcher_extension import WrappersMP

    calls: list[list[Tensor]] = []

    def look(executor: Any, x: Any, t: Any, c: Any, cross: Any, control: Any, options: Any, **extra: Any) -> Any:
        places = [control[place] for place in ("input", "output")]
        calls.append([value.clone() for values in places for value in values if value is not None])
        return executor(x, t, c, cross, control, options, **extra)

    probe = host.run(graph, keep={"model": ["ours", 0]})["model"].clone()
    probe.add_wrapper_with_key(WrappersMP.APPLY_MODEL, "test", look)
    sampler = graph["sampler"]
    inputs = {**sampler["inputs"], "model": ["probe", 0]}
    latents(host, {**graph, "probe": host.give(probe), "sampler": {**sampler, "inputs": inputs}})
    return calls[0]


@pytest.mark.parametrize("kind", KINDS)
def test_each_image_of_a_batch_has_its_mask(host, case, kind) -> None:
    graph, net, inputs = case(kind)
    image, masks = host.give(picture(batch=2)), torch.zeros(2, 64, 64)
    masks[1] = 1.0
    with counted(net.control_model) as calls:
        result = latents(host, with_our_control(graph, host.give(net), image, **masked(masks, host), **inputs))
    assert calls == [2, 2]  # one image of two, cond and uncond
    plain, whole = latents(host, graph), latents(host, with_our_control(graph, host.give(net), image, **inputs))
    assert torch.equal(result[0], plain[0])
    assert largest_difference(result[1], whole[1]) <= CLOSE
    assert largest_difference(whole[0], plain[0]) > FELT


@pytest.mark.parametrize(
    ("inputs", "pattern"),
    [
        ({"mode": "paper"}, "the rule resolution weighs the connections of a Stable Diffusion UNet"),
        (weighted("1, 1"), "has 57 outputs, but there are 2 weights"),
        (weighted(base="sd15"), "meant for the base sd15, the MODEL is Flux"),
    ],
)
def test_what_a_transformer_cannot_do_is_refused(host, case, inputs, pattern) -> None:
    graph, net, _ = case("flux")
    with pytest.raises(NodeFailed, match=pattern):
        latents(host, with_our_control(graph, host.give(net), host.give(picture()), **inputs))


def test_a_mask_on_tokens_of_no_picture_is_refused(host, case) -> None:
    graph, net, _ = case("flux")
    pooled = net.copy()
    inner = pooled.control_model

    class Pooled(torch.nn.Module):
        dtype = torch.float32

        def forward(self, **call: Any) -> Any:
            return {place: [value.mean(1, keepdim=True) for value in values] for place, values in inner(**call).items()}

    pooled.control_model = Pooled()
    inputs = masked(torch.eye(64)[None], host)
    with pytest.raises(NodeFailed, match=r"adds \(4, 1, 64\), and nothing says where .*Disconnect the mask"):
        latents(host, with_our_control(graph, host.give(pooled), host.give(picture()), **inputs))


def test_one_of_ours_on_a_transformer_is_refused(host, case, our_net) -> None:
    with pytest.raises(
        NodeFailed, match=r"is a control for SD 1.5 .*the MODEL is FluxSchnell \(no Stable Diffusion UNet\)"
    ):
        latents(host, with_our_control(case("flux")[0], host.give(our_net("narrow")), host.give(picture())))


# ---- a rule of its own for the strength


@pytest.mark.parametrize("strength", [2.0, 0.5])
def test_qwen_fun_keeps_its_curve_of_strength_with_weights_too(host, case, strength) -> None:
    graph, net, inputs = case("qwen fun")
    image = host.give(picture())
    theirs = latents(host, with_host_control(graph, host.give(net), image, strength=strength, **inputs))
    plain = with_our_control(graph, host.give(net), image, strength=strength, **inputs)
    ones = with_our_control(graph, host.give(net), image, strength=strength, **weighted("1, 1"), **inputs)
    assert largest_difference(theirs, latents(host, plain)) <= CLOSE
    assert largest_difference(theirs, latents(host, ones)) <= CLOSE


def test_a_negative_strength_turns_what_qwen_fun_adds_round(host, case) -> None:
    graph, net, inputs = case("qwen fun")
    image = host.give(picture())
    added, subtracted, weights = (
        received(host, with_our_control(graph, host.give(net), image, strength=strength, **extra, **inputs))
        for strength, extra in ((2.0, {}), (-2.0, {}), (-2.0, weighted("1, 1")))
    )
    for one, other, weight in zip(added, subtracted, weights, strict=True):
        assert one.abs().max() > 0.0
        assert torch.equal(other, -one) and torch.equal(weight, -one)
