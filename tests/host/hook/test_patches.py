"""Controls beside the host's patches of the UNet: each in both orders, and what others change on the way."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_process import NodeFailed
from safetensors.torch import save_file

FELT = 1e-2  # by what a random control moves them at least
SEEN = 1e-3  # by what another condition image does


def with_patch(graph: Graph, class_type: str, name: str = "patch", **inputs: Any) -> Graph:
    """The graph with one more node on the MODEL's way into the sampler."""
    sampler = graph["sampler"]["inputs"]
    return {
        **graph,
        name: node(class_type, model=sampler["model"], **inputs),
        "sampler": {**graph["sampler"], "inputs": {**sampler, "model": [name, 0]}},
    }


def seeded(host: Any, graph: Graph) -> torch.Tensor:
    """Run the graph from one state of the generator that HyperTile and ToMe draw from."""
    torch.manual_seed(0)
    return latents(host, graph)


PATCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "hypertile": ("HyperTile", {"tile_size": 32, "swap_size": 2, "max_depth": 1, "scale_depth": False}),
    "freeu": ("FreeU", {"b1": 1.1, "b2": 1.2, "s1": 0.9, "s2": 0.2}),
    "freeu v2": ("FreeU_V2", {"b1": 1.3, "b2": 1.4, "s1": 0.9, "s2": 0.2}),
    "tome": ("TomePatchModel", {"ratio": 0.3}),
    "lora": ("LoraLoaderModelOnly", {"lora_name": "random.safetensors", "strength_model": 0.8}),
    "self attention": ("UNetSelfAttentionMultiply", {"q": 1.2, "k": 0.9, "v": 1.1, "out": 1.0}),
}


@pytest.fixture(scope="session")
def lora(bare_host, model_of) -> Path:
    """A random LoRA of every attention query of the narrow UNet, where the host lists it."""
    generator = torch.Generator().manual_seed(0)
    weights = {}
    for key, weight in model_of("narrow").model.diffusion_model.state_dict().items():
        if key.endswith("to_q.weight"):
            name = "lora_unet_" + key.removesuffix(".weight").replace(".", "_")
            weights[f"{name}.lora_up.weight"] = torch.randn(weight.shape[0], 4, generator=generator) * 0.2
            weights[f"{name}.lora_down.weight"] = torch.randn(4, weight.shape[1], generator=generator) * 0.2
            weights[f"{name}.alpha"] = torch.tensor(4.0)
    assert weights
    path = bare_host.base / "models" / "loras" / "random.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(weights, path)
    return path


@pytest.mark.parametrize("name", PATCHES)
def test_a_patch_equals_the_hosts_apply_in_both_orders(host, graph_of, our_net, host_net, lora, name) -> None:
    class_type, inputs = PATCHES[name]
    preset = (
        "narrowxl" if name.startswith("freeu") else "narrow"
    )  # FreeU acts on twice and four times the model's width
    image, net = host.give(picture()), host.give(our_net(preset))
    graph = graph_of(preset)
    patched = with_patch(graph, class_type, **inputs)
    theirs = seeded(host, with_host_control(patched, host_net(preset), image))
    after = seeded(host, with_our_control(patched, net, image))
    before = seeded(host, with_patch(with_our_control(graph, net, image), class_type, **inputs))
    assert largest_difference(theirs, after) <= CLOSE
    assert torch.equal(after, before)
    assert largest_difference(after, seeded(host, with_our_control(graph, net, image))) > SEEN


def test_lora_hooks_on_one_cond_equal_the_host(host, graph_of, our_net, host_net, lora, model_of) -> None:
    """Conds with different hooks run in calls of their own, with other weights in the UNet."""
    graph, image, net = graph_of(), host.give(picture()), our_net("narrow")
    graph["hook"] = node("CreateHookLora", lora_name="random.safetensors", strength_model=0.8, strength_clip=0.0)
    graph["hooked"] = node(
        "ConditioningSetProperties", cond_NEW=["positive", 0], strength=1.0, set_cond_area="default", hooks=["hook", 0]
    )
    hooked = {
        **graph,
        "sampler": {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], "positive": ["hooked", 0]}},
    }
    for branches in ("both", "cond"):
        theirs = latents(host, with_host_control(hooked, host_net("narrow"), image, negative=branches == "both"))
        with counted(net.control_model.net) as calls:
            ours = latents(host, with_our_control(hooked, host.give(net), image, branches=branches))
        assert largest_difference(theirs, ours) <= CLOSE
        assert list(calls) == [1] * (4 if branches == "both" else 2)
    assert (
        largest_difference(ours, latents(host, with_our_control(graph, host.give(net), image, branches="cond"))) > SEEN
    )


