"""Our Apply against the host's own, through the real graph executor and KSampler, on random weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from control_graphs import CLOSE, counted, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node, sample
from host_process import Host

FELT = 1e-2  # by what a random control moves them at least
SEEN = 1e-3  # by what another condition image does

FAMILIES = [("narrow", "narrow", False), ("narrow21", "narrow21", True), ("narrowxl", "narrowxl", False)]


@pytest.mark.parametrize(("preset", "net", "v_prediction"), FAMILIES, ids=["sd15", "sd21-v", "sdxl"])
def test_both_branches_equal_the_hosts_apply(host, graph_of, our_net, host_net, preset, net, v_prediction) -> None:
    graph, image = graph_of(preset, v_prediction), host.give(picture())
    theirs = latents(host, with_host_control(graph, host_net(net), image))
    ours = latents(host, with_our_control(graph, host.give(our_net(net)), image))
    assert largest_difference(theirs, ours) <= CLOSE
    assert largest_difference(theirs, latents(host, graph)) > FELT


@pytest.mark.parametrize(("preset", "net", "v_prediction"), FAMILIES, ids=["sd15", "sd21-v", "sdxl"])
def test_cond_only_equals_positive_only_with_one_unet_call_a_step(
    host, model_of, graph_of, our_net, host_net, preset, net, v_prediction
) -> None:
    graph, image = graph_of(preset, v_prediction, steps=3), host.give(picture())
    unet, own = model_of(preset, v_prediction=v_prediction).model.diffusion_model, our_net(net)
    with counted(unet) as theirs_called:
        theirs = latents(host, with_host_control(graph, host_net(net), image, negative=False))
    with counted(unet) as calls, counted(own.control_model.net) as net_called:
        ours = latents(host, with_our_control(graph, host.give(own), image, branches="cond"))
    assert largest_difference(theirs, ours) <= CLOSE
    assert list(calls) == [2, 2, 2] and list(net_called) == [1, 1, 1]
    assert len(theirs_called) == 6  # the host splits the batch


def own_control(host: Host, graph: Graph, net: Any, image: Any, **inputs: Any) -> torch.Tensor:
    return latents(host, with_our_control(graph, host.give(net), image, **inputs))


def test_strength_zero_and_a_closed_window_are_bit_identical_to_no_control(host, graph_of, our_net) -> None:
    graph, image, net = graph_of(steps=3), host.give(picture()), our_net("narrow")
    plain = latents(host, graph)
    window = node("ZeroctlSchedule", start=20.0, end=15.0, unit="sigma", curve="", interpolation="linear")
    with counted(net.control_model.net) as calls:
        closed = host.run(
            with_our_control(graph, host.give(net), image, schedule=["window", 0], extra={"window": window}),
            keep={"latent": ["sampler", 0]},
        )
        assert torch.equal(plain, own_control(host, graph, net, image, strength=0.0))
        assert torch.equal(plain, own_control(host, graph, net, image, enabled=False))
        assert torch.equal(plain, closed["latent"]["samples"])
    assert not calls
    (notice,) = closed.sent("zeroctl.notice")
    assert "never acted" in notice["title"]


def test_an_untrained_net_runs_and_changes_nothing_to_the_bit(host, graph_of, model_of) -> None:
    graph, image = graph_of(steps=3), host.give(picture())
    copied = host.run(
        {"model": host.give(model_of("narrow")), "copy": node("ZeroctlCopyFromModel", model=["model", 0])},
        keep={"net": ["copy", 0]},
    )["net"]
    with counted(copied.control_model.net) as calls:
        assert torch.equal(latents(host, graph), own_control(host, graph, copied, image))
    assert list(calls) == [2, 2, 2]


def test_two_chained_applies_equal_one(host, graph_of, our_net) -> None:
    graph = graph_of(steps=2)
    nets, images = [host.give(our_net("narrow", seed)) for seed in (0, 1)], [host.give(picture(seed=s)) for s in (0, 1)]
    chained = graph
    for place in (0, 1):
        chained = with_our_control(chained, nets[place], images[place], name=f"c{place}", strength=0.7)
    one = with_our_control(graph, nets[0], images[0], name="c0", strength=0.7)
    other = with_our_control(one, nets[1], images[1], name="c1", strength=0.7, stack=["c0 control", 0])
    other["c1"]["inputs"]["model"] = ["model", 0]
    swapped = with_our_control(graph, nets[1], images[1], name="c1", strength=0.7)
    swapped = with_our_control(swapped, nets[0], images[0], name="c0", strength=0.7, stack=["c1 control", 0])
    swapped["c0"]["inputs"]["model"] = ["model", 0]
    result = latents(host, chained)
    assert largest_difference(result, latents(host, other)) <= CLOSE
    assert largest_difference(result, latents(host, swapped)) <= CLOSE
    assert largest_difference(result, latents(host, one)) > FELT


def test_two_nets_equal_the_hosts_chain(host, graph_of, our_net, host_net) -> None:
    graph = graph_of(steps=2)
    images = [host.give(picture(seed=s)) for s in (0, 1)]
    theirs = with_host_control(graph, host_net("narrow", 0), images[0], name="a", strength=0.6, end_percent=0.5)
    theirs = with_host_control(theirs, host_net("narrow", 1), images[1], name="b", strength=-0.8)
    ours = with_our_control(graph, host.give(our_net("narrow", 0)), images[0], name="a", strength=0.6, end=0.5)
    ours = with_our_control(ours, host.give(our_net("narrow", 1)), images[1], name="b", strength=-0.8)
    theirs["b"]["inputs"]["strength"] = 0.8  # the host takes no negative strength
    ours["b control"]["inputs"]["strength"] = 0.8
    assert largest_difference(latents(host, theirs), latents(host, ours)) <= CLOSE


def test_the_given_model_samples_as_before(host, graph_of, our_net, model_of) -> None:
    graph, image = graph_of(), host.give(picture())
    before = latents(host, graph)
    model = model_of("narrow")
    state = repr((model.model_options, model.wrappers, model.attachments, model.additional_models))
    own_control(host, graph, our_net("narrow"), image)
    assert torch.equal(before, latents(host, graph))
    assert repr((model.model_options, model.wrappers, model.attachments, model.additional_models)) == state


@pytest.mark.parametrize(
    ("sampler", "cfg", "batch"),
    [("heun", 3.0, 1), ("dpmpp_sde", 7.0, 1), ("euler", 7.0, 3), ("euler", 1.0, 1), ("dpm_2", 5.0, 2)],
)
@pytest.mark.parametrize("branches", ["both", "cond"])
def test_samplers_batches_and_cfg_equal_the_host(
    host, graph_of, our_net, host_net, sampler, cfg, batch, branches
) -> None:
    graph = graph_of(steps=3, sampler=sampler, scheduler="karras", cfg=cfg, batch=batch)
    image = host.give(picture())
    theirs = with_host_control(
        graph, host_net("narrow"), image, negative=branches == "both", start_percent=0.1, end_percent=0.8
    )
    ours = own_control(host, graph, our_net("narrow"), image, branches=branches, start=0.1, end=0.8)
    assert largest_difference(latents(host, theirs), ours) <= CLOSE


def test_a_batch_equals_its_runs_and_row_r_sees_image_r(host, graph_of, our_net) -> None:
    images = picture(batch=2)
    graph = graph_of(batch=2)
    together = own_control(host, graph, our_net("narrow"), host.give(images))
    for row in range(2):
        alone = own_control(host, graph, our_net("narrow"), host.give(images[row : row + 1]))
        assert largest_difference(together[row : row + 1], alone[row : row + 1]) <= CLOSE
    assert (
        largest_difference(together[:1], own_control(host, graph, our_net("narrow"), host.give(images[1:]))[:1]) > SEEN
    )


def test_two_positives_equal_the_host(host, graph_of, our_net, host_net, conditioning_of) -> None:
    graph, image = graph_of(), host.give(picture())
    graph["second"] = host.give(conditioning_of("narrow", seed=3))
    graph["both"] = node("ConditioningCombine", conditioning_1=["positive", 0], conditioning_2=["second", 0])
    graph["sampler"]["inputs"]["positive"] = ["both", 0]
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image))
    assert largest_difference(theirs, own_control(host, graph, our_net("narrow"), image)) <= CLOSE
    cond = latents(host, with_host_control(graph, host_net("narrow"), image, negative=False))
    assert largest_difference(cond, own_control(host, graph, our_net("narrow"), image, branches="cond")) <= CLOSE


def test_an_inpaint_base_with_nine_channels_equals_the_host(host, model_of, conditioning_of, our_net, host_net) -> None:
    from dataclasses import replace

    from random_weights import SPECS

    graph = sample(
        host.give(model_of(replace(SPECS["narrow"], in_channels=9))),
        host.give(conditioning_of("narrow", seed=1)),
        host.give(conditioning_of("narrow", seed=2)),
    )
    image = host.give(picture())
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image))
    assert largest_difference(theirs, own_control(host, graph, our_net("narrow"), image)) <= CLOSE


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (96, 96), (80, 128)])
def test_crop_equals_the_hosts_resize_to_the_bit(host, graph_of, our_net, host_net, size) -> None:
    graph, image = graph_of(), host.give(picture(*size))
    theirs = latents(host, with_host_control(graph, host_net("narrow"), image))
    assert torch.equal(theirs, own_control(host, graph, our_net("narrow"), image))


def test_our_control_net_works_in_the_hosts_own_apply(host, graph_of, our_net, host_net) -> None:
    graph, image = graph_of(batch=2), host.give(picture(batch=2))
    for negative in (True, False):
        theirs = latents(host, with_host_control(graph, host_net("narrow"), image, negative))
        ours = latents(host, with_host_control(graph, host.give(our_net("narrow")), image, negative))
        assert torch.equal(theirs, ours)


def test_existing_control_is_added_to(host, graph_of, our_net, host_net) -> None:
    graph, image = graph_of(), host.give(picture())
    theirs = with_host_control(graph, host_net("narrow", 0), image, name="a")
    both = with_host_control(theirs, host_net("narrow", 1), image, name="b")
    mixed = with_our_control(theirs, host.give(our_net("narrow", 1)), image)
    assert largest_difference(latents(host, both), latents(host, mixed)) <= CLOSE
