"""Anybody else's CONTROL_NET in our Apply: equal to the host's own Apply, with everything that ours adds to it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_models import filled
from host_process import Host, NodeFailed
from random_weights import NARROW, SPECS, prefixed, random_controlnet, random_unet
from safetensors.torch import save_file
from torch import Tensor, nn

FELT = 1e-3  # by what a control moves them at least
ADAPTED = replace(SPECS["narrow"], channel_mult=(1, 2), num_res_blocks=(2, 2))  # has the places of a T2I-Adapter
Net = Callable[[], dict[str, Any]]


# ---- the nets: what a graph's node of each kind gives


def cldm(preset: str, union_types: int | None = None) -> nn.Module:
    """The host's network for a ControlNet of the preset, with random weights; with types, its union network."""
    import comfy.cldm.cldm
    import comfy.model_detection

    weights = random_controlnet(preset, spread=0.1)
    config = comfy.model_detection.model_config_from_unet(weights, "", True).unet_config
    config.pop("out_channels")
    network = comfy.cldm.cldm.ControlNet(
        **config, hint_channels=3, dtype=torch.float32, union_controlnet_num_control_type=union_types
    )
    filled(network).load_state_dict(weights, strict=False)
    return network


def control_net(network: nn.Module, **options: Any) -> Any:
    import comfy.controlnet
    import comfy.model_management

    return comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device(), **options)


@pytest.fixture(scope="session")
def union(host: Host) -> Any:
    """A thin union net of SDXL with six types; the host makes them for 320 channels alone."""
    with torch.inference_mode():
        return control_net(cldm("thinxl", union_types=6))


@pytest.fixture(scope="session")
def control_lora_name(host: Host) -> str:
    """A narrow Control-LoRA: rank 8 for every layer of the encoder, everything else whole."""
    rank = 8
    weights: dict[str, Tensor] = {"lora_controlnet": torch.tensor([])}
    for key, value in random_controlnet("narrow", seed=5).items():
        whole = value.ndim == 1 or key.startswith(("zero_convs", "middle_block_out", "input_hint_block"))
        if whole:
            weights[key] = value
            continue
        generator = torch.Generator().manual_seed(len(weights))
        path, tail = key.removesuffix("weight"), value.shape[2:]
        weights[f"{path}up"] = torch.randn(value.shape[0], rank, *(1 for _ in tail), generator=generator) * 0.05
        weights[f"{path}down"] = torch.randn(rank, *value.shape[1:], generator=generator) * 0.05
    save_file(weights, host.base / "models" / "controlnet" / "lora-narrow.safetensors")
    return "lora-narrow.safetensors"


def adapter(channels: list[int], xl: bool = False) -> Any:
    """A small T2I-Adapter of the host."""
    import comfy.controlnet
    import comfy.t2i_adapter.adapter

    if xl:
        network = comfy.t2i_adapter.adapter.Adapter(
            cin=768, channels=channels, nums_rb=2, ksize=1, sk=True, use_conv=False, xl=True
        )
    else:
        network = comfy.t2i_adapter.adapter.Adapter_light(cin=192, channels=channels, nums_rb=1)
    return comfy.controlnet.T2IAdapter(filled(network), network.input_channels, 8, "nearest-exact")


@pytest.fixture(scope="session")
def t2i(host: Host) -> Any:
    """It acts on two places of the encoder of `ADAPTED`."""
    with torch.inference_mode():
        return adapter([NARROW, 2 * NARROW])


@pytest.fixture(scope="session")
def pooling_name(host: Host) -> str:
    """A net that the host averages over space, which it knows by the file's name."""
    name = "narrow_shuffle.safetensors"
    save_file(
        prefixed("control_model.", random_controlnet("narrow", seed=3)), host.base / "models" / "controlnet" / name
    )
    return name


