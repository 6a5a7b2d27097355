"""Controls made of the MODEL's weights: equal to the whole file, on whatever MODEL is sampled."""

from __future__ import annotations

import gc
import json
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CONTROL, counted, largest_difference, latents, picture, with_host_control, with_our_control
from control_loras import control_lora, merged
from host_graphs import node
from host_models import cut_model, flux_model
from host_process import Host, NodeFailed
from random_weights import SPECS, prefixed, random_controlnet, random_state_dict, random_unet, union_shapes
from safetensors.torch import load_file, save_file
from torch import Tensor

from zeroctl_core import load_controlnet
from zeroctl_core.checkpoint import save_control_lora

EQUAL = 1e-5
FELT = 1e-3  # by what a control moves them at least
State = dict[str, Tensor]


MARKER = {"difference": torch.ones(1)}


def loaded(host: Host, name: str, state: State) -> dict[str, Any]:
    """The node that loads a file of this content."""
    path: Path = host.base / "models" / "controlnet" / f"{name}.safetensors"
    save_file(state, path)
    return node("ZeroctlLoadControlNet", control_net_name=path.name)


def changes_of(preset: str, seed: int = 5, dtype: torch.dtype = torch.float32) -> State:
    """What a training might have changed in the UNet of this preset, and the layers of its own, in this dtype."""
    whole, unet = random_controlnet(preset, seed, spread=0.1), random_unet(preset)
    return {key: (value - unet[key] if key in unet else value).to(dtype) for key, value in whole.items()}


def added(changes: State, unet: State) -> State:
    """The whole file of these changes of that UNet."""
    return {key: value.float() + unet[key] if key in unet else value.float() for key, value in changes.items()}


@pytest.mark.parametrize("apply", [with_host_control, with_our_control])
def test_a_difference_file_equals_the_whole_one(host, graph_of, apply) -> None:
    graph, image, changes = graph_of("thin"), host.give(picture()), changes_of("thin")
    expected = latents(host, apply(graph, loaded(host, "whole", added(changes, random_unet("thin"))), image))
    difference = loaded(host, "difference", {**MARKER, **prefixed("control_model.", changes)})
    assert largest_difference(expected, latents(host, apply(graph, difference, image))) <= EQUAL
    assert largest_difference(expected, latents(host, graph)) > FELT


# ---- Control-LoRAs


