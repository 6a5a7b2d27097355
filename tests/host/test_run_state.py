"""What one sampling run makes, how often it computes it, and that nothing of it outlives the run."""
from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from control_graphs import counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import node
from host_process import NodeFailed

CLOSE = 1e-4
FELT = 1e-2


def runs_alive() -> list[Any]:
    """Every sampling run of ours that something still holds."""
    gc.collect()
    return [thing for thing in gc.get_objects() if type(thing).__name__ == "SamplingRun"]


@pytest.mark.parametrize("sampler", ["euler", "heun"])
def test_the_condition_is_encoded_once_a_run(host, graph_of, our_net, sampler) -> None:
    net = our_net("thin")
    graph = with_our_control(graph_of(steps=5, sampler=sampler), host.give(net), host.give(picture()))
    with counted(net.control_model.net.input_hint_block) as encoded, counted(net.control_model.net) as called:
        latents(host, graph)
    assert list(encoded) == [1] and len(called) >= 5


def test_two_units_with_the_same_net_and_image_run_it_once(host, graph_of, our_net) -> None:
    net = our_net("thin")
    graph = graph_of(steps=3)
    half = with_our_control(graph, host.give(net), host.give(picture()), strength=0.5)
    half["second"] = node("ZeroctlControl", **{**half["ours control"]["inputs"], "stack": ["ours control", 0]})
    half["ours"]["inputs"]["stack"] = ["second", 0]
    whole = with_our_control(graph, host.give(net), host.give(picture()))
    with counted(net.control_model.net) as called:
        both = latents(host, half)
    assert list(called) == [2, 2, 2]
    assert torch.equal(both, latents(host, whole))


def test_a_chained_apply_shares_the_run_of_the_same_net(host, graph_of, our_net) -> None:
    net = our_net("thin")
    graph = with_our_control(graph_of(steps=2), host.give(net), image := host.give(picture()), name="a", strength=0.5)
    graph = with_our_control(graph, graph["a net"], image, name="b", strength=0.5)
    graph["b control"]["inputs"].update(control_net=["a net", 0], image=["a image", 0])
    with counted(net.control_model.net) as called:
        latents(host, graph)
    assert list(called) == [2, 2]


def test_nothing_outlives_a_run(host, graph_of, our_net) -> None:
    latents(host, with_our_control(graph_of(), host.give(our_net("thin")), host.give(picture())))
    assert not runs_alive()


def test_nothing_outlives_an_interrupt_or_an_error(host, model_of, graph_of, our_net) -> None:
    class Broken(RuntimeError):
        pass

    def wrapper(apply_model: Any, args: dict[str, Any]) -> torch.Tensor:
        out = apply_model(args["input"], args["timestep"], **args["c"])
        if mode == "interrupt":
            host.nodes.interrupt_processing()
            return out
        raise Broken("broken on purpose")

    for mode in ("interrupt", "error"):
        model = model_of("thin").clone()
        model.set_model_unet_function_wrapper(wrapper)
        graph = graph_of(steps=4)
        graph["model"] = host.give(model)
        with pytest.raises(NodeFailed, match="interrupted|broken on purpose"):
            latents(host, with_our_control(graph, host.give(our_net("thin")), host.give(picture())))
        assert not runs_alive(), mode
    # and the next run is as if nothing had happened
    graph = with_our_control(graph_of(), host.give(our_net("thin")), host.give(picture()))
    assert torch.equal(latents(host, graph), latents(host, graph))


def test_two_runs_of_one_model_in_two_sizes(host, graph_of, our_net, host_net) -> None:
    net, image = host.give(our_net("thin")), host.give(picture())
    for size in (64, 96, 64):
        graph = graph_of(size=size)
        theirs = latents(host, with_host_control(graph, host_net("thin"), image))
        assert largest_difference(theirs, latents(host, with_our_control(graph, net, image))) <= CLOSE


def test_a_partial_run_counts_its_own_steps(host, graph_of, our_net) -> None:
    """denoise 0.5 of 4 steps: the unit `steps` counts the steps of this run, as A1111 does."""
    net = our_net("thin")
    graph = graph_of(steps=4)
    graph["sampler"]["inputs"]["denoise"] = 0.5
    window = node("ZeroctlSchedule", start=0.0, end=0.5, unit="steps", curve="", interpolation="linear")
    graph = with_our_control(graph, host.give(net), host.give(picture()), schedule=["window", 0], extra={"window": window})
    with counted(net.control_model.net) as called:
        latents(host, graph)
    assert len(called) == 3  # i / 4 <= 0.5 for i = 0, 1, 2