@pytest.fixture(scope="session")
def nets(host, host_net, union, control_lora_name, t2i, pooling_name) -> dict[str, tuple[Any, Net]]:
    """Kind -> the MODEL's preset, and a node that gives such a net."""
    return {
        "sd15": ("narrow", lambda: host_net("narrow")),
        "sd21": ("narrow21", lambda: host_net("narrow21")),
        "sdxl": ("narrowxl", lambda: host_net("narrowxl")),
        "pooling": ("narrow", lambda: node("ControlNetLoader", control_net_name=pooling_name)),
        "lora": ("narrow", lambda: node("ControlNetLoader", control_net_name=control_lora_name)),
        "union": ("thinxl", lambda: host.give(union)),
        "t2i": (ADAPTED, lambda: host.give(t2i)),
    }


KINDS = ["sd15", "sd21", "sdxl", "pooling", "lora", "union", "t2i"]


@pytest.fixture(scope="session")
def foreign_of(graph_of, nets) -> Callable[..., tuple[Graph, dict[str, Any]]]:
    """`foreign_of(kind, **sample_options)`: a graph on a MODEL of the net's family, and the net's node."""
    return lambda kind, **options: (graph_of(nets[kind][0], **options), nets[kind][1]())


# ---- equal to the host's own Apply


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
def test_a_foreign_net_equals_the_hosts_apply(host, foreign_of, kind, negative) -> None:
    graph, net = foreign_of(kind)
    image = host.give(picture(80, 64))
    theirs = latents(host, with_host_control(graph, net, image, negative, strength=0.8))
    ours = latents(host, with_our_control(graph, net, image, branches="both" if negative else "cond", strength=0.8))
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, latents(host, graph)) > FELT


@pytest.mark.parametrize("kind", ["sd15", "lora", "union", "t2i"])
def test_window_strength_and_batch_equal_the_host(host, foreign_of, kind) -> None:
    graph, net = foreign_of(kind, steps=3, batch=2, scheduler="karras", sampler="heun")
    image = host.give(picture(batch=2))
    inputs = {"strength": 1.3, "start": 0.1, "end": 0.6}
    theirs = latents(host, with_host_control(graph, net, image, strength=1.3, start_percent=0.1, end_percent=0.6))
    ours = latents(host, with_our_control(graph, net, image, **inputs))
    assert largest_difference(theirs, ours) <= CLOSE
    whole = latents(host, with_our_control(graph, net, image, strength=1.3))
    assert largest_difference(whole, ours) > FELT


@pytest.mark.parametrize("kind", KINDS)
def test_strength_zero_and_off_are_bit_identical_to_no_control(host, foreign_of, kind) -> None:
    graph, net = foreign_of(kind)
    plain, image = latents(host, graph), host.give(picture())
    for inputs in ({"strength": 0.0}, {"enabled": False}):
        assert torch.equal(plain, latents(host, with_our_control(graph, net, image, **inputs)))


def test_a_union_type_is_felt_and_equals_the_host(host, foreign_of) -> None:
    graph, net = foreign_of("union")
    image = host.give(picture())
    results = []
    for kind in ("auto", "depth", "segment"):
        typed = node("SetUnionControlNetType", control_net=["union", 0], type=kind)
        theirs = with_host_control({**graph, "union": net}, typed, image)
        ours = with_our_control({**graph, "union": net}, typed, image)
        results.append(latents(host, ours))
        assert largest_difference(latents(host, theirs), results[-1]) <= CLOSE
    assert min(largest_difference(results[0], other) for other in results[1:]) > FELT


def test_a_union_type_that_the_net_does_not_have_is_refused(host, foreign_of) -> None:
    graph, net = foreign_of("union")
    typed = node("SetUnionControlNetType", control_net=["union", 0], type="repaint")
    with pytest.raises(NodeFailed, match="out of range"):
        latents(host, with_our_control({**graph, "union": net}, typed, host.give(picture())))