FORMS = {"merged": False, "low rank": True}
INPAINT = replace(SPECS["narrow"], in_channels=9)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, host: Host, monkeypatch: pytest.MonkeyPatch) -> str:
    """The form that a Control-LoRA takes in this test."""
    rooms = [module for name, module in sys.modules.items() if name.endswith(".host.of_model")]
    assert len(rooms) == 1
    monkeypatch.setattr(rooms[0], "memory_is_short", lambda *_: FORMS[request.param])
    name: str = request.param
    return name


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference in spreads of the first."""
    assert torch.isfinite(one).all()
    return float((one - other).abs().max() / one.std())


@pytest.mark.parametrize("preset", ["narrow", "narrow21", "narrowxl"])
@pytest.mark.parametrize("apply", [with_host_control, with_our_control])
def test_a_control_lora_equals_the_merged_net_and_the_hosts(host, graph_of, preset, apply, form) -> None:
    graph, image, state = graph_of(preset), host.give(picture()), control_lora(preset)
    whole = loaded(host, "whole", merged(state, random_unet(preset)))
    expected = latents(host, apply(graph, whole, image, strength=0.8))
    lora = loaded(host, "lora", state)
    assert apart(expected, latents(host, apply(graph, lora, image, strength=0.8))) <= EQUAL
    theirs = with_host_control(graph, {**lora, "class_type": "ControlNetLoader"}, image, strength=0.8)
    assert apart(expected, latents(host, theirs)) <= EQUAL
    assert apart(expected, latents(host, graph)) > FELT


@pytest.mark.parametrize("preset", ["narrow", "narrow21", "narrowxl"])
def test_what_save_control_lora_writes_is_read_by_the_host_and_by_us(host, graph_of, preset, form) -> None:
    """A net whose change has the rank of the file loses nothing; at a lower rank both loaders lose the same."""
    graph, image, unet = graph_of(preset), host.give(picture()), random_unet(preset)
    whole = loaded(host, "whole", merged(control_lora(preset, rank=4), unet))  # of rank 4 to 6
    folder = host.base / "models" / "controlnet"
    expected = latents(host, with_our_control(graph, whole, image))
    for rank in (6, 2):
        path = folder / f"saved-{preset}-{rank}.safetensors"
        save_control_lora(load_controlnet(folder / "whole.safetensors"), unet.__getitem__, path, rank)
        net = node("ZeroctlLoadControlNet", control_net_name=path.name)
        ours = latents(host, with_our_control(graph, net, image))
        theirs = latents(host, with_host_control(graph, {**net, "class_type": "ControlNetLoader"}, image))
        assert apart(ours, theirs) <= EQUAL
        assert (apart(expected, ours) <= EQUAL) is (rank == 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_save_controlnet_makes_a_control_lora_of_the_model_with_its_loras(host, graph_of, model_of, dtype) -> None:
    """Of the same rank as the net's change, it is the net; the node says what the file and its rank are."""
    lora = patches(host)
    unet = {key: value + 0.5 * lora[key] if key in lora else value for key, value in random_unet("thin").items()}
    state = {key: value.to(dtype) for key, value in merged(control_lora("thin", rank=4), unet).items()}
    net = loaded(host, "whole", state)
    graph = {**graph_of("thin"), "model": host.give(with_patches(model_of("thin"), lora)), "net": net}
    inputs = {"control_net": ["net", 0], "filename_prefix": "controlnet/lora", "layout": "ldm", "model": ["model", 0]}
    saving = {key: graph[key] for key in ("model", "net")}
    result = host.run({**saving, "save": node("ZeroctlSaveControlNet", rank=6, **inputs)}, keep={"path": ["save", 0]})
    path = Path(result["path"])
    text = json.dumps(result.ui["save"])
    assert "Control-LoRA of rank 6, " in text and str(path) in text
    name = f"saved-{dtype}.safetensors".replace("torch.", "")
    path.rename(host.base / "models" / "controlnet" / name)
    image = host.give(picture())
    expected = latents(host, with_our_control(graph, net, image))
    own = latents(host, with_our_control(graph, node("ZeroctlLoadControlNet", control_net_name=name), image))
    assert apart(expected, own) <= (EQUAL if dtype == torch.float32 else 1e-2)
    whole = host.run({**saving, "save": node("ZeroctlSaveControlNet", rank=0, **inputs)}, keep={"path": ["save", 0]})
    assert "The whole net: rank is 0" in json.dumps(whole.ui["save"])
    assert load_file(whole["path"]).keys() == state.keys()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"rank": 6, "model": None}, "rank is 6 and no model is wired"),
        ({"rank": 6, "layout": "diffusers"}, "a Control-LoRA is written by the keys of the original release, ldm"),
        ({"rank": 1024}, "rank is 1024: expected a whole number from 1 to"),
        ({"rank": 6, "model": "narrowxl"}, "the control_net is of the SD 1.* family and the MODEL is SDXL"),
        ({"rank": 6, "net": "union"}, "holds a plain ControlNet, and control_net is a union ControlNet: save it with"),
        ({"rank": 6, "model": "narrow"}, r"is \[.*, this control was made for"),
    ],
)
def test_a_control_lora_that_cannot_be_written_is_refused(host, model_of, inputs, message) -> None:
    if is_union := inputs.get("net") == "union":
        net = loaded(host, "union", random_state_dict(union_shapes("narrowxl", 6)))
    else:
        net = loaded(host, "whole", random_controlnet("thin", spread=0.1))
    wires = {"control_net": ["net", 0], "filename_prefix": "controlnet/refused", "layout": "ldm", **inputs}
    wires.pop("net", None)
    graph = {"net": net}
    if (model := inputs.get("model", "narrowxl" if is_union else "thin")) is None:
        del wires["model"]
    else:
        graph["model"], wires["model"] = host.give(model_of(model)), ["model", 0]
    with pytest.raises(NodeFailed, match=message):
        host.run({**graph, "save": node("ZeroctlSaveControlNet", **wires)})
    assert not list((host.base / "output" / "controlnet").glob("refused*"))


