"""A batch that a node gives the UNet in windows: every row sees the image and the mask of its sample of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_our_control
from host_graphs import Graph, node
from host_process import NodeFailed

SEEN = 1e-3  # by what another condition image moves the latents
FRAMES = 4
# overlapping; looped, so that a window goes on at the first sample; samples in an order that does not ascend
WINDOWS = {
    "overlapping": ([0, 1, 2], [1, 2, 3]),
    "looped": ([2, 3, 0], [1, 2, 3]),
    "descending": ([3, 1], [2, 0]),
}


def windowed(host: Any, graph: Graph, model: Any, windows: Sequence[Sequence[int]], names: bool = True) -> Graph:
    """The graph with a MODEL whose batch runs in windows, averaged; `names`: in `ad_params`, as AnimateDiff-Evolved."""

    def calc_cond_batch(executor: Any, inner: Any, conds: Any, x: Any, sigma: Any, options: dict[str, Any]) -> Any:
        totals = [torch.zeros_like(x) for _ in conds]
        counts = torch.zeros(len(x), 1, 1, 1)
        for window in windows:
            rows = list(window)
            transformer = dict(options["transformer_options"])
            if names:
                transformer["ad_params"] = {
                    "full_length": len(x),
                    "context_length": len(rows),
                    "sub_idxs": rows,
                }
            here = {**options, "transformer_options": transformer}
            for total, part in zip(totals, executor(inner, conds, x[rows], sigma[rows], here), strict=True):
                total[rows] += part
            counts[rows] += 1
        return [total / counts for total in totals]

    from comfy.patcher_extension import WrappersMP

    clone = model.clone()
    clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "windows of a test", calc_cond_batch)
    return {**graph, "model": host.give(clone)}


def with_two_conds(graph: Graph, host: Any, conditioning: Any) -> Graph:
    graph = {**graph, "second": host.give(conditioning)}
    graph["both"] = node("ConditioningCombine", conditioning_1=["positive", 0], conditioning_2=["second", 0])
    sampler = graph["sampler"]
    return {**graph, "sampler": {**sampler, "inputs": {**sampler["inputs"], "positive": ["both", 0]}}}


@pytest.mark.parametrize(
    ("windows", "branches"), [(w, "both") for w in WINDOWS.values()] + [(WINDOWS["looped"], "cond")]
)
def test_rows_of_a_window_see_images_and_masks_of_their_samples(
    host, graph_of, our_net, model_of, conditioning_of, windows, branches
) -> None:
    """Samples are independent of each other, so the windowed run must be the plain one."""
    graph = with_two_conds(graph_of(batch=FRAMES), host, conditioning_of("narrow", seed=3))
    masks = torch.rand(FRAMES, 64, 64, generator=torch.Generator().manual_seed(4))

    def run(graph: Graph) -> Any:
        net, images = host.give(our_net("narrow")), host.give(picture(batch=FRAMES))
        mask = {"mask": ["masks", 0], "extra": {"masks": host.give(masks)}}
        return host.run(
            with_our_control(graph, net, images, branches=branches, **mask), keep={"latent": ["sampler", 0]}
        )

    plain = run(graph)["latent"]["samples"]
    result = run(windowed(host, graph, model_of("narrow"), windows))
    assert largest_difference(plain, result["latent"]["samples"]) <= CLOSE
    assert not result.sent("zeroctl.notice")


@pytest.mark.parametrize("per_sample", ["4 condition images", "4 masks"])
def test_windows_that_nobody_names_are_refused(host, graph_of, our_net, model_of, per_sample) -> None:
    graph = windowed(host, graph_of(batch=FRAMES), model_of("narrow"), WINDOWS["overlapping"], names=False)
    images = picture(batch=4 if "image" in per_sample else 1)
    mask = {} if "image" in per_sample else {"mask": ["masks", 0], "extra": {"masks": host.give(torch.ones(4, 64, 64))}}
    with pytest.raises(NodeFailed, match=f"3 latents of each conditioning, in a run of 4.*control 1 has {per_sample}"):
        latents(host, with_our_control(graph, host.give(our_net("narrow")), host.give(images), **mask))


def test_windows_are_no_matter_where_all_samples_have_one_image(host, graph_of, our_net, model_of) -> None:
    graph = graph_of(batch=FRAMES)
    net, image = host.give(our_net("narrow")), host.give(picture())
    plain = latents(host, with_our_control(graph, net, image))
    unnamed = windowed(host, graph, model_of("narrow"), WINDOWS["overlapping"], names=False)
    result = host.run(with_our_control(unnamed, net, image), keep={"latent": ["sampler", 0]})
    assert largest_difference(plain, result["latent"]["samples"]) <= CLOSE
    assert not result.sent("zeroctl.notice")


def test_a_window_of_another_length_says_nothing_about_the_whole_batch(host, graph_of, our_net, model_of) -> None:
    """Parameters of an earlier window lie about while the whole batch runs."""
    net, images = host.give(our_net("narrow")), host.give(picture(batch=FRAMES))
    stale = model_of("narrow").clone()
    stale.model_options["transformer_options"]["ad_params"] = {"full_length": 4, "sub_idxs": [3, 1]}
    graph = graph_of(batch=FRAMES)
    plain = latents(host, with_our_control(graph, net, images))
    result = latents(host, with_our_control({**graph, "model": host.give(stale)}, net, images))
    assert torch.equal(plain, result)