def test_two_foreign_nets_and_one_of_ours_equal_the_hosts_chain(host, foreign_of, our_net, host_net) -> None:
    graph, lora = foreign_of("lora")
    nets = [(lora, 0.6), (host_net("narrow"), 0.9)]
    images = [host.give(picture(seed=seed)) for seed in range(3)]
    theirs, ours = graph, graph
    for place, (net, strength) in enumerate(nets):
        theirs = with_host_control(theirs, net, images[place], name=f"n{place}", strength=strength)
        ours = with_our_control(ours, net, images[place], name=f"n{place}", strength=strength)
    theirs = with_host_control(theirs, host_net("narrow", 1), images[2], name="n2")
    ours = with_our_control(ours, host.give(our_net("narrow", 1)), images[2], name="n2")
    assert largest_difference(latents(host, theirs), latents(host, ours)) <= CLOSE


@pytest.fixture()
def rows_computed(host: Host, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The batch of every call of a ControlNet of the host's own code."""
    import comfy.cldm.cldm

    calls: list[int] = []
    forward = comfy.cldm.cldm.ControlNet.forward

    def counting(self: Any, x: Tensor, *args: Any, **call: Any) -> Any:
        calls.append(x.shape[0])
        return forward(self, x, *args, **call)

    monkeypatch.setattr(comfy.cldm.cldm.ControlNet, "forward", counting)
    return calls


@pytest.mark.parametrize("kind", ["sd15", "sdxl", "lora", "union"])
def test_a_net_computes_the_rows_that_see_it_alone(host, foreign_of, rows_computed, kind) -> None:
    graph, net = foreign_of(kind, batch=2)
    image, second = host.give(picture(batch=2)), torch.zeros(2, 64, 64)
    second[1] = 1.0
    counts = {}
    for name, inputs in {
        "both": {},
        "cond": {"branches": "cond"},
        "uncond": {"branches": "uncond"},
        "second of two": {"extra": {"mask": host.give(second)}, "mask": ["mask", 0]},
        "second and cond": {"extra": {"mask": host.give(second)}, "mask": ["mask", 0], "branches": "cond"},
    }.items():
        rows_computed.clear()
        counts[name] = latents(host, with_our_control(graph, net, image, **inputs)), list(rows_computed)
    assert {name: rows for name, (_, rows) in counts.items()} == {
        "both": [4, 4],
        "cond": [2, 2],
        "uncond": [2, 2],
        "second of two": [2, 2],
        "second and cond": [1, 1],
    }
    plain, masked = latents(host, graph), counts["second of two"][0]
    assert torch.equal(masked[0], plain[0])
    assert largest_difference(masked[1], counts["both"][0][1]) <= CLOSE


def test_a_net_may_transform_the_image_that_it_is_given(host, graph_of) -> None:
    import comfy.controlnet

    class Signed(comfy.controlnet.ControlNet):
        """Its network reads -1..1, as that of a ControlLLLite does."""

        def set_cond_hint(self, cond_hint: Tensor, *args: Any, **kwargs: Any) -> Any:
            super().set_cond_hint(cond_hint, *args, **kwargs)
            self.cond_hint_original = cond_hint * 2.0 - 1.0
            return self

        def copy(self) -> Any:
            copied = super().copy()
            copied.__class__ = Signed
            return copied

    network = cldm("narrow")
    graph = with_areas(graph_of(size=96))
    signed, plain = Signed(network, load_device=torch.device("cpu")), control_net(network)
    image = picture(96, 96)
    for case in (graph_of(), graph):  # the whole image, and a crop for each area
        ours = latents(host, with_our_control(case, host.give(signed), host.give(image)))
        same = latents(host, with_our_control(case, host.give(plain), host.give(image * 2.0 - 1.0)))
        assert torch.equal(ours, same)
    theirs = latents(host, with_host_control(graph_of(), host.give(signed), host.give(image)))
    assert (
        largest_difference(theirs, latents(host, with_our_control(graph_of(), host.give(signed), host.give(image))))
        <= CLOSE
    )


# ---- what the host's Apply cannot say: equal to our own path, which is tested on its own


def half_mask() -> Tensor:
    mask = torch.zeros(1, 64, 64)
    mask[:, :, :27] = 1.0
    mask[:, 40:, :] = 0.25
    return mask


WEIGHTS = "0.1, -0.2, 0.3, 0.4, 1.5"  # it has four skips and a middle


def weighted(custom: str = "", rule: str = "uniform", base: str = "auto") -> dict[str, Any]:
    return {
        "extra": {"weights": node("ZeroctlWeights", rule=rule, base=base, custom=custom)},
        "weights": ["weights", 0],
    }


SAME_AS_OURS: dict[str, dict[str, Any]] = {
    "uncond": {"branches": "uncond"},
    "fit": {"resize": "fit"},
    "stretch": {"resize": "stretch"},
    "negative": {"strength": -0.7},
    "weights": weighted(WEIGHTS),
    "rule": weighted(rule="resolution"),
    "soft cond": {"mode": "control"},
    "curve": {
        "extra": {
            "s": node(
                "ZeroctlSchedule", start=0.0, end=1.0, unit="steps", curve="1@0, 0.2@0.5, 0@0.7", interpolation="linear"
            )
        },
        "schedule": ["s", 0],
    },
}


@pytest.mark.parametrize("case", SAME_AS_OURS)
def test_what_ours_adds_acts_on_foreign_nets_alike(host, graph_of, our_net, host_net, case) -> None:
    graph, image = graph_of(steps=3), host.give(picture(96, 64))
    own = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, **SAME_AS_OURS[case]))
    foreign = latents(host, with_our_control(graph, host_net("narrow"), image, **SAME_AS_OURS[case]))
    assert largest_difference(own, foreign) <= CLOSE
    assert largest_difference(own, latents(host, with_our_control(graph, host_net("narrow"), image))) > FELT / 2