def test_on_an_inpaint_model_it_takes_the_channels_of_the_latent(host, graph_of, form) -> None:
    """The host builds a network of 9 channels, which the file does not fit."""
    graph, image, state = graph_of(INPAINT), host.give(picture()), control_lora("narrow")
    whole = loaded(host, "whole", merged(state, random_unet(INPAINT)))
    expected = latents(host, with_our_control(graph, whole, image))
    lora = loaded(host, "lora", state)
    assert apart(expected, latents(host, with_our_control(graph, lora, image))) <= EQUAL
    assert apart(expected, latents(host, graph)) > FELT
    with pytest.raises(NodeFailed):
        latents(host, with_host_control(graph, {**lora, "class_type": "ControlNetLoader"}, image))


def test_a_control_lora_follows_the_loras_of_the_model(host, graph_of, model_of, form) -> None:
    state, lora, image = control_lora("thin"), patches(host), host.give(picture())
    unet = {key: value + 0.5 * lora[key] if key in lora else value for key, value in random_unet("thin").items()}
    graph = {**graph_of("thin"), "model": host.give(with_patches(model_of("thin"), lora))}
    expected = latents(host, with_our_control(graph, loaded(host, "whole", merged(state, unet)), image))
    for _ in range(2):
        assert apart(expected, latents(host, with_our_control(graph, loaded(host, "lora", state), image))) <= EQUAL


@pytest.mark.parametrize("after", [False, True], ids=["before apply", "after apply"])
def test_load_lora_counts_wherever_it_stands(host, graph_of, form, after) -> None:
    """A file as trainers write it, through the host's own node."""
    state, unet, generator = control_lora("narrow"), random_unet("narrow"), torch.Generator().manual_seed(2)
    file: State = {}
    for key in ("input_blocks.1.0.in_layers.2", "middle_block.1.transformer_blocks.0.attn1.to_q"):
        weight, rank = unet[f"{key}.weight"], 4
        ones = (1, 1) if weight.ndim == 4 else ()
        up = torch.randn(weight.shape[0], rank, *ones, generator=generator)
        down = torch.randn(rank, *weight.shape[1:], generator=generator) / weight[0].numel() ** 0.5
        name = f"lora_unet_{key.replace('.', '_')}"
        file |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down, f"{name}.alpha": torch.tensor(2.0)}
        change = (up.flatten(1) @ down.flatten(1)).reshape(weight.shape)
        unet[f"{key}.weight"] = weight + 0.7 * (2.0 / rank) * change
    path: Path = host.base / "models" / "loras" / "style.safetensors"
    path.parent.mkdir(exist_ok=True)
    save_file(file, path)
    style = node("LoraLoaderModelOnly", lora_name=path.name, strength_model=0.7)

    def sampled(net: dict[str, Any], late: bool) -> Tensor:
        graph = graph_of("narrow")
        if late:
            graph = with_our_control(graph, net, host.give(picture()))
        source = graph["sampler"]["inputs"]["model"]
        graph["style"] = {**style, "inputs": {**style["inputs"], "model": source}}
        inputs = {**graph["sampler"]["inputs"], "model": ["style", 0]}
        graph["sampler"] = {**graph["sampler"], "inputs": inputs}
        return latents(host, graph if late else with_our_control(graph, net, host.give(picture())))

    expected = sampled(loaded(host, "whole", merged(state, unet)), late=False)
    without = sampled(loaded(host, "whole", merged(state, random_unet("narrow"))), late=False)
    assert apart(expected, sampled(loaded(host, "lora", state), late=after)) <= EQUAL
    assert apart(expected, without) > FELT


def test_memory_is_short_where_the_host_says_so_and_where_the_card_is_small(host, model_of, monkeypatch) -> None:
    import comfy.model_management as management

    (room,) = [module for name, module in sys.modules.items() if name.endswith(".host.of_model")]
    model, gib = model_of("narrow"), 2**30
    monkeypatch.setattr(management, "minimum_inference_memory", lambda: 1 * gib)
    for total, expected in ((8 * gib, False), (2 * gib, True)):
        monkeypatch.setattr(management, "get_total_memory", lambda device, total=total: total)
        assert room.memory_is_short(model, 1 * gib) is expected
    monkeypatch.setattr(management, "get_total_memory", lambda device: 80 * gib)
    for state in ("LOW_VRAM", "NO_VRAM"):
        monkeypatch.setattr(management, "vram_state", management.VRAMState[state])
        assert room.memory_is_short(model, 1)