# block, factor, after the skip; block 2 of the narrow UNet is its first downsampling
SHRINKS = [(1, 2.0, True), (1, 2.0, False), (2, 2.0, True), (3, 1.5, True), (3, 2.0, False)]


def shrunk(graph: Graph, block: int, factor: float, after: bool, name: str = "shrink", end: float = 1.0) -> Graph:
    return with_patch(
        graph,
        "PatchModelAddDownscale",
        name,
        block_number=block,
        downscale_factor=factor,
        start_percent=0.0,
        end_percent=end,
        downscale_after_skip=after,
        downscale_method="bilinear",
        upscale_method="bilinear",
    )


@pytest.mark.parametrize(("block", "factor", "after"), SHRINKS)
@pytest.mark.parametrize("first", ["shrink", "control"])
def test_deep_shrink_drops_no_residual(
    host, graph_of, our_net, caplog, monkeypatch, block, factor, after, first
) -> None:
    import comfy.ldm.modules.diffusionmodules.openaimodel as openaimodel

    shapes = []
    apply_control = openaimodel.apply_control

    def spied(h: torch.Tensor, control: Any, place: str) -> torch.Tensor:
        before = h.clone()
        out = apply_control(h, control, place)
        if place != "input":
            shapes.append((place, tuple(h.shape[-2:]), not torch.equal(before, out)))
        return out

    monkeypatch.setattr(openaimodel, "apply_control", spied)
    net, image = host.give(our_net("narrow")), host.give(picture(128, 128))
    graph = graph_of(size=128)
    controlled = (
        with_our_control(shrunk(graph, block, factor, after), net, image)
        if first == "shrink"
        else shrunk(with_our_control(graph, net, image), block, factor, after)
    )
    with caplog.at_level(logging.WARNING):
        result = host.run(controlled, keep={"latent": ["sampler", 0]})
    assert "control could not be applied" not in caplog.text
    assert len({size for _, size, _ in shapes}) > 1 and all(changed for *_, changed in shapes)
    assert len(shapes) == 2 * len(our_net("narrow").control_model.net.base.connections)
    (notice,) = result.sent("zeroctl.notice")
    assert notice["title"] == "Control resized"
    ours = result["latent"]["samples"]
    monkeypatch.undo()
    assert largest_difference(ours, latents(host, shrunk(graph, block, factor, after))) > SEEN


def test_two_deep_shrinks_in_one_model(host, graph_of, our_net, caplog) -> None:
    graph = shrunk(shrunk(graph_of(size=128), 1, 1.5, True, "one"), 3, 1.5, False, "two")
    with caplog.at_level(logging.WARNING):
        result = host.run(
            with_our_control(graph, host.give(our_net("narrow")), host.give(picture(128, 128))),
            keep={"latent": ["sampler", 0]},
        )
    assert "control could not be applied" not in caplog.text
    assert len(result.sent("zeroctl.notice")) == 1


def test_where_deep_shrink_changes_no_size_the_result_equals_the_hosts(host, graph_of, our_net, host_net) -> None:
    graph, image = shrunk(graph_of(), 3, 2.0, True, end=0.0), host.give(picture())
    graph = shrunk(graph, 1, 1.0, False, "same size")
    graph["patch"] = node(
        "PatchModelAddDownscale",
        model=["same size", 0],
        block_number=2,
        downscale_factor=2.0,
        start_percent=0.9,
        end_percent=1.0,
        downscale_after_skip=True,
        downscale_method="bilinear",
        upscale_method="bilinear",
    )
    theirs = with_host_control(graph, host_net("narrow"), image)
    result = host.run(with_our_control(graph, host.give(our_net("narrow")), image), keep={"latent": ["sampler", 0]})
    assert largest_difference(latents(host, theirs), result["latent"]["samples"]) <= CLOSE


def test_a_function_wrapper_equals_the_host(host, graph_of, our_net, host_net, model_of) -> None:
    """A wrapper around apply_model, as packs set it."""
    model = model_of("narrow").clone()
    model.set_model_unet_function_wrapper(
        lambda apply_model, args: apply_model(args["input"], args["timestep"], **args["c"]) * 0.9
    )
    graph, image = {**graph_of(), "model": host.give(model)}, host.give(picture())
    for branches in ("both", "cond"):
        theirs = latents(host, with_host_control(graph, host_net("narrow"), image, negative=branches == "both"))
        ours = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, branches=branches))
        assert largest_difference(theirs, ours) <= CLOSE


