"""Files in and out through the graph: layouts, dtypes, what is said of them; copies of nets and of a MODEL."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CLOSE, largest_difference, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_models import cut_model
from host_process import Host, NodeFailed
from random_weights import SPECS, UNetSpec, prefixed, random_controlnet, random_unet
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.demo.model import control_files

ROOT = Path(__file__).resolve().parents[2]
INPAINT = replace(SPECS["narrow"], in_channels=9)
State = dict[str, Tensor]


@pytest.fixture
def files(host: Host) -> Any:
    """`files(name, state, **metadata)` writes a file where the host lists it; gone after the test."""
    paths: list[Path] = []

    def write(name: str, state: State, folder: Path | None = None, **metadata: str) -> str:
        path = (folder or host.base / "models" / "controlnet") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(state, path, metadata or None)
        paths.append(path)
        return name

    yield write
    for path in paths:
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def loaded(host: Host) -> Callable[[str], tuple[Any, str]]:
    """`loaded(name)`: what our loader gives, CONTROL_NET and info."""

    def load(name: str) -> tuple[Any, str]:
        result = host.run(
            {"load": node("ZeroctlLoadControlNet", control_net_name=name)},
            keep={"net": ["load", 0], "info": ["load", 1]},
        )
        return result["net"], result["info"]

    return load


def weights_of(control_net: Any) -> State:
    return control_net.control_model.net.state_dict()


def assert_same(one: State, other: State) -> None:
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(value, other[key].to(value.dtype)), key


# ---- what loads


def layouts(preset: str) -> dict[str, Callable[[], State]]:
    blocks = SPECS[preset].num_res_blocks
    return {
        "ldm": lambda: random_controlnet(preset, spread=0.1),
        "ldm with prefix": lambda: prefixed("control_model.", random_controlnet(preset, spread=0.1)),
        "diffusers": lambda: to_diffusers(random_controlnet(preset, spread=0.1), blocks),
    }


@pytest.mark.parametrize("preset", ["narrow", "narrow21", "narrowxl"])
def test_every_layout_gives_the_same_picture_as_the_host(host, graph_of, files, loaded, preset) -> None:
    graph, image = graph_of(preset), host.give(picture())
    results = {}
    for number, (layout, state) in enumerate(layouts(preset).items()):
        net, info = loaded(files(f"{preset}-layout-{number}.safetensors", state()))
        assert f"layout: {'diffusers' if layout == 'diffusers' else 'ldm'}" in info
        assert_same(weights_of(net), random_controlnet(preset, spread=0.1))
        results[layout] = latents(host, with_our_control(graph, host.give(net), image))
    for result in results.values():
        assert torch.equal(result, results["ldm"])
    theirs = latents(
        host,
        with_host_control(graph, node("ControlNetLoader", control_net_name=f"{preset}-layout-0.safetensors"), image),
    )
    assert largest_difference(theirs, results["ldm"]) <= CLOSE


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_the_host_picks_the_dtype(host, graph_of, controlnet_file, loaded, dtype) -> None:
    path = controlnet_file("narrow", 0, dtype)
    net, info = loaded(path.name)
    theirs = host.run({"load": node("ControlNetLoader", control_net_name=path.name)}, keep={"net": ["load", 0]})["net"]
    assert net.control_model.dtype == theirs.control_model.dtype
    assert {value.dtype for value in weights_of(net).values()} == {theirs.control_model.dtype}
    assert net.manual_cast_dtype == theirs.manual_cast_dtype
    in_use = str(theirs.control_model.dtype).removeprefix("torch.")
    assert f"dtype: {str(dtype).removeprefix('torch.')} in the file, {in_use} in use" in info
    graph, image = graph_of(), host.give(picture())
    expected = latents(host, with_host_control(graph, host.give(theirs), image))
    assert largest_difference(expected, latents(host, with_our_control(graph, host.give(net), image))) <= CLOSE


@pytest.mark.parametrize("in_file", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_fp8_is_kept_as_half_precision_on_a_mac(host, monkeypatch, in_file) -> None:
    module = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.control_net"]
    assert module.compute_dtypes(in_file)[0].itemsize == 1  # the host holds it as it is where it can
    management = sys.modules["comfy.model_management"]
    monkeypatch.setattr(management, "get_torch_device", lambda: torch.device("mps"))
    monkeypatch.setattr(management, "cpu_state", management.CPUState.MPS)
    dtype, cast = module.compute_dtypes(in_file)
    assert dtype == torch.float16 and (cast is None or cast.itemsize > 1)
    assert module.compute_dtypes(torch.float16)[0].itemsize > 1  # other files are the host's choice


def test_the_info_tells_the_truth(files, loaded) -> None:
    state = random_controlnet("narrowxl", dtype=torch.float16)
    _, info = loaded(files("told.safetensors", state, author="nobody", **{"modelspec.title": "edges"}))
    number = sum(value.numel() for value in state.values())
    lines = info.splitlines()
    assert lines.pop(3) == "transformers: 0 1, middle 1"
    assert lines[:5] == [
        "family: SDXL (sdxl)",
        "connections: 5, widths 64 64 64 128 128",
        "context: 2048, y: 2816",
        "file: told.safetensors",
        "layout: ldm",
    ]
    assert lines[5].startswith("dtype: float16 in the file, ")
    size = 4 if "float32 in use" in lines[5] else 2
    assert lines[6] == f"size: {number / 1e6:.1f} M parameters, {number * size / 2**20:.0f} MiB"
    assert lines[7:] == ["author: nobody", "modelspec.title: edges"]


def test_what_lies_beside_a_control_is_named(files, loaded) -> None:
    beside = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2), "betas": torch.zeros(3)}
    _, info = loaded(files("whole.safetensors", {**prefixed("control_model.", random_controlnet("narrow")), **beside}))
    ignored = next(line for line in info.splitlines() if line.startswith("ignored in the file: "))
    assert "model.diffusion_model" in ignored and "noise schedule" in ignored


@pytest.mark.parametrize("source", ["file name", "header"])
def test_a_pooling_net_is_known_and_pools_as_in_the_host(host, graph_of, files, loaded, source) -> None:
    state = random_controlnet("narrow", seed=4)
    by_name = files("edge_shuffle_fp16.safetensors", state)
    name = (
        by_name
        if source == "file name"
        else files("edges.safetensors", state, **{"zeroctl.global_average_pooling": "true"})
    )
    net, info = loaded(name)
    assert f"pooling: residuals are averaged over space (said by the {source}); use it on the cond branch only" in info
    graph, image = graph_of(), host.give(picture())
    theirs = latents(host, with_host_control(graph, node("ControlNetLoader", control_net_name=by_name), image))
    ours = with_our_control(graph, host.give(net), image)
    result = host.run(ours, keep={"latent": ["sampler", 0], "report": ["ours", 1]})
    assert largest_difference(theirs, result["latent"]["samples"]) <= CLOSE
    assert (
        "averaged over space; the original applies it on the cond branch only: set branches to cond" in result["report"]
    )
    plain, _ = loaded(files("plain.safetensors", state))
    assert largest_difference(theirs, latents(host, with_our_control(graph, host.give(plain), image))) > 1e-3


def test_the_info_names_the_prefix_and_cuts_what_is_long(files, loaded) -> None:
    metadata = {f"key {number:03}": "x" * 10_000 for number in range(100)}
    _, info = loaded(
        files("wrapped.safetensors", prefixed("module.control_model.", random_controlnet("narrow")), **metadata)
    )
    assert "prefix of its keys: module.control_model." in info.splitlines()
    assert info.splitlines()[-1] == "and 80 more in the header" and len(info) < 5000


def test_a_control_for_other_channels_is_refused_by_apply(host, graph_of, files, loaded) -> None:
    net, info = loaded(files("four.safetensors", random_controlnet(replace(SPECS["narrow"], condition_channels=4))))
    assert "condition: images of 4 channels, an IMAGE has 3" in info.splitlines()
    with pytest.raises(NodeFailed, match=r"control 1: four.safetensors takes images of 4 channels, its image has 3"):
        latents(host, with_our_control(graph_of(), host.give(net), host.give(picture())))


# ---- what happens to a file after it was loaded


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_loaded_file_is_free_and_what_happens_to_it_changes_nothing(host, loaded, suffix, dtype) -> None:
    path = host.base / "models" / "controlnet" / f"free{suffix}"
    state = random_controlnet("narrow", dtype=dtype)
    save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
    try:
        net, _ = loaded(path.name)
        assert path.name not in Path("/proc/self/maps").read_text()
        path.write_bytes(b"")
    finally:
        path.unlink()
    assert_same(weights_of(net), {key: value.to(net.control_model.dtype) for key, value in state.items()})


# ---- where files are, and when they are read again


def test_the_hosts_folders_are_ours(host, files, loaded, scratch, demo_weights) -> None:
    extra = scratch / "elsewhere"
    host.folder_paths.add_model_folder_path("controlnet", str(extra))
    names = [
        files("sub/below.safetensors", random_controlnet("narrow")),
        files("far.safetensors", random_controlnet("narrow"), extra),
    ]
    node_classes = host.nodes.NODE_CLASS_MAPPINGS
    theirs = node_classes["ControlNetLoader"].INPUT_TYPES()["required"]["control_net_name"][0]
    options = node_classes["ZeroctlLoadControlNet"].INPUT_TYPES()["required"]["control_net_name"]
    embedded = [f"zeroctl/{name}" for name in control_files(demo_weights)]
    assert (options[1]["options"] if "options" in options[1] else options[0]) == [*theirs, *embedded]
    assert set(names) <= set(theirs)
    for name in names:
        assert "family: SD 1.5" in loaded(name)[1]


def test_a_file_is_read_again_only_when_it_changed(host, files) -> None:
    name = files("changing.safetensors", random_controlnet("narrow", seed=0))
    graph = {"load": node("ZeroctlLoadControlNet", control_net_name=name)}
    keep = {"net": ["load", 0]}
    first = host.run(graph, keep=keep, fresh=False)
    assert "load" in first.executed
    assert "load" not in host.run(graph, keep=keep, fresh=False).executed
    files(name, random_controlnet("narrow", seed=1))
    again = host.run(graph, keep=keep, fresh=False)
    assert "load" in again.executed
    assert_same(weights_of(again["net"]), random_controlnet("narrow", seed=1))


# ---- saving


def saved(host: Host, net: dict[str, Any], layout: str, prefix: str = "controlnet/test") -> Path:
    result = host.run(
        {
            "net": net,
            "save": node("ZeroctlSaveControlNet", control_net=["net", 0], filename_prefix=prefix, layout=layout),
        },
        keep={"path": ["save", 0]},
    )
    path = Path(result["path"])
    assert path.is_relative_to(host.base / "output") and path.is_file()
    assert str(path) in json.dumps(result.ui["save"])
    return path


@pytest.mark.parametrize(
    ("preset", "dtype"),
    [("narrow", torch.float32), ("narrow", torch.bfloat16), ("narrow21", torch.float16), ("narrowxl", torch.float16)],
    ids=str,
)
def test_saving_keeps_every_bit_through_both_layouts(host, graph_of, files, loaded, preset, dtype) -> None:
    state = random_controlnet(preset, seed=2, dtype=dtype, spread=0.1)
    path, models = None, host.base / "models" / "controlnet"
    name = files(f"{preset}-start.safetensors", state)
    for layout in ("diffusers", "ldm"):
        path = saved(host, host.give(loaded(name)[0]), layout)
        name = files(f"{preset}-{layout}.safetensors", load_file(path))
        (models / name).write_bytes(path.read_bytes())
    end = load_file(path)
    assert end.keys() == state.keys()
    assert all(end[key].dtype == dtype and torch.equal(end[key], value) for key, value in state.items())
    graph, image = graph_of(preset), host.give(picture())
    theirs = latents(host, with_host_control(graph, node("ControlNetLoader", control_net_name=name), image))
    assert (
        largest_difference(theirs, latents(host, with_our_control(graph, host.give(loaded(name)[0]), image))) <= CLOSE
    )


def test_the_header_says_what_it_is_and_where_it_comes_from(host, files, loaded) -> None:
    name = files(
        "source.safetensors",
        random_controlnet("narrow", dtype=torch.float16),
        licence="CC0",
        **{"zeroctl.global_average_pooling": "true"},
    )
    path = saved(host, host.give(loaded(name)[0]), "diffusers")
    with safe_open(path, "pt") as file:
        header = file.metadata()
    assert header["licence"] == "CC0" and header["zeroctl.global_average_pooling"] == "true"
    assert header["zeroctl.base"] == "sd15" and header["zeroctl.layout"] == "diffusers"
    assert json.loads(header["zeroctl.provenance"])["source"] == "source.safetensors"


def test_each_save_gets_a_number_of_its_own(host, our_net) -> None:
    one, two = (saved(host, host.give(our_net("narrow")), "ldm", "numbered/net") for _ in range(2))
    assert [path.name for path in (one, two)] == ["net_00001_.safetensors", "net_00002_.safetensors"]


def test_a_net_that_was_changed_since_it_was_loaded_is_saved_as_it_is(host, files, loaded) -> None:
    net, _ = loaded(files("trained.safetensors", random_controlnet("narrow")))
    net.control_model.net.middle_block_out[0].bias.data.add_(1.0)
    after = load_file(saved(host, host.give(net), "ldm"))
    assert torch.equal(after["middle_block_out.0.bias"], random_controlnet("narrow")["middle_block_out.0.bias"] + 1.0)


def test_a_half_precision_net_whose_file_has_gone_is_not_saved_in_another_precision(host, files, loaded) -> None:
    name = files("leaving.safetensors", random_controlnet("narrow", dtype=torch.float16))
    net, info = loaded(name)
    (host.base / "models" / "controlnet" / name).unlink()
    if "float16 in use" in info:
        assert_same(load_file(saved(host, host.give(net), "ldm")), random_controlnet("narrow", dtype=torch.float16))
        return
    with pytest.raises(
        NodeFailed, match="leaving.safetensors is gone, and ComfyUI holds its float16 weights as float32"
    ):
        saved(host, host.give(net), "ldm")


# ---- copies of a net


def residuals(control_model: nn.Module, spec: UNetSpec) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = None if spec.adm_in_channels is None else torch.randn(2, spec.adm_in_channels, generator=generator)
    out = control_model(
        x=torch.randn(2, 4, 8, 8, generator=generator),
        hint=torch.rand(2, 3, 64, 64, generator=generator),
        timesteps=torch.tensor([7.0, 801.0]),
        context=torch.randn(2, 77, spec.context_dim, generator=generator),
        y=y,
    )
    return [*out["output"], *out["middle"]]


@pytest.mark.parametrize("preset", ["narrow", "narrowxl"])
def test_a_deep_copy_is_another_net_with_the_same_weights(our_net, preset) -> None:
    net = our_net(preset).control_model
    twin = copy.deepcopy(net)
    before = residuals(net, SPECS[preset])
    for one, other in zip(before, residuals(twin, SPECS[preset]), strict=True):
        assert torch.equal(one, other)
    owned = {value.data_ptr() for value in net.state_dict().values()}
    assert not owned & {value.data_ptr() for value in twin.state_dict().values()}
    for value in twin.parameters():
        value.data.zero_()
    for one, other in zip(before, residuals(net, SPECS[preset]), strict=True):
        assert torch.equal(one, other)


def test_the_host_makes_a_net_for_a_further_device(our_net) -> None:
    net = our_net("narrow")
    make, arguments = net.control_model_wrapped.cached_patcher_init
    for further in (make(*arguments), make(*arguments, disable_dynamic=True)):
        assert further.model is not net.control_model
        assert_same(further.model.net.state_dict(), weights_of(net))
    if hasattr(net, "deepclone_multigpu"):
        clone = net.deepclone_multigpu(torch.device("cpu"))
        assert clone.control_model is not net.control_model
        assert_same(weights_of(clone), weights_of(net))


def test_the_hosts_own_copy_is_still_ours(our_net) -> None:
    net = our_net("narrow")
    assert net.copy().control_model is net.control_model
    assert net.get_models() == [net.control_model_wrapped]


# ---- a copy of a MODEL


def copied(host: Host, model: Any) -> Any:
    return host.run(
        {"model": host.give(model), "copy": node("ZeroctlCopyFromModel", model=["model", 0])}, keep={"net": ["copy", 0]}
    )["net"]


def encoder_of(preset: str | UNetSpec) -> State:
    """What the copy must hold of the random UNet."""
    state = {key: value for key, value in random_unet(preset).items() if not key.startswith(("output_blocks.", "out."))}
    return {**state, "input_blocks.0.0.weight": state["input_blocks.0.0.weight"][:, :4]}


def assert_copy(net: Any, encoder: State) -> None:
    weights = weights_of(net)
    for key, value in encoder.items():
        assert torch.equal(weights[key], value.float()), key
    fresh = {key: value for key, value in weights.items() if key not in encoder}
    assert {key.split(".")[0] for key in fresh} == {"zero_convs", "middle_block_out", "input_hint_block"}
    for key, value in fresh.items():
        # only the condition encoder's weights start from noise, and its last convolution is a zero convolution
        is_drawn = key.startswith("input_hint_block.") and key.endswith(".weight") and ".14." not in key
        assert bool(value.any()) == is_drawn, key
    assert all(value.dtype == torch.float32 and not value.is_inference() for value in weights.values())


@pytest.mark.parametrize("preset", ["narrow", "narrow21", "narrowxl", INPAINT], ids=["sd15", "sd21", "sdxl", "inpaint"])
def test_a_copy_holds_the_models_encoder(host, model_of, preset) -> None:
    model = model_of(preset)
    net = copied(host, model)
    assert_copy(net, encoder_of(preset))
    owned = {value.data_ptr() for value in model.model.diffusion_model.state_dict().values()}
    assert not owned & {value.data_ptr() for value in weights_of(net).values()}


def test_a_copy_leaves_the_patches_out_while_they_are_loaded(host, model_of) -> None:
    import comfy.model_management

    keys = ["input_blocks.1.0.in_layers.2.weight", "input_blocks.0.0.bias", "middle_block.0.emb_layers.1.weight"]
    shapes = {key: value.shape for key, value in random_unet("narrow").items()}
    patched = model_of("narrow").clone()
    assert patched.add_patches({f"diffusion_model.{key}": ("diff", (torch.ones(shapes[key]),)) for key in keys}, 0.5)
    assert_copy(copied(host, patched), encoder_of("narrow"))
    comfy.model_management.load_models_gpu([patched])
    try:
        loaded_now = patched.model.diffusion_model.state_dict()
        assert not torch.equal(loaded_now[keys[0]], random_unet("narrow")[keys[0]]) and patched.backup
        assert_copy(copied(host, patched), encoder_of("narrow"))
        assert_copy(
            copied(host, model_of("narrow")), encoder_of("narrow")
        )  # another MODEL on the same, patched weights
    finally:
        comfy.model_management.unload_all_models()
    after, encoder = patched.model.diffusion_model.state_dict(), encoder_of("narrow")
    assert_same(encoder, {key: after[key] for key in encoder})


def test_a_copy_of_half_precision_is_whole(host) -> None:
    with torch.inference_mode():
        model = cut_model("narrow")
        model.model.diffusion_model.half()
    halved = {key: value.half() for key, value in encoder_of("narrow").items()}
    assert_copy(copied(host, model), halved)


def test_a_quantised_model_is_refused(host) -> None:
    with torch.inference_mode():
        model = cut_model("narrow")
        model.model.diffusion_model.input_blocks[1][0].in_layers[2].register_buffer("scale_weight", torch.ones(1))
    with pytest.raises(
        NodeFailed, match=r"such as input_blocks\.1\.0\.in_layers\.2\.scale_weight: it is quantised. Load"
    ):
        copied(host, model)


def test_a_copy_can_be_trained(host, model_of) -> None:
    """Zero convolutions move in the first step; what lies behind them gets its gradient in the second."""
    net = copied(host, model_of("narrow"))
    with torch.inference_mode(False), torch.enable_grad():
        network = net.control_model.net.requires_grad_(True)
        optimizer = torch.optim.SGD(network.parameters(), 1.0)
        moved: list[set[str]] = []
        for _ in range(2):
            before = {key: value.detach().clone() for key, value in network.named_parameters()}
            feature = network.encode(torch.rand(1, 3, 64, 64))
            out = network(torch.randn(1, 4, 8, 8), torch.tensor([500.0]), torch.randn(1, 7, 768), feature=feature)
            loss = sum((map_ - 1.0).square().mean() for map_ in out)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            moved.append(
                {key.split(".")[0] for key, value in network.named_parameters() if not torch.equal(value, before[key])}
            )
        network.requires_grad_(False)
    assert moved[0] == {"zero_convs", "middle_block_out"}
    assert {"input_blocks", "middle_block", "time_embed"} <= moved[1]


def test_a_trained_copy_is_saved_and_loads_in_the_host_and_here(host, graph_of, model_of, files, loaded) -> None:
    net = copied(host, model_of("narrow"))
    generator = torch.Generator().manual_seed(1)
    with torch.inference_mode(False), torch.no_grad():
        for key, value in net.control_model.net.named_parameters():
            if key.startswith(("zero_convs", "middle_block_out", "input_hint_block.14")):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    path = saved(host, host.give(net), "ldm", "controlnet/trained")
    name = files("from-copy.safetensors", load_file(path))
    again, info = loaded(name)
    assert_same(weights_of(again), weights_of(net))
    assert re.search(r"dtype: float32 in the file", info)
    graph, image = graph_of(), host.give(picture())
    before = latents(host, with_our_control(graph, host.give(net), image))
    # not to the bit: the copy attends as the core does, for it can be trained; the loaded one as the host does
    assert largest_difference(before, latents(host, with_our_control(graph, host.give(again), image))) <= CLOSE
    theirs = latents(host, with_host_control(graph, node("ControlNetLoader", control_net_name=name), image))
    assert largest_difference(theirs, before) <= CLOSE
    assert largest_difference(before, latents(host, graph)) > 1e-3


def test_a_copy_is_named_in_the_report(host, graph_of, model_of) -> None:
    graph: Graph = with_our_control(graph_of(), host.give(copied(host, model_of("narrow"))), host.give(picture()))
    assert "control 1: an untrained SD 1.5 ControlNet" in host.run(graph, keep={"report": ["ours", 1]})["report"]