def test_the_report_names_the_form(host, graph_of, form) -> None:
    graph = with_our_control(graph_of("narrow"), loaded(host, "lora", control_lora("narrow")), host.give(picture()))
    text = host.run(graph, keep={"report": ["ours", 1]})["report"]
    assert ("Control-LoRA: merged with the MODEL's weights" in text) is (form == "merged")
    assert ("Control-LoRA in its form of low rank" in text) is (form == "low rank")


# ---- the MODEL that is sampled


def patches(host: Host, seed: int = 11) -> dict[str, Tensor]:
    """A change of some weights of the encoder, as a LoRA makes one, for `add_patches` of a MODEL."""
    unet = random_unet("thin", seed)
    return {key: value for key, value in unet.items() if key.startswith(("input_blocks.4.", "time_embed.2.weight"))}


def with_patches(model: Any, changes: State) -> Any:
    """A clone of the MODEL with these changes, at half strength, as Load LoRA makes one."""
    clone = model.clone()
    clone.add_patches({f"diffusion_model.{key}": ("diff", (value,)) for key, value in changes.items()}, 0.5)
    return clone


@pytest.mark.parametrize("loaded_before", [False, True], ids=["fresh", "sampled before"])
def test_the_loras_of_the_model_count_before_apply_and_after(host, graph_of, model_of, loaded_before) -> None:
    """Weights that the host has patched in place are in its backup."""
    changes, lora, image = changes_of("thin"), patches(host), host.give(picture())
    unet = {key: value + 0.5 * lora[key] if key in lora else value for key, value in random_unet("thin").items()}
    patched = with_patches(model_of("thin"), lora)
    graph = {**graph_of("thin"), "model": host.give(patched)}
    expected = latents(host, with_our_control(graph, loaded(host, "whole", added(changes, unet)), image))
    if loaded_before:
        latents(host, graph)
    difference = loaded(host, "difference", {**MARKER, **prefixed("control_model.", changes)})
    assert largest_difference(expected, latents(host, with_our_control(graph, difference, image))) <= EQUAL
    ours = with_our_control(graph_of("thin"), difference, image)
    controlled = host.run(ours, keep={"model": ["ours", 0]})["model"]
    late = {**graph, "model": host.give(with_patches(controlled, lora))}
    assert largest_difference(expected, latents(host, late)) <= EQUAL


@contextmanager
def merges() -> Iterator[list[str]]:
    """The name of every file that is merged meanwhile."""
    from zeroctl_core.network.of_model import NetOfModel

    names, original = [], NetOfModel.merged

    def counting(self: NetOfModel, *args: Any, **kwargs: Any) -> Any:
        names.append(self.info.path.name)
        return original(self, *args, **kwargs)

    NetOfModel.merged = counting  # type: ignore[method-assign]
    try:
        yield names
    finally:
        NetOfModel.merged = original  # type: ignore[method-assign]


def test_a_second_run_with_the_same_model_merges_nothing(host, graph_of, model_of) -> None:
    changes, image = changes_of("thin"), host.give(picture())
    node_of_file = loaded(host, "difference", {**MARKER, **prefixed("control_model.", changes)})
    net = host.give(host.run({"net": node_of_file}, keep={"net": ["net", 0]})["net"])
    graph = with_our_control(graph_of("thin"), net, image)
    model = host.run(graph, keep={"model": ["ours", 0]})["model"]
    sampled = {**graph_of("thin"), "model": host.give(model)}
    with merges() as names:
        first, second = (latents(host, sampled) for _ in range(2))
        third = latents(host, with_our_control(graph_of("thin"), net, image, strength=0.5))
        assert names == ["difference.safetensors"]
        other = {**sampled, "model": host.give(with_patches(model, patches(host)))}
        latents(host, other)
        assert len(names) == 2
        assert torch.equal(latents(host, sampled), first) and len(names) == 2
    assert torch.equal(first, second) and largest_difference(first, third) > FELT