@pytest.mark.parametrize(
    "inputs",
    [{}, {"mask_invert": True, "mask_feather": 5.0}, {"branches": "cond", "resize": "fit"}],
    ids=["plain", "inverted", "cond-fit"],
)
def test_a_mask_acts_alike(host, graph_of, our_net, host_net, inputs) -> None:
    graph, image = graph_of(batch=2), host.give(picture(96, 64, batch=2))
    inputs = {**inputs, "extra": {"mask": host.give(half_mask())}, "mask": ["mask", 0]}
    own = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, **inputs))
    foreign = latents(host, with_our_control(graph, host_net("narrow"), image, **inputs))
    assert largest_difference(own, foreign) <= CLOSE
    assert largest_difference(own, latents(host, with_our_control(graph, host_net("narrow"), image))) > FELT


def test_a_mask_cuts_an_adapter_off_where_it_is_zero(host, foreign_of) -> None:
    graph, net = foreign_of("t2i", batch=2)
    image = host.give(picture(batch=2))
    nothing = {"extra": {"mask": host.give(torch.zeros(1, 64, 64))}, "mask": ["mask", 0]}
    everything = {"extra": {"mask": host.give(torch.ones(1, 64, 64))}, "mask": ["mask", 0]}
    assert torch.equal(latents(host, graph), latents(host, with_our_control(graph, net, image, **nothing)))
    whole = latents(host, with_our_control(graph, net, image))
    assert largest_difference(whole, latents(host, with_our_control(graph, net, image, **everything))) <= CLOSE


def with_areas(graph: Graph) -> Graph:
    """Two positives on overlapping areas of a 96 px canvas, in one call of the UNet."""
    areas = {
        f"area {i}": node(
            "ConditioningSetArea", conditioning=["positive", 0], width=64, height=64, x=x, y=y, strength=1.0
        )
        for i, (x, y) in enumerate([(0, 0), (32, 32)])
    }
    both = node("ConditioningCombine", conditioning_1=["area 0", 0], conditioning_2=["area 1", 0])
    sampler = graph["sampler"]
    return {
        **graph,
        **areas,
        "both": both,
        "sampler": {**sampler, "inputs": {**sampler["inputs"], "positive": ["both", 0]}},
    }