def test_the_host_counts_and_loads_the_net_as_one_of_its_own(host, graph_of, our_net) -> None:
    import comfy.model_management
    net = our_net("thin")
    comfy.model_management.unload_all_models()
    latents(host, with_our_control(graph_of(), host.give(net), host.give(picture())))
    loaded = [entry.model.model for entry in comfy.model_management.current_loaded_models if entry.model is not None]
    assert any(module is net.control_model for module in loaded)


def test_the_memory_estimate_grows_by_the_control(host, graph_of, our_net, monkeypatch) -> None:
    import comfy.sampler_helpers
    asked = []
    real = comfy.sampler_helpers.estimate_memory

    def recorded(model: Any, shape: Any, *args: Any) -> Any:
        asked.append(list(shape))
        return real(model, shape, *args)

    monkeypatch.setattr(comfy.sampler_helpers, "estimate_memory", recorded)
    graph = graph_of()
    latents(host, graph)
    latents(host, with_our_control(graph, host.give(our_net("thin")), host.give(picture())))
    assert asked[0][0] == 1 and 1.0 < asked[1][0] < 3.0 and asked[0][1:] == asked[1][1:]


def test_a_clone_and_a_lora_behind_our_apply_keep_the_control(host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(), host.give(our_net("thin")), host.give(picture()))
    wanted = latents(host, graph)
    model = host.run(graph, keep={"model": ["ours", 0]})["model"]
    graph["ours"] = host.give(model.clone().clone())
    assert torch.equal(wanted, latents(host, graph))


def test_other_proportions_are_said_once(host, graph_of, our_net) -> None:
    graph = with_our_control(graph_of(steps=3), host.give(our_net("thin")), host.give(picture(64, 128)))
    told = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert [data["title"] for data in told] == ["Condition image"] and "50.0%" in told[0]["text"]


@pytest.mark.parametrize("images", [2, 3])
def test_images_that_do_not_divide_the_batch_are_said(host, graph_of, our_net, images) -> None:
    graph = with_our_control(graph_of(batch=2 if images == 3 else 3), host.give(our_net("thin")), host.give(picture(batch=images)))
    told = host.run(graph, keep={"latent": ["sampler", 0]}).sent("zeroctl.notice")
    assert [data["title"] for data in told] == ["Batch"]


def test_a_mask_keeps_the_control_inside(host, graph_of, our_net) -> None:
    graph, image, net = graph_of(size=128, steps=1), host.give(picture(128, 128)), host.give(our_net("thin"))
    plain, full = latents(host, graph), latents(host, with_our_control(graph, net, image))

    def masked(mask: torch.Tensor, **inputs: Any) -> torch.Tensor:
        return latents(host, with_our_control(graph, net, image, mask=["mask", 0], extra={"mask": host.give(mask)}, **inputs))

    assert torch.equal(masked(torch.zeros(1, 128, 128)), plain)
    assert torch.equal(masked(torch.ones(1, 128, 128)), full)
    assert torch.equal(masked(torch.zeros(1, 32, 32), mask_invert=True), full)
    half = torch.zeros(1, 128, 128)
    half[..., :64] = 1
    one, other = masked(half), masked(half, mask_invert=True)
    assert largest_difference(one, other) > FELT and largest_difference(one, plain) > FELT


def test_our_control_net_copies_for_further_devices(host, our_net) -> None:
    import copy
    net = our_net("thin")
    with torch.inference_mode(False):
        copied = copy.deepcopy(net.control_model)
    assert copied is not net.control_model
    assert all(torch.equal(a, b) for a, b in zip(copied.state_dict().values(), net.control_model.state_dict().values(), strict=True))
    factory, arguments = net.control_model_wrapped.cached_patcher_init
    for made in (factory(*arguments), factory(*arguments, disable_dynamic=True)):
        assert type(made.model) is type(net.control_model) and made.model is not net.control_model
    if hasattr(net, "deepclone_multigpu"):
        clone = net.deepclone_multigpu(torch.device("cpu"))
        assert clone.control_model is not net.control_model