def test_two_loaders_of_one_file_share_what_is_read_merged_and_computed(host, graph_of, model_of) -> None:
    file = loaded(host, "lora", control_lora("narrow"))
    graph = {**graph_of("narrow"), "first": file, "second": file, "image": host.give(picture())}
    controls = {}
    for name, before in (("first", {}), ("second", {"stack": ["first control", 0]})):
        inputs = {**CONTROL, "control_net": [name, 0], "image": ["image", 0], "strength": 0.5, **before}
        controls[f"{name} control"] = node("ZeroctlControl", **inputs)
    apply = node("ZeroctlApply", model=["model", 0], stack=["second control", 0], if_never_applied="warn")
    graph |= {**controls, "ours": apply}
    graph["sampler"]["inputs"]["model"] = ["ours", 0]
    with merges() as names:
        result = host.run(graph, keep={"latent": ["sampler", 0], "net": ["second", 0]})
    assert names == ["lora.safetensors"]
    whole = with_our_control(graph_of("narrow"), host.give(result["net"]), host.give(picture()))
    assert apart(latents(host, whole), result["latent"]["samples"]) <= EQUAL
    with counted(result["net"].merging.control_net(model_of("narrow")).control_model.net) as calls:
        latents(host, graph)
    assert calls == [2, 2]
    save_file({**control_lora("narrow", seed=9)}, host.base / "models" / "controlnet" / "lora.safetensors")
    other = host.run({"net": file}, keep={"net": ["net", 0]})["net"]
    assert other.merging is not result["net"].merging


def test_what_was_merged_goes_with_the_models_that_were_sampled(host, model_of) -> None:
    changes = changes_of("thin")
    node_of_file = loaded(host, "difference", {**MARKER, **prefixed("control_model.", changes)})
    net = host.run({"net": node_of_file}, keep={"net": ["net", 0]})["net"]
    patched = with_patches(model_of("thin"), patches(host))
    clones = [patched.clone(), patched.clone()]
    module = weakref.ref(net.merging.control_net(clones[0]).control_model)
    with merges() as names:
        clones.pop(0)
        gc.collect()
        assert net.merging.control_net(clones[0]).control_model is module() and not names
    del clones, patched
    gc.collect()
    assert module() is None


def test_a_difference_of_another_family_is_refused_before_sampling(host, graph_of) -> None:
    state = {**MARKER, **prefixed("control_model.", changes_of("narrow"))}
    graph = with_our_control(graph_of("narrowxl"), loaded(host, "difference", state), host.give(picture()))
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: difference.safetensors is a control for SD 1.5 .*SDXL"):
        latents(host, graph)


def test_the_nodes_say_what_it_is(host, graph_of) -> None:
    state = {**MARKER, **prefixed("control_model.", changes_of("narrow"))}
    graph = with_our_control(graph_of("narrow"), loaded(host, "difference", state), host.give(picture()))
    result = host.run(graph, keep={"info": ["ours net", 1], "report": ["ours", 1]})
    assert "difference file: it becomes a ControlNet with the MODEL that is sampled" in result["info"]
    assert "difference file: merged with the MODEL's weights, LoRAs included" in result["report"]
    save = node("ZeroctlSaveControlNet", control_net=["ours net", 0], filename_prefix="controlnet/x", layout="ldm")
    with pytest.raises(NodeFailed, match="difference.safetensors is a difference file: it becomes"):
        host.run({**graph, "save": save}, keep={"path": ["save", 0]})


# ---- what every kind of control does


@pytest.fixture()
def lora(host: Host, form: str) -> Any:
    """A CONTROL_NET of a narrow Control-LoRA, in either form."""
    return host.run({"net": loaded(host, "lora", control_lora("narrow"))}, keep={"net": ["net", 0]})["net"]


def test_off_strength_0_a_mask_of_zeros_and_weights_of_zeros_are_no_control(host, lora, graph_of) -> None:
    graph = graph_of("narrow")
    plain = latents(host, graph)
    zeros = {"weights": node("ZeroctlWeights", rule="uniform", base="auto", custom="0, 0, 0, 0, 0")}
    mask = {"mask": host.give(torch.zeros(1, 64, 64))}
    with merges() as names:
        for case in (
            {"strength": 0.0},
            {"enabled": False},
            {"extra": mask, "mask": ["mask", 0]},
            {"extra": zeros, "weights": ["weights", 0]},
        ):
            result = latents(host, with_our_control(graph, host.give(lora), host.give(picture()), **case))
            assert torch.equal(plain, result)
    assert not names