def wrapped(host: Any, graph: Graph, model: Any, wrapper: Any) -> Graph:
    model = model.clone()
    model.set_model_unet_function_wrapper(wrapper)
    return {**graph, "model": host.give(model)}


def test_tiles_made_in_the_unet_call_are_said(host, graph_of, our_net, model_of) -> None:
    """Which part of the canvas such a tile is, nobody says: each gets the whole image, and the log says so once."""

    def left_half_twice(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
        half = apply_model(args["input"][..., :8], args["timestep"], **args["c"])
        return torch.cat([half, half], dim=-1)

    graph = wrapped(host, graph_of(size=128), model_of("narrow"), left_half_twice)
    result = host.run(
        with_our_control(graph, host.give(our_net("narrow")), host.give(picture(128, 128))),
        keep={"latent": ["sampler", 0]},
    )
    (notice,) = result.sent("zeroctl.notice")
    assert notice["title"] == "Another size" and "ComfyUI's own Apply ControlNet" in notice["text"]


def test_a_call_split_by_rows_without_saying_so_is_an_error(host, graph_of, our_net, model_of) -> None:
    def row_by_row(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
        context = args["c"]["c_crossattn"]
        return torch.cat(
            [
                apply_model(
                    args["input"][row : row + 1],
                    args["timestep"][row : row + 1],
                    **{**args["c"], "c_crossattn": context[row : row + 1]},
                )
                for row in range(len(args["input"]))
            ]
        )

    graph = wrapped(host, graph_of(), model_of("narrow"), row_by_row)
    with pytest.raises(NodeFailed, match="1 latent for 2 conditionings.*use ComfyUI's own Apply ControlNet"):
        latents(host, with_our_control(graph, host.give(our_net("narrow")), host.give(picture())))


EASY = {"reuse_threshold": 0.5, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}


@pytest.mark.parametrize("cache", ["EasyCache", "LazyCache"])
@pytest.mark.parametrize("first", ["cache", "control"])
def test_a_skipped_step_costs_no_control(host, graph_of, our_net, host_net, model_of, cache, first) -> None:
    graph, image, net = graph_of(steps=12), host.give(picture()), our_net("narrow")
    ours = (
        with_our_control(with_patch(graph, cache, **EASY), host.give(net), image)
        if first == "cache"
        else with_patch(with_our_control(graph, host.give(net), image), cache, **EASY)
    )
    unet = model_of("narrow").model.diffusion_model
    with counted(unet.input_blocks[0][0]) as calls, counted(net.control_model.net) as net_called:
        result = latents(host, ours)
    assert 0 < len(calls) < 12 and list(net_called) == list(calls)
    theirs = latents(host, with_host_control(with_patch(graph, cache, **EASY), host_net("narrow"), image))
    assert largest_difference(theirs, result) <= CLOSE


def test_context_windows_see_the_images_of_their_samples(host, graph_of, our_net, model_of) -> None:
    """Windows over the batch, fused with equal weights: row r is the run of image r alone.

    On 0.3.64 the host itself fails unless the batch is one more than the steps.
    """
    images, graph = picture(batch=3), graph_of(batch=3, steps=2)
    inputs = {
        "context_length": 2,
        "context_overlap": 1,
        "context_schedule": "standard_static",
        "context_stride": 1,
        "closed_loop": False,
        "fuse_method": "flat",
        "dim": 0,
    }
    if host.version != "0.3.64":
        inputs |= {
            "freenoise": False,
            "cond_retain_index_list": "",
            "split_conds_to_windows": False,
            "latent_retain_index_list": "",
            "causal_window_fix": True,
        }
    for branches in ("both", "cond"):
        without = with_our_control(graph, host.give(our_net("narrow")), host.give(images), branches=branches)
        result = host.run(with_patch(without, "ContextWindowsManual", **inputs), keep={"latent": ["sampler", 0]})
        assert largest_difference(latents(host, without), result["latent"]["samples"]) <= CLOSE
        assert not result.sent("zeroctl.notice")


@pytest.mark.parametrize("first", ["compile", "control"])
def test_a_compiled_unet_gives_the_same_image(host, graph_of, our_net, model_of, first) -> None:
    graph, image, net = graph_of(), host.give(picture()), our_net("narrow")
    eager = latents(host, with_our_control(graph, host.give(net), image))
    options = {"backend": "inductor"}
    compiled = (
        with_our_control(with_patch(graph, "TorchCompileModel", **options), host.give(net), image)
        if first == "compile"
        else with_patch(with_our_control(graph, host.give(net), image), "TorchCompileModel", **options)
    )
    assert largest_difference(eager, latents(host, compiled)) <= 1e-3
