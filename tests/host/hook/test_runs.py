"""A sampling run: what is computed once, what lives no longer than it, and what the host loads for it."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import (
    CLOSE,
    CONTROL,
    counted,
    largest_difference,
    latents,
    picture,
    with_host_control,
    with_our_control,
)
from host_graphs import Graph, node
from host_process import NodeFailed

ROOT = Path(__file__).resolve().parents[3]
FELT = 1e-2  # by what a random control moves them at least


@contextmanager
def features(net: Any) -> Iterator[list[weakref.ref]]:
    """Weak references to what the condition encoder was given and gave, one pair a call."""
    refs: list[weakref.ref] = []

    def remember(_: Any, args: tuple[Any, ...], output: Any) -> None:
        refs.extend((weakref.ref(args[0]), weakref.ref(output)))

    handle = net.control_model.net.input_hint_block.register_forward_hook(remember)
    try:
        yield refs
    finally:
        handle.remove()


def failing(model: Any, action: Any) -> Any:
    """A clone of the MODEL whose second call of the UNet runs `action` first."""
    calls: list[int] = []

    def wrapper(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            action()
        return apply_model(args["input"], args["timestep"], **args["c"])

    clone = model.clone()
    clone.set_model_unet_function_wrapper(wrapper)
    return clone


def broken() -> None:
    raise RuntimeError("broken on purpose")


@pytest.mark.parametrize("end", ["normal", "interrupt", "error"])
def test_nothing_of_a_run_outlives_it(host, graph_of, our_net, model_of, end) -> None:
    model, net = model_of("narrow"), our_net("narrow")
    if end != "normal":
        model = failing(model, host.nodes.interrupt_processing if end == "interrupt" else broken)
    graph = {**graph_of(steps=4), "model": host.give(model)}
    graph = with_our_control(graph, host.give(net), host.give(picture(80, 96)))
    patched = host.run(
        {key: graph[key] for key in ("model", "ours net", "ours image", "ours control", "ours")},
        keep={"model": ["ours", 0]},
    )["model"]
    sampling = {**graph, "ours": host.give(patched)}
    with features(net) as refs:
        if end == "normal":
            latents(host, sampling)
        else:
            with pytest.raises(NodeFailed, match="interrupted" if end == "interrupt" else "broken on purpose"):
                latents(host, sampling)
    gc.collect()
    assert len(refs) == 2 and all(ref() is None for ref in refs)
    assert "zeroctl" not in repr(patched.model_options)


def test_an_interruption_is_heard_between_two_masks(host, graph_of, our_net, monkeypatch) -> None:
    module = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.hook.placed"]
    prepare, shapes = module.prepared_mask, []

    def interrupting(mask: torch.Tensor, **options: Any) -> torch.Tensor:
        shapes.append(tuple(mask.shape))
        host.nodes.interrupt_processing()
        return prepare(mask, **options)

    monkeypatch.setattr(module, "prepared_mask", interrupting)
    masks = {"masks": host.give(torch.rand(3, 64, 64))}
    graph = with_our_control(
        graph_of(batch=3), host.give(our_net("narrow")), host.give(picture()), extra=masks, mask=["masks", 0]
    )
    with pytest.raises(NodeFailed, match="interrupted"):
        latents(host, graph)
    assert shapes == [(64, 64)]


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_the_condition_is_encoded_once_a_run(host, graph_of, our_net, sampler) -> None:
    net = our_net("narrow")
    graph = with_our_control(graph_of(steps=5, sampler=sampler), host.give(net), host.give(picture()))
    with features(net) as refs, counted(net.control_model.net) as calls:
        latents(host, graph)
    assert len(refs) == 2 and len(calls) == (5 if sampler == "euler" else 9)


def test_a_net_on_one_image_in_two_units_runs_once_a_step(host, graph_of, our_net, host_net) -> None:
    graph, net = graph_of(), our_net("narrow")
    one = with_our_control(graph, host.give(net), host.give(picture()), strength=0.7)
    two = with_our_control(graph, host.give(net), host.give(picture()), name="first", strength=0.3)
    two["second"] = node(
        "ZeroctlControl",
        control_net=["first net", 0],
        image=["first image", 0],
        stack=["first control", 0],
        **{**CONTROL, "strength": 0.4},
    )
    two["first"]["inputs"]["stack"] = ["second", 0]
    with counted(net.control_model.net) as calls:
        result = latents(host, two)
    assert list(calls) == [2, 2]
    assert largest_difference(latents(host, one), result) <= CLOSE


def test_two_runs_of_other_sizes_one_after_the_other(host, graph_of, our_net, host_net) -> None:
    """The second is the same without the first, and the first comes out the same again."""
    net, image = host.give(our_net("narrow")), host.give(picture())
    sizes = (64, 96, 64)
    ours = [latents(host, with_our_control(graph_of(size=size), net, image)) for size in sizes]
    theirs = [latents(host, with_host_control(graph_of(size=size), host_net("narrow"), image)) for size in sizes]
    for one, other in zip(theirs, ours, strict=True):
        assert largest_difference(one, other) <= CLOSE
    assert torch.equal(ours[0], ours[2])


def test_image_to_image_equals_the_host(host, graph_of, our_net, host_net) -> None:
    graph, image = graph_of(steps=3), host.give(picture())
    graph["latent"] = host.give({"samples": torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))})
    graph["sampler"]["inputs"]["denoise"] = 0.5
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image, start_percent=0.6, end_percent=0.9))
    ours = latents(host, with_our_control(graph, host.give(our_net("narrow")), image, start=0.6, end=0.9))
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(latents(host, graph), ours) > 1e-3


def advanced(graph: Graph, start: int, end: int) -> Graph:
    inputs = {key: value for key, value in graph["sampler"]["inputs"].items() if key not in ("seed", "denoise")}
    return {
        **graph,
        "sampler": node(
            "KSamplerAdvanced",
            **inputs,
            add_noise="enable",
            noise_seed=1,
            start_at_step=start,
            end_at_step=end,
            return_with_leftover_noise="enable",
        ),
    }


def test_a_part_of_the_steps_counts_those_of_the_whole_run(host, graph_of, our_net, host_net) -> None:
    """0.5..0.7 of 8 steps are numbers 4 and 5; of the 4 steps of this part alone it would be one."""
    net, image = our_net("narrow"), host.give(picture())
    window = node("ZeroctlSchedule", start=0.5, end=0.7, unit="steps", curve="", interpolation="linear")
    graph = advanced(graph_of(steps=8), 2, 6)
    ours = with_our_control(graph, host.give(net), image, schedule=["window", 0], extra={"window": window})
    with counted(net.control_model.net) as calls:
        result = latents(host, ours)
    assert len(calls) == 2
    whole = latents(host, with_our_control(graph, host.give(net), image))
    assert largest_difference(whole, latents(host, with_host_control(graph, host_net("narrow"), image))) <= CLOSE
    assert largest_difference(whole, result) > 1e-3


def test_another_aspect_is_said_once(host, graph_of, our_net) -> None:
    graph = graph_of(steps=3)
    result = host.run(
        with_our_control(graph, host.give(our_net("narrow")), host.give(picture(64, 128))),
        keep={"latent": ["sampler", 0]},
    )
    (notice,) = result.sent("zeroctl.notice")
    assert notice["title"] == "Condition image" and "8x8 cells" in notice["text"]
    fine = host.run(
        with_our_control(graph, host.give(our_net("narrow")), host.give(picture(128, 128))),
        keep={"latent": ["sampler", 0]},
    )
    assert not fine.sent("zeroctl.notice")


@pytest.mark.parametrize("sampler", ["lcm", "euler_ancestral"])
def test_one_step_equals_the_host(host, graph_of, our_net, host_net, sampler) -> None:
    graph, image = graph_of(steps=1, sampler=sampler, scheduler="sgm_uniform", cfg=1.0), host.give(picture())
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image))
    assert (
        largest_difference(theirs, latents(host, with_our_control(graph, host.give(our_net("narrow")), image))) <= CLOSE
    )


def test_a_batch_of_seeds_equals_its_single_runs(host, graph_of, our_net) -> None:
    net, image = host.give(our_net("narrow")), host.give(picture())
    noise = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(2)) * 80

    def run(start: torch.Tensor) -> torch.Tensor:
        graph = advanced(
            {**with_our_control(graph_of(), net, image, branches="cond"), "latent": host.give({"samples": start})}, 0, 2
        )
        graph["sampler"]["inputs"]["add_noise"] = "disable"
        return latents(host, graph)

    together = run(noise)
    for row in range(3):
        assert largest_difference(together[row : row + 1], run(noise[row : row + 1])) <= CLOSE


def test_the_host_loads_counts_and_unloads_the_net(host, graph_of, our_net, monkeypatch) -> None:
    import comfy.model_management
    import comfy.sampler_helpers

    def loaded() -> list[Any]:
        entries = [entry.model for entry in comfy.model_management.current_loaded_models]
        return [model for model in entries if model is not None]  # None: a clone of an earlier test that is gone

    batches: list[float] = []
    prepare = comfy.sampler_helpers._prepare_sampling

    def spied(model: Any, noise_shape: Any, *args: Any, **kwargs: Any) -> Any:
        batches.append(float(noise_shape[0]))
        return prepare(model, noise_shape, *args, **kwargs)

    monkeypatch.setattr(comfy.sampler_helpers, "_prepare_sampling", spied)
    comfy.model_management.unload_all_models()
    net = our_net("narrow")
    latents(host, with_our_control(graph_of(batch=2), host.give(net), host.give(picture())))
    assert any(model.model is net.control_model for model in loaded())
    (rows,) = batches
    assert 2.0 < rows < 4.0
    comfy.model_management.unload_all_models()
    assert not any(model.model is net.control_model for model in loaded())


def with_nodes(graph: Graph, *patches: tuple[str, dict[str, Any]]) -> Graph:
    for number, (class_type, inputs) in enumerate(patches):
        sampler = graph["sampler"]["inputs"]
        name = "model1" if class_type == "ModelMergeSimple" else "model"
        graph = {
            **graph,
            f"patch {number}": node(class_type, **{name: sampler["model"]}, **inputs),
            "sampler": {**graph["sampler"], "inputs": {**sampler, "model": [f"patch {number}", 0]}},
        }
    return graph


def test_a_chain_of_clones_after_apply_keeps_the_control(host, graph_of, our_net) -> None:
    """Two Applies, then clones by other nodes: one half merged into itself, and rescaled by nothing."""
    image = host.give(picture())
    graph = with_our_control(graph_of(), host.give(our_net("narrow", 0)), image, name="a", strength=0.6)
    graph = with_our_control(graph, host.give(our_net("narrow", 1)), image, name="b", strength=0.7)
    chained = with_nodes(
        graph, ("ModelMergeSimple", {"model2": ["model", 0], "ratio": 0.5}), ("RescaleCFG", {"multiplier": 0.0})
    )
    assert largest_difference(latents(host, graph), latents(host, chained)) <= CLOSE
    assert largest_difference(latents(host, graph_of()), latents(host, chained)) > FELT


def test_a_merged_model_without_control_stays_without(host, graph_of, our_net) -> None:
    """Control comes with the MODEL that is cloned, the first input of the merge."""
    graph = with_our_control(graph_of(), host.give(our_net("narrow")), host.give(picture()))
    merged = {**graph, "merge": node("ModelMergeSimple", model1=["model", 0], model2=["ours", 0], ratio=1.0)}
    merged["sampler"] = {**graph["sampler"], "inputs": {**graph["sampler"]["inputs"], "model": ["merge", 0]}}
    assert largest_difference(latents(host, graph_of()), latents(host, merged)) <= CLOSE


def test_the_module_deep_copies_without_its_hint(our_net) -> None:
    net = our_net("narrow")
    hint, x = picture().movedim(-1, 1), torch.randn(1, 4, 8, 8)
    call = {"x": x, "hint": hint, "timesteps": torch.tensor([500.0]), "context": torch.randn(1, 77, 768)}
    first = net.control_model(**call)
    copied = copy.deepcopy(net.control_model)
    second = copied(**call)
    for one, other in zip(first["output"] + first["middle"], second["output"] + second["middle"], strict=True):
        assert torch.equal(one, other)
    weights = dict(net.control_model.named_parameters())
    assert all(parameter.data_ptr() != weights[name].data_ptr() for name, parameter in copied.named_parameters())


@pytest.mark.parametrize("disable_dynamic", [False, True])
def test_the_patcher_can_be_made_again(host, our_net, disable_dynamic) -> None:
    """Newer hosts clone models for further devices, and for torch.compile, through `cached_patcher_init`."""
    wrapped = our_net("narrow").control_model_wrapped
    make, arguments = wrapped.cached_patcher_init
    further = make(*arguments, disable_dynamic=disable_dynamic)
    assert further.model is not wrapped.model and type(further.model) is type(wrapped.model)
    assert not (disable_dynamic and getattr(further, "is_dynamic", lambda: False)())
    ours = wrapped.model.state_dict()
    assert all(torch.equal(value, ours[key]) for key, value in further.model.state_dict().items())


@pytest.mark.parametrize("branches", ["both", "cond"])
def test_clones_for_further_devices_control_their_rows(host, graph_of, our_net, model_of, host_net, branches) -> None:
    """The host's multi-GPU path, with the CPU under a second name as the second device, one after the other."""
    import comfy.model_patcher

    if not hasattr(comfy.model_patcher.ModelPatcher, "deepclone_multigpu"):
        pytest.skip(f"ComfyUI {host.version} samples on one device")
    from host_models import cut_model

    net, image, graph = our_net("narrow"), host.give(picture()), graph_of()
    model = model_of("narrow").clone()
    model.cached_patcher_init = (lambda disable_dynamic=False: cut_model("narrow"), ())
    ours = with_our_control({**graph, "model": host.give(model)}, host.give(net), image, branches=branches)
    patched = host.run(
        {key: ours[key] for key in ("model", "ours net", "ours image", "ours control", "ours")},
        keep={"model": ["ours", 0]},
    )["model"]
    clone = patched.deepclone_multigpu(new_load_device=torch.device("cpu", 0))
    (second,) = clone.get_additional_models_with_key("zeroctl")
    assert second.clone_base_uuid == net.control_model_wrapped.clone_base_uuid
    assert second.model is not net.control_model
    clone.is_multigpu_base_clone = True
    both = patched.clone()
    both.set_additional_models("multigpu", [clone])
    with counted(net.control_model.net) as first_called, counted(second.model.net) as second_called:
        result = latents(host, {**ours, "ours": host.give(both)})
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image, negative=branches == "both"))
    assert largest_difference(theirs, result) <= CLOSE
    rows = sorted([sum(first_called), sum(second_called)])
    assert rows == ([2, 2] if branches == "both" else [0, 2])