def test_masks_windows_and_one_branch_act_as_on_the_whole_file(host, lora, graph_of) -> None:
    graph = graph_of("narrow", steps=3, batch=2)
    whole = loaded(host, "whole", merged(control_lora("narrow"), random_unet("narrow")))
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:40, 8:] = 1.0
    image, extra = host.give(picture(batch=2)), {"mask": host.give(mask)}
    inputs = {"end": 0.6, "mode": "paper", "strength": 0.8, "mask": ["mask", 0], "extra": extra}
    expected = latents(host, with_our_control(graph, whole, image, **inputs))
    assert apart(expected, latents(host, with_our_control(graph, host.give(lora), image, **inputs))) <= EQUAL
    assert apart(expected, latents(host, graph)) > FELT


def test_areas_and_a_batch_see_what_they_see_of_the_whole_file(host, lora, graph_of) -> None:
    graph = graph_of("narrow", size=128, batch=4)
    whole = loaded(host, "whole", merged(control_lora("narrow"), random_unet("narrow")))
    positive, image = ["positive", 0], host.give(picture(128, 128, batch=4))
    for name, x in (("left", 0), ("right", 64)):
        inputs = {"width": 64, "height": 128, "x": x, "y": 0, "strength": 1.0}
        graph[name] = node("ConditioningSetArea", conditioning=positive, **inputs)
    graph["both"] = node("ConditioningCombine", conditioning_1=["left", 0], conditioning_2=["right", 0])
    sampler = graph["sampler"]
    graph["sampler"] = {**sampler, "inputs": {**sampler["inputs"], "positive": ["both", 0]}}
    expected = latents(host, with_our_control(graph, whole, image))
    result = latents(host, with_our_control(graph, host.give(lora), image))
    assert apart(expected, result) <= EQUAL
    assert apart(expected[0], expected[1]) > FELT


def test_cond_only_computes_half_of_the_rows_and_skipped_steps_none(host, lora, graph_of, model_of) -> None:
    graph, model = graph_of("narrow", steps=8), model_of("narrow")
    graph = with_our_control(graph, host.give(lora), host.give(picture()), branches="cond")
    net = lora.merging.control_net(model).control_model.net
    with counted(net) as calls:
        latents(host, graph)
    assert calls == [1] * 8
    values = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}
    sampler = graph["sampler"]
    graph["cache"] = node("EasyCache", model=["ours", 0], **values)
    graph["sampler"] = {**sampler, "inputs": {**sampler["inputs"], "model": ["cache", 0]}}
    with counted(net) as calls, counted(model.model.diffusion_model.time_embed) as unet_calls:
        latents(host, graph)
    assert 0 < len(calls) == len(unet_calls) < 8


def test_an_interrupt_leaves_the_model_as_it_was_and_runs_leave_nothing(host, lora, graph_of, model_of) -> None:
    import comfy.model_management

    graph = graph_of("narrow")
    ours = with_our_control(graph, host.give(lora), host.give(picture()))
    plain, expected = latents(host, graph), latents(host, ours)
    del lora.merging._made[next(iter(lora.merging._made))]
    comfy.model_management.interrupt_current_processing()
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        lora.merging.control_net(model_of("narrow"))
    assert not lora.merging._made
    assert torch.equal(latents(host, ours), expected) and torch.equal(latents(host, graph), plain)
    gc.collect()
    before = sum(1 for thing in gc.get_objects() if isinstance(thing, Tensor))
    with merges() as names:
        for run in range(5):
            latents(host, with_our_control(graph, host.give(lora), host.give(picture()), strength=0.1 * (1 + run)))
    gc.collect()
    assert sum(1 for thing in gc.get_objects() if isinstance(thing, Tensor)) - before < 50
    assert not names and len(lora.merging._made) == 1