def test_areas_see_their_crop_of_the_condition(host, graph_of, our_net, host_net) -> None:
    graph, image = with_areas(graph_of(size=96, batch=2)), host.give(picture(96, 96, batch=2))
    for inputs in ({}, {"branches": "cond", "extra": {"mask": host.give(half_mask())}, "mask": ["mask", 0]}):
        own = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, **inputs))
        foreign = latents(host, with_our_control(graph, host_net("narrow"), image, **inputs))
        assert largest_difference(own, foreign) <= CLOSE
    squeezed = latents(host, with_host_control(graph, host_net("narrow"), image))
    assert largest_difference(own, squeezed) > FELT  # the host gives each area the whole image


def test_images_follow_their_rows_in_a_context_window_over_the_batch(host, graph_of, our_net, host_net) -> None:
    # three steps: the host compares four noise levels with a batch of four, other numbers it cannot compare
    graph, image = graph_of(batch=4, steps=3), host.give(picture(batch=4))
    window = host.nodes.NODE_CLASS_MAPPINGS["ContextWindowsManual"].INPUT_TYPES()["required"]
    inputs = {name: spec[1]["default"] for name, spec in window.items() if "default" in spec[1]}
    graph["window"] = node(
        "ContextWindowsManual",
        **{
            **inputs,
            "model": ["model", 0],
            "context_length": 2,
            "context_overlap": 0,
            "context_schedule": "standard_static",
            "dim": 0,
        },
    )
    graph["sampler"]["inputs"]["model"] = ["window", 0]
    own = latents(host, with_our_control(graph, host.give(our_net("narrow")), image))
    foreign = latents(host, with_our_control(graph, host_net("narrow"), image))
    assert largest_difference(own, foreign) <= CLOSE


# ---- weights by the number of outputs


REFUSED_COUNT = (
    "has {right} outputs, but there are {wrong} weights|expected {right} numbers as custom weights.*got {wrong}"
)
"""By Apply, or before by ControlNet Weights, where the file is known."""


@pytest.mark.parametrize(
    ("kind", "right", "wrong"), [("lora", 5, 4), ("t2i", 2, 6), ("union", 5, 10), ("pooling", 5, 13)]
)
def test_weights_must_be_one_an_output(host, foreign_of, kind, right, wrong) -> None:
    graph, net = foreign_of(kind)
    image = host.give(picture())
    ones = latents(host, with_our_control(graph, net, image, strength=0.5, **weighted(", ".join(["1"] * right))))
    assert largest_difference(ones, latents(host, with_our_control(graph, net, image, strength=0.5))) <= CLOSE
    zeros = latents(host, with_our_control(graph, net, image, **weighted(", ".join(["0"] * right))))
    assert torch.equal(zeros, latents(host, graph))
    with pytest.raises(NodeFailed, match=REFUSED_COUNT.format(right=right, wrong=wrong)):
        latents(host, with_our_control(graph, net, image, **weighted(", ".join(["1"] * wrong))))


def test_an_adapters_weights_go_from_shallow_to_deep(host, foreign_of, t2i) -> None:
    """The host lists what enters the encoder deep to shallow; the first weight is the shallow one's all the same."""
    graph, net = foreign_of("t2i")
    image = host.give(picture())
    first = latents(host, with_our_control(graph, net, image, **weighted("1, 0")))
    cut = t2i.copy()
    inner = cut.t2i_model

    class Shallow(nn.Module):
        unshuffle_amount = inner.unshuffle_amount

        def forward(self, hint: Tensor) -> dict[str, list[Tensor | None]]:
            return {"input": [None, *[None] * 2, *inner(hint)["input"][3:]]}

    cut.t2i_model = Shallow()
    assert largest_difference(first, latents(host, with_our_control(graph, host.give(cut), image))) <= CLOSE
    assert largest_difference(first, latents(host, with_our_control(graph, net, image))) > FELT


# ---- nets of another family


