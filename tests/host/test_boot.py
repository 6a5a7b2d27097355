"""The bench itself: the host boots, our pack loads in it, and a picture comes out of its own nodes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from host_graphs import node, sample, text_to_image
from host_process import Host, NodeFailed, PackNotLoaded, PromptRefused
from host_server import HostServer
from random_weights import SPECS, UNetSpec

ROOT = Path(__file__).resolve().parents[2]
INPAINT = replace(SPECS["thin"], in_channels=9)


def test_the_host_boots_with_its_own_nodes(bare_host: Host) -> None:
    assert {"KSampler", "ControlNetApplyAdvanced", "SaveImage"} <= set(bare_host.nodes.NODE_CLASS_MAPPINGS)
    assert Path(sys.modules["nodes"].__file__ or "").parent == bare_host.checkout
    assert Path(bare_host.folder_paths.get_output_directory()) == bare_host.base / "output"


def test_our_pack_loads_with_all_its_nodes(host: Host) -> None:
    module = host.pack_module(ROOT)
    ids = [n.GET_SCHEMA().node_id for n in host.wait(host.wait(module.comfy_entrypoint()).get_node_list())]
    assert ids and all(node_id.startswith("Zeroctl") for node_id in ids)
    assert set(ids) <= set(host.nodes.NODE_CLASS_MAPPINGS)
    assert sys.modules["zeroctl_core"].__file__ == str(ROOT / "zeroctl_core" / "__init__.py")


def test_a_picture_comes_out_of_the_hosts_own_nodes(bare_host: Host, thin_checkpoint_name: str) -> None:
    result = bare_host.run(text_to_image(thin_checkpoint_name), keep={"latent": ["sampler", 0], "image": ["decode", 0]})
    latent, image = result["latent"]["samples"], result["image"]
    assert latent.shape == (1, 4, 8, 8) and image.shape == (1, 64, 64, 3)
    assert torch.isfinite(latent).all() and torch.isfinite(image).all()
    assert latent.std() > 0.1 and image.std() > 0.01
    entry = result.ui["save"]["images"][0]
    assert (bare_host.base / "output" / entry["filename"]).is_file()


def test_objects_of_a_test_can_enter_a_graph(bare_host: Host, thin_model: tuple, thin_checkpoint_name: str) -> None:
    graph = text_to_image(thin_checkpoint_name)
    whole = bare_host.run(graph, keep={"latent": ["sampler", 0]})
    graph["given"] = bare_host.give(thin_model.model)
    graph["sampler"]["inputs"]["model"] = ["given", 0]
    result = bare_host.run(graph, keep={"latent": ["sampler", 0]})
    assert torch.equal(whole["latent"]["samples"], result["latent"]["samples"])


@pytest.mark.parametrize(
    ("preset", "v_prediction"),
    [("thin", False), ("thin21", True), ("thinxl", False), (INPAINT, False)],
    ids=["sd15", "sd21-v", "sdxl", "inpaint"],
)
def test_the_hosts_own_control_changes_the_latent(
    bare_host: Host,
    model_of: Callable,
    conditioning_of: Callable,
    controlnet_file: Callable,
    preset: str | UNetSpec,
    v_prediction: bool,
) -> None:
    """The random control must be felt in every family, or no later comparison could fail."""
    graph = sample(
        bare_host.give(model_of(preset, v_prediction=v_prediction)),
        bare_host.give(conditioning_of(preset, seed=1)),
        bare_host.give(conditioning_of(preset, seed=2)),
    )
    plain = bare_host.run(graph, keep={"latent": ["sampler", 0]})["latent"]["samples"]
    net = controlnet_file("thin" if preset is INPAINT else preset).name
    graph["image"] = bare_host.give(torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0)))
    graph["net"] = node("ControlNetLoader", control_net_name=net)
    graph["apply"] = node(
        "ControlNetApplyAdvanced",
        positive=["positive", 0],
        negative=["negative", 0],
        control_net=["net", 0],
        image=["image", 0],
        strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )
    graph["sampler"]["inputs"].update(positive=["apply", 0], negative=["apply", 1])
    controlled = bare_host.run(graph, keep={"latent": ["sampler", 0]})["latent"]["samples"]
    assert torch.isfinite(controlled).all()
    assert (controlled - plain).norm() / plain.norm() > 0.01


def test_a_run_can_be_interrupted(bare_host: Host, model_of: Callable, conditioning_of: Callable) -> None:
    calls = []

    def interrupt_at_second_call(apply_model: Callable, args: dict[str, Any]) -> torch.Tensor:
        calls.append(args["timestep"])
        if len(calls) == 2:
            bare_host.nodes.interrupt_processing()
        return apply_model(args["input"], args["timestep"], **args["c"])

    model = model_of("thin").clone()
    model.set_model_unet_function_wrapper(interrupt_at_second_call)
    text = bare_host.give(conditioning_of("thin"))
    graph = sample(bare_host.give(model), text, text, steps=5)
    with pytest.raises(NodeFailed, match="interrupted"):
        bare_host.run(graph, keep={"latent": ["sampler", 0]})
    assert [data["value"] for event, data in bare_host.events if event == "progress"] == [1]


def test_a_refused_prompt_raises_with_the_hosts_words(bare_host: Host, thin_checkpoint_name: str) -> None:
    graph = text_to_image(thin_checkpoint_name)
    graph["sampler"]["inputs"]["steps"] = -1
    with pytest.raises(PromptRefused, match="(?s)sampler \\(KSampler\\).*steps"):
        bare_host.run(graph)


def test_a_failing_node_raises_with_its_words(bare_host: Host) -> None:
    graph = {"list": bare_host.give([]), "save": node("SaveImage", images=["list", 0], filename_prefix="x")}
    with pytest.raises(NodeFailed, match="save \\(SaveImage\\): .*IndexError"):
        bare_host.run(graph)


def test_a_pack_that_fails_raises_with_the_hosts_log(bare_host: Host, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text("raise ValueError('broken on purpose')")
    with pytest.raises(PackNotLoaded, match="broken on purpose"):
        bare_host.load_pack(tmp_path)


def test_the_server_makes_the_same_picture(
    bare_host: Host, thin_checkpoint_name: str, start_server: Callable[..., HostServer]
) -> None:
    graph = text_to_image(thin_checkpoint_name)
    image = bare_host.run(graph, keep={"image": ["decode", 0]})["image"]
    with start_server() as server:
        (picture,) = server.images(server.run(graph), "save")
        graph["sampler"]["inputs"]["cfg"] = "high"
        with pytest.raises(PromptRefused, match="cfg"):
            server.run(graph)
    assert picture.format == "PNG" and picture.size == (64, 64)
    here = image[0].mul(255).clamp(0, 255).byte().numpy()
    assert np.abs(np.asarray(picture).astype(int) - here.astype(int)).max() <= 1


def test_the_server_lists_our_nodes(host: Host, server: HostServer) -> None:
    ours = {node_id for node_id in host.nodes.NODE_CLASS_MAPPINGS if node_id.startswith("Zeroctl")}
    node_ids = {node_id for node_id in server.get("/object_info") if node_id.startswith("Zeroctl")}
    assert node_ids == ours, server.log()[-2000:]