def test_what_cannot_be_merged_is_refused(host, lora, graph_of, model_of) -> None:
    """A MODEL on several devices, as the host's MultiGPU node makes one; and a call that no sampler makes."""
    model = host.run(
        with_our_control(graph_of("narrow"), host.give(lora), host.give(picture())), keep={"model": ["ours", 0]}
    )["model"]
    several = model.clone()
    several.set_additional_models("multigpu", [model_of("narrow").clone()])
    with pytest.raises(NodeFailed, match="control 1: lora.safetensors is made of .* cannot run on several devices"):
        latents(host, {**graph_of("narrow"), "model": host.give(several)})
    with pytest.raises(ValueError, match="lora.safetensors is made of .* cannot run on several devices"):
        lora.deepclone_multigpu(torch.device("cpu"))
    options = {"wrappers": model.wrappers, "cond_or_uncond": [0]}
    inputs = {"c_crossattn": torch.randn(1, 77, 768), "transformer_options": options}
    with pytest.raises(ValueError, match="control 1: lora.safetensors .* a node calls that MODEL past the sampler"):
        model.model.apply_model(torch.randn(1, 4, 8, 8), torch.tensor([1.0]), **inputs)


# ---- MODELs whose weights are not plain numbers


def quantised(scaled: bool) -> tuple[Any, State]:
    """A narrow MODEL of the host's own loader with linear layers in fp8, and the weights that they stand for."""
    import comfy.sd

    state: State = {}
    numbers: State = {}
    for key, value in random_unet("narrow").items():
        state[key] = numbers[key] = value.to(torch.float16)
        if value.ndim != 2:
            continue
        scale = value.abs().max() / 448 if scaled else torch.ones(())
        state[key] = (value / scale).to(torch.float8_e4m3fn)
        numbers[key] = state[key].float() * scale
        if scaled:
            state[f"{key.removesuffix('weight')}scale_weight"] = scale.float()
    if scaled:  # two numbers: the host multiplies in full precision
        state["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    model = comfy.sd.load_diffusion_model_state_dict(state)
    assert model is not None
    return model, {key: value.float() for key, value in numbers.items()}


@pytest.mark.parametrize("scaled", [False, True], ids=["fp8", "scaled fp8"])
def test_quantised_models_are_turned_back_into_numbers(host, graph_of, scaled, form) -> None:
    model, numbers = quantised(scaled)
    lora = control_lora("narrow")
    graph, image = {**graph_of("narrow"), "model": host.give(model)}, host.give(picture())
    net = host.run({"net": loaded(host, "lora", lora)}, keep={"net": ["net", 0]})["net"]
    if form == "merged":
        own = net.merging.control_net(model).control_model.net.state_dict()
        whole = merged(lora, numbers)
        assert max(float((own[key].float() - value).abs().max()) for key, value in whole.items()) <= 1e-6
    expected = latents(host, with_our_control(graph, loaded(host, "whole", merged(lora, numbers)), image))
    assert apart(expected, latents(host, with_our_control(graph, host.give(net), image))) <= 1e-2
    assert apart(expected, latents(host, graph)) > 0.1


def test_weights_that_the_host_does_not_turn_back_are_refused_before_sampling(host, graph_of) -> None:
    """As a pack for GGUF holds them: bytes in another shape."""
    model = cut_model("narrow")
    layer = model.model.diffusion_model.get_submodule("middle_block.1.proj_in")
    layer.weight = torch.nn.Parameter(torch.zeros(7, dtype=torch.uint8), requires_grad=False)
    graph = {**graph_of("narrow"), "model": host.give(model)}
    ours = with_our_control(graph, loaded(host, "lora", control_lora("narrow")), host.give(picture()))
    with pytest.raises(NodeFailed, match=r"^ours .*control 1: .*middle_block.1.proj_in.weight\) is quantised"):
        latents(host, ours)


@pytest.mark.parametrize(
    ("file", "model", "message"),
    [
        ("narrowxl", "narrow", r"lora.safetensors is a control for SDXL .*, the MODEL is SD15 .*Load a control that"),
        ("narrow", "narrow21", r"lora.safetensors is a control for SD 1.5 .*, the MODEL is SD20"),
        ("narrow", "flux", r"lora.safetensors is a control for SD 1.5 .*, the MODEL is Flux.* \(no Stable Diffusion"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_sampling(host, graph_of, file, model, message) -> None:
    graph = graph_of("narrow")
    graph["model"] = host.give(flux_model()) if model == "flux" else graph_of(model)["model"]
    graph = with_our_control(graph, loaded(host, "lora", control_lora(file)), host.give(picture()))
    with pytest.raises(NodeFailed, match=f"^ours .*control 1: {message}"):
        latents(host, graph)