@pytest.mark.parametrize(
    ("kind", "preset", "pattern"),
    [
        ("sd15", "narrowxl", "SD 1.5 .*SDXL .*Load a control that was trained for SDXL"),
        ("sdxl", "narrow", "SDXL .*SD15 .*Load a control that was trained for SD15"),
        ("sd21", "narrow", "SD 2.*SD15 .*"),
        ("lora", "narrowxl", "ControlLora.* SD 1.5 .*SDXL"),
        ("union", "narrow", "SDXL .*SD15"),
        ("t2i", "narrow", "does not fit the MODEL"),
    ],
)
def test_a_foreign_net_of_another_family_is_refused(host, nets, graph_of, kind, preset, pattern) -> None:
    with pytest.raises(NodeFailed, match=pattern):
        latents(host, with_our_control(graph_of(preset), nets[kind][1](), host.give(picture())))


def test_an_adapter_on_an_odd_latent_acts(host, graph_of) -> None:
    """Its picture is rounded up to tiles of 16 px: the host drops what then is a cell too large."""
    spec = replace(SPECS["narrowxl"], channel_mult=(1, 2), num_res_blocks=(2, 2), transformer_depth=(0, 1))
    graph = graph_of(spec, size=72)
    with torch.inference_mode():
        net, image = host.give(adapter([NARROW, 2 * NARROW], xl=True)), host.give(picture(72, 72))
    assert largest_difference(latents(host, graph), latents(host, with_our_control(graph, net, image))) > FELT


# ---- nets that encode their condition image


class LatentHint(nn.Module):
    """A narrow SD 1.5 net whose condition is a latent and not a picture."""

    def __init__(self) -> None:
        import comfy.ops

        super().__init__()
        self.inner = cldm("narrow")
        self.dtype = torch.float32
        self.inner.input_hint_block = type(self.inner.middle_block)(
            filled(comfy.ops.disable_weight_init.Conv2d(4, NARROW, 3, padding=1))
        )

    def forward(self, **call: Any) -> Any:
        return self.inner(**call)


@pytest.fixture(scope="session")
def latent_net(host: Host) -> Any:
    import comfy.latent_formats

    with torch.inference_mode():
        return control_net(LatentHint(), compression_ratio=1, latent_format=comfy.latent_formats.SD15())


def test_a_net_that_needs_a_vae_and_has_none_is_refused_by_name(host, graph_of, latent_net) -> None:
    with pytest.raises(
        NodeFailed, match=r"control 1: controlnet.ControlNet around LatentHint encodes .* Connect .* vae"
    ):
        latents(host, with_our_control(graph_of(), host.give(latent_net), host.give(picture())))


def test_a_net_that_needs_a_vae_gets_it(host, graph_of, latent_net, thin_model) -> None:
    import comfy.model_management

    # the host reloads every model in its list, and stumbles over clones that are gone while a fixture holds their
    # network
    comfy.model_management.unload_all_models()
    comfy.model_management.current_loaded_models.clear()
    graph, image = graph_of(), host.give(picture())
    graph["vae"] = host.give(thin_model.vae)
    theirs = latents(host, with_host_control(graph, host.give(latent_net), image, vae=["vae", 0]))
    ours = latents(host, with_our_control(graph, host.give(latent_net), image, vae=["vae", 0]))
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, latents(host, graph)) > FELT


# ---- other packs


def loaded_by_acn(acn: Host, file: str) -> dict[str, Any]:
    """A node of Advanced-ControlNet that loads a file of the controlnet folder."""
    classes = acn.nodes.NODE_CLASS_MAPPINGS
    loader = next(name for name in ("ACN_ControlNetLoaderAdvanced", "ControlNetLoaderAdvanced") if name in classes)
    return node(loader, **{next(iter(classes[loader].INPUT_TYPES()["required"])): file})


