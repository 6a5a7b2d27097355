"""Custom numbers that do not fit the net ahead are refused at ControlNet Weights, where they stand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CONTROL, picture
from host_graphs import Graph, node
from host_process import Host, NodeFailed

THREE, FIVE = "1, 0.5, 1", "1, 0.5, 1, 0.5, 1"  # narrow nets have five connections
KEEP = {"latent": ["sampler", 0]}


@pytest.fixture()
def with_numbers(host: Host, graph_of, controlnet_file: Callable[..., Path]) -> Callable[..., Graph]:
    name = controlnet_file("narrow", 0, torch.float32).name
    plain, image = graph_of(), host.give(picture())

    def make(custom: str, loader: str = "ZeroctlLoadControlNet", file: str = name, **control: Any) -> Graph:
        values = {**CONTROL, "control_net": ["net", 0], "image": ["image", 0], "weights": ["weights", 0], **control}
        return {
            **plain,
            "image": image,
            "net": node(loader, control_net_name=file),
            "weights": node("ZeroctlWeights", rule="uniform", base="auto", custom=custom),
            "control": node("ZeroctlControl", **values),
            "apply": node("ZeroctlApply", model=["model", 0], stack=["control", 0], if_never_applied="warn"),
            "sampler": node("KSampler", **{**plain["sampler"]["inputs"], "model": ["apply", 0]}),
        }

    return make


@pytest.mark.parametrize("loader", ["ZeroctlLoadControlNet", "ControlNetLoader"])
def test_the_node_with_the_numbers_is_the_one_that_fails(host: Host, with_numbers, loader: str) -> None:
    words = r"narrow-0-float32.safetensors, a control for SD 1.5: expected 5 numbers as custom weights.*got 3"
    with pytest.raises(NodeFailed, match=words) as caught:
        host.run(with_numbers(THREE, loader), keep=KEEP)
    assert (caught.value.node_id, caught.value.node_type) == ("weights", "ZeroctlWeights")


def test_what_fits_runs(host: Host, with_numbers) -> None:
    host.run(with_numbers(FIVE), keep=KEEP)


def test_where_no_file_is_named_apply_refuses_them(host: Host, with_numbers, our_net) -> None:
    graph = {**with_numbers(THREE), "net": host.give(our_net("narrow"))}
    with pytest.raises(NodeFailed, match="expected 5 numbers") as caught:
        host.run(graph, keep=KEEP)
    assert caught.value.node_id == "apply"


def test_a_control_that_is_off_and_a_file_that_cannot_be_read_ask_nothing(
    host: Host, with_numbers, controlnet_file: Callable[..., Path]
) -> None:
    host.run(with_numbers(THREE, enabled=False), keep=KEEP)
    broken = controlnet_file("narrow", 0, torch.float32).with_name("broken.safetensors")
    broken.write_bytes(b"not weights")
    try:
        with pytest.raises(NodeFailed, match="broken.safetensors") as caught:
            host.run(with_numbers(THREE, file=broken.name), keep=KEEP)
        assert caught.value.node_id == "net"
    finally:
        broken.unlink()