@pytest.mark.parametrize("negative", [True, False], ids=["both", "cond"])
def test_advanced_controlnet_equals_the_hosts_apply(acn, graph_of, controlnet_file, negative) -> None:
    graph, image = graph_of(steps=3), acn.give(picture())
    net = loaded_by_acn(acn, controlnet_file("narrow", 0, torch.float32).name)
    theirs = latents(acn, with_host_control(graph, net, image, negative, strength=0.8, end_percent=0.7))
    ours = latents(
        acn, with_our_control(graph, net, image, strength=0.8, end=0.7, branches="both" if negative else "cond")
    )
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, latents(acn, graph)) > FELT


@pytest.fixture(scope="session")
def lllite(acn: Host) -> Any:
    """Advanced-ControlNet's net for a random ControlLLLite of the narrow SDXL."""
    weights: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(3)

    def layer(key: str, *shape: int) -> None:
        weights[f"{key}.weight"] = torch.randn(*shape, generator=generator) / math.prod(shape[1:]) ** 0.5
        weights[f"{key}.bias"] = torch.randn(shape[0], generator=generator) * 0.1

    for key, value in random_unet("narrowxl").items():
        if key.startswith("output_blocks") or not key.endswith((".attn1.to_q.weight", ".attn2.to_q.weight")):
            continue
        module, width, mlp = f"lllite_unet_{key.removesuffix('.weight').replace('.', '_')}", 32, 16
        # every token of this UNet covers 2x2 cells, 16 pixels a side
        layer(f"{module}.conditioning1.0", width // 2, 3, 4, 4)
        layer(f"{module}.conditioning1.2", width, width // 2, 4, 4)
        layer(f"{module}.down.0", mlp, value.shape[1])
        layer(f"{module}.mid.0", mlp, mlp + width)
        layer(f"{module}.up.0", value.shape[1], mlp)
    assert weights
    path = acn.base / "models" / "controlnet" / "lllite.safetensors"
    save_file(weights, path)
    return acn.run({"net": loaded_by_acn(acn, path.name)}, keep={"net": ["net", 0]})["net"]


@pytest.mark.parametrize("window", [(0.0, 1.0), (0.0, 0.4), (0.6, 1.0)], ids=["always", "first", "last"])
def test_a_control_lllite_of_advanced_controlnet_equals_the_hosts_apply(acn, lllite, graph_of, window) -> None:
    start, end = window
    graph, image = graph_of("narrowxl", batch=2, steps=4), acn.give(picture(batch=2))
    theirs = with_host_control(graph, acn.give(lllite), image, strength=0.8, start_percent=start, end_percent=end)
    ours = with_our_control(
        graph, acn.give(lllite), image, strength=0.8, start=start, end=end, if_never_applied="error"
    )
    theirs, ours = latents(acn, theirs), latents(acn, ours)
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, latents(acn, graph)) > FELT


@pytest.mark.parametrize(
    ("inputs", "fault"),
    [
        ({"mask": ["mask", 0], "extra": {"mask": {}}}, "a mask"),
        ({"mode": "control"}, "the weights a1111_prompt, branches cond"),
        (weighted("1, 1, 1, 1"), "the weights custom"),
        ({"branches": "uncond"}, "branches uncond"),
    ],
    ids=["mask", "mode", "weights", "branch"],
)
def test_what_a_control_lllite_would_ignore_is_refused(acn, lllite, graph_of, inputs, fault) -> None:
    if "mask" in inputs:
        inputs = {**inputs, "extra": {"mask": acn.give(half_mask())}}
    with pytest.raises(NodeFailed, match=f"^ours .*control 1: .*patches .* would ignore {fault}. Set mode"):
        latents(acn, with_our_control(graph_of("narrowxl"), acn.give(lllite), acn.give(picture()), **inputs))


def test_a_control_lllite_with_areas_is_refused(acn, lllite, graph_of) -> None:
    graph = with_areas(graph_of("narrowxl", size=96))
    with pytest.raises(NodeFailed, match="holds several areas"):
        latents(acn, with_our_control(graph, acn.give(lllite), acn.give(picture(96, 96))))


def test_a_control_lllite_acts_where_a_node_may_skip_the_unet(acn, lllite, graph_of) -> None:
    graph, image = graph_of("narrowxl", steps=3), acn.give(picture())
    plain = with_our_control(graph, acn.give(lllite), image)
    cache = node("EasyCache", model=["ours", 0], reuse_threshold=0.0, start_percent=0.0, end_percent=1.0, verbose=False)
    sampler = plain["sampler"]
    cached = {**plain, "cache": cache, "sampler": {**sampler, "inputs": {**sampler["inputs"], "model": ["cache", 0]}}}
    assert largest_difference(latents(acn, plain), latents(acn, cached)) <= CLOSE
    assert largest_difference(latents(acn, graph), latents(acn, cached)) > FELT


def test_what_acts_by_hooks_of_its_own_is_refused(acn, graph_of) -> None:
    reference = node("ACN_ReferenceControlNet", reference_type="reference_attn", style_fidelity=0.5, ref_weight=1.0)
    with pytest.raises(NodeFailed, match="acts through hooks that the host takes from the conditioning"):
        latents(acn, with_our_control(graph_of(), reference, acn.give(picture())))


def test_a_stack_of_other_packs_comes_back_as_it_went(host, graph_of, our_net, host_net) -> None:
    graph, images = graph_of(), [host.give(picture(seed=seed)) for seed in (0, 1)]
    chained = with_our_control(graph, host.give(our_net("narrow")), images[0], name="a", strength=0.7, end=0.8)
    chained = with_our_control(chained, host_net("narrow", 1), images[1], name="b", stack=["a control", 0])
    chained["b"]["inputs"]["model"] = ["model", 0]
    there = {**chained, "to": node("ZeroctlStackToLegacy", stack=["b control", 0])}
    back = {**there, "from": node("ZeroctlStackFromLegacy", control_net_stack=["to", 0])}
    back["b"] = {**back["b"], "inputs": {**back["b"]["inputs"], "stack": ["from", 0]}}
    result = host.run(back, keep={"latent": ["sampler", 0], "rows": ["to", 0], "went": ["to", 1], "came": ["from", 1]})
    assert torch.equal(latents(host, chained), result["latent"]["samples"])
    assert [row[2:] for row in result["rows"]] == [(0.7, 0.0, 0.8), (1.0, 0.0, 1.0)]
    assert all(torch.equal(row[1], picture(seed=seed)) for seed, row in enumerate(result["rows"]))
    assert result["went"].splitlines()[:2] == ["control 1: complete", "control 2: complete"]
    assert result["came"] == "control 1: strength 0.7, timesteps 0 to 0.8\ncontrol 2: strength 1, timesteps 0 to 1"


def test_what_the_plain_stack_cannot_say_is_named(host, our_net) -> None:
    extra = {
        "mask": host.give(half_mask()),
        "steps": node("ZeroctlSchedule", start=0.0, end=0.5, unit="steps", curve="1@0, 0@1", interpolation="linear"),
    }
    base = {"model": host.give(None), "sampler": {"class_type": "", "inputs": {"model": ["model", 0]}}}
    graph = with_our_control(
        base,
        host.give(our_net("narrow")),
        host.give(picture()),
        name="a",
        mode="paper",
        resize="fit",
        mask=["mask", 0],
        schedule=["steps", 0],
        extra=extra,
    )
    graph = with_our_control(
        graph, host.give(our_net("narrow")), host.give(picture()), name="b", enabled=False, stack=["a control", 0]
    )
    del graph["a"], graph["b"], graph["sampler"], graph["model"]
    graph["to"] = node("ZeroctlStackToLegacy", stack=["b control", 0])
    result = host.run(graph, keep={"rows": ["to", 0], "report": ["to", 1]})
    assert len(result["rows"]) == 1
    first, second, _ = result["report"].splitlines()
    for lost in (
        "weights (resolution)",
        "branches cond",
        "the window in steps",
        "the curve 1@0, 0@1",
        "the mask",
        "resize fit",
    ):
        assert lost in first
    assert second == "control 2: switched off, left out"
