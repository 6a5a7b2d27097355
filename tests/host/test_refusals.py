"""Bad files, images and graphs: refused in words before the UNet is called; and what is not refused."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from control_graphs import CONTROL, counted, latents, picture, with_host_control, with_our_control
from host_graphs import Graph, node
from host_models import flux_model
from host_process import BenchGive, Host, NodeFailed, PromptRefused
from random_weights import (
    adapter_shapes,
    clip_l_shapes,
    random_controlnet,
    random_state_dict,
    unet_shapes,
    vae_shapes,
)
from safetensors.torch import save_file
from torch import Tensor

NOT_AN_OPTION = "NOT_AN_OPTION"


@dataclass
class Bench:
    """What a bad graph is made of."""

    host: Host
    graph_of: Callable[..., Graph]
    net_of: Callable[..., Any]
    host_net: Callable[..., dict[str, Any]]

    def control(
        self,
        preset: str = "narrow",
        net: Any = None,
        image: Any = None,
        extra: Graph | None = None,
        model: str | None = None,
        policy: str = "warn",
        **inputs: Any,
    ) -> Graph:
        """Sampling with one control of ours; `image` is a tensor, or whatever else somebody wires."""
        image_node = self.host.give(picture() if image is None else image)
        net = net if net is not None else self.host.give(self.net_of(preset))
        return with_our_control(
            self.graph_of(model or preset), net, image_node, extra=extra, if_never_applied=policy, **inputs
        )

    def linked(self, extra: dict[str, Any], socket: str, **inputs: Any) -> Graph:
        """Sampling with one control whose `socket` comes from another node."""
        return self.control(extra={"linked": extra}, **{socket: ["linked", 0]}, **inputs)

    def legacy(self, rows: Any) -> Graph:
        graph = self.control()
        return {
            **graph,
            "rows": self.host.give(rows),
            "legacy": node("ZeroctlStackFromLegacy", control_net_stack=["rows", 0]),
            "ours": {**graph["ours"], "inputs": {**graph["ours"]["inputs"], "stack": ["legacy", 0]}},
        }

    def row_of(self, *numbers: Any, image: Tensor | None = None) -> tuple[Any, ...]:
        return self.net_of("narrow"), picture() if image is None else image, *numbers

    def row(self, *numbers: Any) -> Graph:
        return self.legacy([self.row_of(*numbers)])

    def rows(self, *rows: tuple[float, ...]) -> Graph:
        return self.legacy([self.row_of(*numbers) for numbers in rows])

    def stack(self, stack: dict[str, Any], **extra: Any) -> Graph:
        graph = self.control()
        ours = {**graph["ours"], "inputs": {**graph["ours"]["inputs"], "stack": ["stack", 0]}}
        return {**graph, **extra, "stack": stack, "ours": ours}

    def save(self, net: Any, prefix: str = "refused/net", layout: str = "ldm") -> Graph:
        return {
            "net": net,
            "save": node("ZeroctlSaveControlNet", control_net=["net", 0], filename_prefix=prefix, layout=layout),
        }


@pytest.fixture(scope="session")
def bench(host, graph_of, our_net, host_net) -> Bench:
    return Bench(host, graph_of, our_net, host_net)


def unet_of(graph: Graph) -> torch.nn.Module:
    """The network of the MODEL that the graph samples."""
    return BenchGive.values[graph["model"]["inputs"]["index"]].model.diffusion_model


def refusal(host: Host, graph: Graph) -> tuple[type[Exception], str]:
    """Who refuses the graph, and in which words; it must do so before the UNet is called."""
    network = unet_of(graph) if "model" in graph else torch.nn.Identity()
    with counted(network) as calls, pytest.raises((NodeFailed, PromptRefused)) as caught:
        host.run(graph, keep=None if "save" in graph else {"last": ["sampler" if "sampler" in graph else "load", 0]})
    assert not calls
    return caught.type, str(caught.value)


# ---- graphs


def weights(rule: str = "uniform", base: str = "auto", custom: str = "") -> dict[str, Any]:
    return node("ZeroctlWeights", rule=rule, base=base, custom=custom)


def schedule(**inputs: Any) -> dict[str, Any]:
    return node(
        "ZeroctlSchedule",
        **{"start": 0.0, "end": 1.0, "unit": "timestep", "curve": "", "interpolation": "linear", **inputs},
    )


def of_none(shape: tuple[int, ...], value: float = 0.5, spot: float | None = None) -> Tensor:
    """A tensor with one odd value in it."""
    tensor = torch.full(shape, value)
    if spot is not None and tensor.numel():
        tensor.view(-1)[0] = spot
    return tensor


NAN, INF = float("nan"), float("inf")
SIDE = (1, 64, 64)

GRAPHS: dict[str, tuple[Callable[[Bench], Graph], str]] = {
    # a control of another family: both are named, and the remedy
    **{
        f"{net} net on {model}": (
            lambda b, net=net, model=model: b.control(net, model=model),
            rf"control 1: {net}-0-float32.safetensors is a control for {title} \(\d connections, context \d+, .*\), "
            rf"the MODEL is {family} \(.*\)\. Load a control that was trained for {family}, "
            rf"or a checkpoint of the family {title}",
        )
        for net, title in (("narrow", "SD 1.5"), ("narrow21", "SD 2.1"), ("narrowxl", "SDXL"))
        for model, family in (("narrow", "SD15"), ("narrow21", "SD20"), ("narrowxl", "SDXL"))
        if net != model
    },
    "a net that is wrong, though weaker than nothing": (
        lambda b: b.control("narrowxl", model="narrow", strength=0.0),
        "narrowxl-0-float32.safetensors is a control for SDXL",
    ),
    "no net": (
        lambda b: b.control(net=b.host.give(None)),
        "control 1: it has no ControlNet, its control_net is NoneType",
    ),
    # stacks
    "a CONTROL_NET_STACK that is not a list": (
        lambda b: b.legacy({"net": 1}),
        r"control_net_stack is of the type dict, expected a CONTROL_NET_STACK, a list of rows such as \(net, ",
    ),
    "a row of four": (
        lambda b: b.row(1.0, 0.0),
        r"row 1 of the CONTROL_NET_STACK: it has 4 values, expected \(net, image, strength",
    ),
    "a row that is not a row": (
        lambda b: b.legacy(["canny"]),
        "row 1 of the CONTROL_NET_STACK: it is of the type str, expected",
    ),
    "a row without a net": (
        lambda b: b.legacy([("None", picture(), 1.0, 0.0, 1.0)]),
        "row 1 of the CONTROL_NET_STACK: it starts with str, expected a CONTROL_NET",
    ),
    "a row whose strength is a word": (
        lambda b: b.row("strong", 0.0, 1.0),
        "row 1 .* the strength is 'strong', expected a number",
    ),
    "a row whose strength is NaN": (
        lambda b: b.row(NAN, 0.0, 1.0),
        "row 1 of the CONTROL_NET_STACK: the strength is nan, expected an ordinary number",
    ),
    "a row that ends before it starts": (
        lambda b: b.rows((1.0, 0.0, 1.0), (1.0, 0.8, 0.2)),
        "row 2 of the CONTROL_NET_STACK: schedule start 0.8 is after end 0.2; exchange them",
    ),
    "a row with a grey image": (
        lambda b: b.legacy([b.row_of(1.0, 0.0, 1.0), b.row_of(1.0, 0.0, 1.0, image=of_none((*SIDE, 1)))]),
        r"row 2 of the CONTROL_NET_STACK: image has 1 channel \(grey\), .* Repeat its channel",
    ),
    # windows and curves
    "start after end": (lambda b: b.control(start=0.7, end=0.3), "schedule start 0.7 is after end 0.3; exchange them"),
    "start after end in steps": (
        lambda b: b.linked(schedule(start=0.5, end=0.25, unit="steps"), "schedule"),
        "schedule start 0.5 is after end 0.25",
    ),
    "sigmas the wrong way round": (
        lambda b: b.linked(schedule(start=1.0, end=5.0, unit="sigma"), "schedule"),
        "sigma falls during sampling",
    ),
    "a percentage": (
        lambda b: b.linked(schedule(end=80.0), "schedule"),
        r"schedule end is 80.0; in the unit timestep it must be in 0\.\.1",
    ),
    "a curve without a position": (
        lambda b: b.linked(schedule(curve="1@0, 0.5"), "schedule"),
        "curve: '0.5' is not a point; write value@position",
    ),
    "a curve with a hole": (
        lambda b: b.linked(schedule(curve="1@0,,0@1"), "schedule"),
        "curve: an empty entry is not a point",
    ),
    "a curve beyond the end": (
        lambda b: b.linked(schedule(curve="1@0, 0@1.5"), "schedule"),
        "is at 1.5; positions are 0 to 1",
    ),
    "a curve that goes back": (
        lambda b: b.linked(schedule(curve="1@0.5, 0@0.2"), "schedule"),
        "write the points in the order of sampling",
    ),
    "a curve with a point twice": (
        lambda b: b.linked(schedule(curve="1@0.5, 0@0.5"), "schedule"),
        "two points are at 0.5",
    ),
    "a curve of NaN": (
        lambda b: b.linked(schedule(curve="nan@0"), "schedule"),
        "curve: the point 'nan@0' is not finite",
    ),
    # weights
    "weights for another base": (
        lambda b: b.linked(weights(base="sdxl"), "weights"),
        "its weights are meant for the base sdxl, narrow-0-float32.safetensors is sd15. Set base to auto or to sd15",
    ),
    "weights for another base on a foreign net": (
        lambda b: b.linked(weights(base="sdxl"), "weights", net=b.host_net("narrow")),
        "meant for the base sdxl, the MODEL is sd15",
    ),
    "too few numbers": (
        lambda b: b.linked(weights(custom="1, 1, 1"), "weights"),
        "expected 5 numbers as custom weights, .*; got 3",
    ),
    "too few numbers for the base": (
        lambda b: b.linked(weights(base="sd15", custom="1, 1, 1"), "weights"),
        "expected 13 numbers as custom weights, .*; got 3",
    ),
    "a word among the weights": (
        lambda b: b.linked(weights(custom="1, 1, soft, 1, 1"), "weights"),
        "'soft' is not a number at place 3",
    ),
    "a gap among the weights": (
        lambda b: b.linked(weights(custom="1, 1, , 1, 1"), "weights"),
        "nothing is written at place 3",
    ),
    "numbers without commas": (
        lambda b: b.linked(weights(custom="1 1 1"), "weights"),
        "custom weights: '1 1 1' is not a number at place 1; write one number a connection, separated by commas",
    ),
    "a comma too many": (
        lambda b: b.linked(weights(custom="1," * 13), "weights"),
        "custom weights: nothing is written at place 14; write one number a connection",
    ),
    "a comma too many for a base": (
        lambda b: b.linked(weights(base="sd15", custom="1," * 13), "weights"),
        "custom weights: nothing is written at place 14; write 13 numbers, separated by commas",
    ),
    "a gap among the weights of a foreign net": (
        lambda b: b.linked(weights(custom="1, , 1"), "weights", net=b.host_net("narrow")),
        "nothing is written at place 2; write 5 numbers, separated by commas",
    ),
    "a weight that is NaN": (
        lambda b: b.linked(weights(custom="1, 1, nan, 1, 1"), "weights"),
        "connection weight 3 of 5 is nan; give a finite number",
    ),
    # numbers that no minimum and no maximum stops
    "a strength of NaN": (lambda b: b.control(strength=NAN), "strength is nan, expected an ordinary number"),
    "a start of NaN": (lambda b: b.control(start=NAN), "start is nan, expected an ordinary number"),
    "a feather of NaN": (lambda b: b.control(mask_feather=NAN), "mask_feather is nan, expected an ordinary number"),
    # images
    "an image with NaN": (
        lambda b: b.control(image=of_none((*SIDE, 3), spot=NAN)),
        "image has 1 value of NaN or infinity, .* Look at the node",
    ),
    "an image with infinity": (
        lambda b: b.control(image=of_none((1, 2, 1, 3), value=INF)),
        "image has 6 values of NaN or infinity",
    ),
    "an image with alpha": (
        lambda b: b.control(image=of_none((*SIDE, 4))),
        r"image has 4 channels \(with alpha\), expected 3 \(RGB\)\. Lay it over a background before it comes here\.",
    ),
    "a grey image": (
        lambda b: b.control(image=of_none((*SIDE, 1))),
        r": image has 1 channel \(grey\), expected 3 \(RGB\)\. Repeat its channel, or convert it to RGB, before",
    ),
    "an image of five channels": (
        lambda b: b.control(image=of_none((*SIDE, 5))),
        r"image has 5 channels, expected 3 \(RGB\)\. Convert it to RGB before it comes here",
    ),
    "an image without a batch": (
        lambda b: b.control(image=of_none((64, 64, 3))),
        r"image must be an IMAGE \[B, H, W, 3\]; got a tensor of the shape \(64, 64, 3\)",
    ),
    "a mask for an image": (
        lambda b: b.control(image=of_none(SIDE)),
        r"image must be an IMAGE .*got a tensor of the shape \(1, 64, 64\)",
    ),
    "an image of which a crop leaves nothing": (
        lambda b: b.control(image=of_none((1, 1, 512, 3))),
        r"control 1: nothing of an image of 512x1 is left .* choose the resize mode fit or stretch",
    ),
    "no image": (
        lambda b: b.control(image="canny.png"),
        r"image is 'canny.png', expected an IMAGE \[B, H, W, 3\]\. Connect the output of an image",
    ),
    "an empty batch": (lambda b: b.control(image=of_none((0, 64, 64, 3))), r"image has the shape \(0, 64, 64, 3\)"),
    "an image in bytes": (lambda b: b.control(image=torch.zeros(*SIDE, 3, dtype=torch.uint8)), "holds uint8 values"),
    "an image in 0..255": (
        lambda b: b.control(image=picture() * 255),
        r"image has values in 0\.\d+\.\.25\d\.\d+, expected 0\.\.1: divide by 255",
    ),
    "an image in -128..127": (
        lambda b: b.control(image=picture() - 128),
        r"image has values in -128\.\.-127, expected 0\.\.1: rescale it",
    ),
    "a row with an image in 0..255": (
        lambda b: b.legacy([b.row_of(1.0, 0.0, 1.0, image=of_none((*SIDE, 3), value=255.0))]),
        "row 1 of the CONTROL_NET_STACK: image has values in 255..255, expected 0..1: divide by 255",
    ),
    # masks
    "a mask far beyond rounding": (
        lambda b: b.linked(b.host.give(of_none(SIDE, spot=1.3)), "mask"),
        r"mask has values in 0.5..1.3, expected 0..1 .* Rescale it first",
    ),
    "a mask of bytes": (
        lambda b: b.linked(b.host.give(torch.full(SIDE, 255, dtype=torch.uint8)), "mask"),
        "mask has values in 255..255, expected 0..1 .* Divide it by 255",
    ),
    "a mask above 1": (
        lambda b: b.linked(b.host.give(of_none(SIDE, spot=255.0)), "mask"),
        r"mask has values in 0.5..255, expected 0..1 \(1: the control acts\)\. Divide it by 255",
    ),
    "a mask below 0": (
        lambda b: b.linked(b.host.give(of_none(SIDE, spot=-0.5)), "mask"),
        r"mask has values in -0.5..0.5, expected 0..1",
    ),
    "a mask with NaN": (
        lambda b: b.linked(b.host.give(of_none(SIDE, spot=NAN)), "mask"),
        "mask has values of NaN or infinity",
    ),
    "a mask with colours": (
        lambda b: b.linked(b.host.give(of_none((*SIDE, 3))), "mask"),
        r"mask must be a MASK \[B, H, W\]; got a tensor of the shape",
    ),
    "a word for a mask": (
        lambda b: b.linked(b.host.give("mask.png"), "mask"),
        r"mask is 'mask.png', expected a MASK \[B, H, W\]",
    ),
    "an empty mask": (
        lambda b: b.linked(b.host.give(of_none((0, 64, 64))), "mask"),
        r"mask must be a MASK .*\(0, 64, 64\)",
    ),
    # what belongs to other nets, and other MODELs
    "a union type on a plain net": (
        lambda b: b.control(
            net=node("SetUnionControlNetType", control_net=["plain", 0], type="depth"),
            extra={"plain": b.host.give(b.net_of("narrow"))},
        ),
        "is a plain ControlNet and has no use for control_type. Remove the node that sets it",
    ),
    "a copy of a transformer": (
        lambda b: {"model": b.host.give(flux_model()), "load": node("ZeroctlCopyFromModel", model=["model", 0])},
        r"a ControlNet can be copied from .* UNet; the MODEL is FluxSchnell \(no Stable Diffusion UNet\)",
    ),
    # saving
    "saving a foreign net": (
        lambda b: b.save(b.host_net("narrow")),
        "control_net is of the type ControlNet: only a ControlNet of this pack",
    ),
    "saving outside of the output folder": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "../../escaped"),
        "outside the output folder is not allowed",
    ),
    "saving at an absolute path": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "/tmp/escaped"),
        "outside the output folder is not allowed",
    ),
    "saving under a name with a NUL": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "controlnet/a\0b"),
        r"filename_prefix is 'controlnet/a\?b', which holds a character that no file name may hold. Write a name",
    ),
    "saving under a name with a line break": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "a\nb"),
        r"filename_prefix is 'a\?b', which holds a character",
    ),
    "saving under a name that no disk can hold": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "ä" * 101),
        "filename_prefix is 'ä{99}…', which is longer than a path may be: 1000 characters, and 200 bytes a name",
    ),
    "saving under 10 MB": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), "a/" * 5_000_000 + "b"),
        "filename_prefix is '(a/){49}a…', which is longer than a path may be",
    ),
    "saving without a name": (
        lambda b: b.save(b.host.give(b.net_of("narrow")), ""),
        "filename_prefix is '', which names no file",
    ),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_bad_graph_is_refused_in_words_before_sampling(host, bench, case) -> None:
    make, pattern = GRAPHS[case]
    with torch.inference_mode():
        graph = make(bench)
    who, words = refusal(host, graph)
    assert who is NodeFailed
    assert re.search(pattern, words, re.DOTALL), words


CHOICES = {
    "mode": lambda b: b.control(mode=NOT_AN_OPTION),
    "resize": lambda b: b.control(resize=NOT_AN_OPTION),
    "branches": lambda b: b.control(branches=NOT_AN_OPTION),
    "if_never_applied": lambda b: b.control(policy=NOT_AN_OPTION),
    "rule": lambda b: b.linked(weights(rule=NOT_AN_OPTION), "weights"),
    "base": lambda b: b.linked(weights(base=NOT_AN_OPTION), "weights"),
    "unit": lambda b: b.linked(schedule(unit=NOT_AN_OPTION), "schedule"),
    "interpolation": lambda b: b.linked(schedule(interpolation=NOT_AN_OPTION), "schedule"),
    "layout": lambda b: b.save(b.host.give(b.net_of("narrow")), layout=NOT_AN_OPTION),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_is_no_choice_is_refused_also_where_the_host_does_not_look(host, bench, choice) -> None:
    who, words = refusal(host, CHOICES[choice](bench))
    if who is PromptRefused:
        assert "Value not in list" in words and NOT_AN_OPTION in words
    else:
        assert f"{choice} is '{NOT_AN_OPTION}', which is not a choice here. Use one of: " in words


@pytest.mark.parametrize(
    ("resolution", "pattern"),
    [
        (-8, "Value -8 smaller than min of 0"),
        (32, "resolution is 32; expected the short side in pixels, 64 to"),
        (100000, "Value 100000 bigger than max"),
    ],
)
def test_a_resolution_out_of_range_is_refused(host, resolution, pattern) -> None:
    graph = {
        "image": host.give(picture()),
        "load": node("ZeroctlCanny", image=["image", 0], low=100, high=200, blur_sigma=0.0, resolution=resolution),
    }
    with pytest.raises((NodeFailed, PromptRefused), match=pattern):
        host.run(graph, keep={"image": ["load", 0]})


def test_a_union_type_on_ours_is_refused_in_the_hosts_apply_too(host, bench) -> None:
    graph = bench.graph_of("narrow")
    graph["plain"] = host.give(bench.net_of("narrow"))
    typed = node("SetUnionControlNetType", control_net=["plain", 0], type="depth")
    _, words = refusal(host, with_host_control(graph, typed, host.give(picture())))
    assert "this is a plain SD 1.5 ControlNet, it has no use for control_type" in words


# ---- files


def meta(shapes: dict[str, tuple[int, ...]], keep: int = 40) -> dict[str, Tensor]:
    """The first keys of a file, with a number each: what it is shows in its keys."""
    return {key: torch.zeros(1) for key in list(shapes)[:keep]}


def without(state: dict[str, Tensor], key: str) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if k != key}


def with_nan() -> dict[str, Tensor]:
    state = random_controlnet("narrow", dtype=torch.float16)
    state["zero_convs.2.0.weight"][0] = NAN
    return state


def cut_adapter(lost: str = "nothing", **options: bool) -> dict[str, Tensor]:
    """A T2I-Adapter without the keys that start so."""
    state = random_state_dict(adapter_shapes(64, **options), dtype=torch.float16)
    return {key: value for key, value in state.items() if not key.startswith(lost)}


class Program:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def halved(path: Path) -> None:
    save_file(random_controlnet("narrow", dtype=torch.float16), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


LORA = {"lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight": torch.zeros(2, 2)}
HOST_READS = "Load it with ComfyUI's Load ControlNet Model; ControlNet Control accepts it"

FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "lora": (lambda p: save_file(LORA, p), "seems to be a LoRA: .*Load it with ComfyUI's Load LoRA"),
    "adapter-cut-off": (
        lambda p: save_file(cut_adapter("body.3.", light=True), p),
        "cannot be loaded as a T2I-Adapter: it lacks level 4. Download it again",
    ),
    "adapter-with-nan": (
        lambda p: save_file({**cut_adapter(), "body.1.block2.weight": torch.full((64, 64, 1, 1), NAN)}, p),
        r"NaN or infinite numbers in 1 of .*body.1.block2.weight",
    ),
    "adapter-of-other-pictures": (
        lambda p: save_file({**cut_adapter(), "conv_in.weight": torch.zeros(64, 128, 3, 3)}, p),
        "its first convolution reads 128 channels; expected 64 or 192 .*256 or 768",
    ),
    "adapter-reshaped": (
        lambda p: save_file({**cut_adapter("body.5.block1.bias"), "body.4.block2.bias": torch.zeros(3)}, p),
        r"as a T2I-Adapter for SD 1.5: 1 key missing \(body.5.block1.bias\); .*block2.bias \[3\] instead of \[256",
    ),
    "style-adapter": (
        lambda p: save_file({"style_embedding": torch.zeros(1), "ln_post.weight": torch.zeros(1)}, p),
        "seems to be a T2I style adapter: .*Load it with ComfyUI's Load Style Model",
    ),
    "vae": (lambda p: save_file(meta(vae_shapes(), 300), p), "seems to be a VAE: .*Load it with ComfyUI's Load VAE"),
    "checkpoint": (
        lambda p: save_file({f"model.diffusion_model.{k}": v for k, v in meta(unet_shapes("narrow")).items()}, p),
        "seems to be a whole checkpoint without a control: .*Load it with ComfyUI's Load Checkpoint",
    ),
    "unet": (
        lambda p: save_file(meta(unet_shapes("narrow"), 400), p),
        "seems to be a UNet .*Load it with ComfyUI's Load Diffusion Model",
    ),
    "clip": (
        lambda p: save_file({f"text_model.{k}": v for k, v in meta(clip_l_shapes()).items()}, p),
        "seems to be a text encoder",
    ),
    "flux": (
        lambda p: save_file(
            {
                "controlnet_blocks.0.weight": torch.zeros(1),
                "double_blocks.0.img_attn.norm.key_norm.scale": torch.zeros(1),
            },
            p,
        ),
        f"seems to be a Flux ControlNet: .*{HOST_READS}",
    ),
    "union": (
        lambda p: save_file({**random_controlnet("narrowxl"), "task_embedding": torch.zeros(6, 64)}, p),
        "as a union ControlNet of the SDXL family, 18 keys missing .*The file is incomplete",
    ),
    "control-lora": (
        lambda p: save_file({"lora_controlnet": torch.zeros(0), "input_blocks.1.0.in_layers.2.up": torch.zeros(1)}, p),
        "cannot be loaded as a Control-LoRA: input_blocks.1.0.in_layers.2 has one factor, up, and lacks the other",
    ),
    "difference": (
        lambda p: save_file(
            {"difference": torch.zeros(1), **without(random_controlnet("narrow"), "zero_convs.3.0.bias")}, p
        ),
        r"cannot be loaded as a difference file: as a control of the SD 1.5 family, 1 key missing",
    ),
    "incomplete": (
        lambda p: save_file(without(random_controlnet("narrow"), "middle_block_out.0.bias"), p),
        r"1 key missing \(middle_block_out.0.bias\)",
    ),
    "reshaped": (
        lambda p: save_file({**random_controlnet("narrow"), "zero_convs.1.0.weight": torch.zeros(3, 3, 1, 1)}, p),
        "zero_convs.1.0.weight .* instead of ",
    ),
    "nan": (lambda p: save_file(with_nan(), p), "NaN or infinite numbers in 1 of .*zero_convs.2.0.weight"),
    "halved": (halved, "cut off or damaged: download it again"),
    "empty": (lambda p: p.write_bytes(b""), r"is empty \(0 bytes\); download it again"),
    "page": (
        lambda p: p.write_text("<!DOCTYPE html><html>404</html>" * 9),
        "is a web page, not weights; download the file itself",
    ),
    "pointer": (
        lambda p: p.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "is a Git LFS pointer",
    ),
    "noise": (lambda p: p.write_bytes(bytes(range(1, 200))), "is not a file of weights"),
    "program.pth": (
        lambda p: p.write_bytes(pickle.dumps({"zero_convs.0.0.weight": Program()})),
        "Python objects beside its weights, which could run code when opened, so it is refused",
    ),
    "number.pth": (lambda p: torch.save(7, p), "holds a int; expected a state dict"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused_in_words(host, case, tmp_path, monkeypatch) -> None:
    write, pattern = FILES[case]
    name = f"bad-{case}" if "." in case else f"bad-{case}.safetensors"
    path = host.base / "models" / "controlnet" / name
    monkeypatch.chdir(tmp_path)
    write(path)
    try:
        graph = {"load": node("ZeroctlLoadControlNet", control_net_name=name)}
        with pytest.raises(NodeFailed) as caught:
            host.run(graph, keep={"net": ["load", 0]})
    finally:
        path.unlink()
    words = str(caught.value)
    assert words.startswith(
        f"load (ZeroctlLoadControlNet): zeroctl_core.files.checkpoint_error.CheckpointError: {name} "
    ), words
    assert re.search(pattern, words, re.DOTALL), words
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_not_there_is_refused(host) -> None:
    graph = {"load": node("ZeroctlLoadControlNet", control_net_name="nowhere.safetensors")}
    with pytest.raises((NodeFailed, PromptRefused), match="nowhere.safetensors"):
        host.run(graph, keep={"net": ["load", 0]})


def test_a_file_that_went_after_it_was_listed_is_refused(host) -> None:
    """A link whose file has gone is still in ComfyUI's list."""
    path = host.base / "models" / "controlnet" / "gone.safetensors"
    path.symlink_to(path.with_name("was here.safetensors"))
    try:
        graph = {"load": node("ZeroctlLoadControlNet", control_net_name=path.name)}
        with pytest.raises(
            NodeFailed, match="There is no ControlNet file 'gone.safetensors' in .*controlnet.*Put the file there"
        ):
            host.run(graph, keep={"net": ["load", 0]})
    finally:
        path.unlink()


# ---- what is not refused


def outcome(host: Host, graph: Graph) -> tuple[Tensor, str, list[dict[str, Any]]]:
    """The latent, the report, and the notices of a run."""
    result = host.run(graph, keep={"latent": ["sampler", 0], "report": ["ours", 1]})
    return result["latent"]["samples"], result["report"], result.sent("zeroctl.notice")


@pytest.mark.parametrize(
    ("inputs", "pattern"), [({"enabled": False}, "switched off"), ({"strength": 0.0}, "strength 0: it never runs")]
)
def test_what_is_switched_off_passes_through_and_is_said(host, bench, inputs, pattern) -> None:
    samples, report, notices = outcome(host, bench.control(**inputs))
    assert torch.equal(samples, latents(host, bench.graph_of("narrow")))
    assert "Nothing can act: every control is switched off or has strength 0" in report and pattern in report
    assert [notice["severity"] for notice in notices] == ["info"]


def test_what_is_switched_off_may_be_of_any_family(host, bench) -> None:
    samples, report, _ = outcome(host, bench.control("narrowxl", model="narrow", enabled=False))
    assert torch.equal(samples, latents(host, bench.graph_of("narrow")))
    assert "control 1: narrowxl-0-float32.safetensors\n  switched off" in report


CLOSED = {"start": 20.0, "end": 15.0, "unit": "sigma"}  # above every sigma of Stable Diffusion


def test_a_window_without_steps_passes_through_and_the_report_says_so(host, bench) -> None:
    samples, report, notices = outcome(host, bench.linked(schedule(**CLOSED), "schedule"))
    assert torch.equal(samples, latents(host, bench.graph_of("narrow")))
    assert "active steps of 20: normal none; karras none" in report
    (notice,) = notices
    assert notice["severity"] == "warn" and notice["title"] == "Control never acted"
    assert "control 1 (narrow-0-float32.safetensors" in notice["text"]


def test_a_window_without_steps_is_refused_before_sampling_where_asked(host, bench) -> None:
    graph = bench.linked(schedule(**CLOSED), "schedule", policy="error")
    _, words = refusal(host, graph)
    assert "NeverApplied: control 1 (narrow-0-float32.safetensors) cannot act in this run" in words
    assert "holds no step of the run, which has 2. Widen start and end, or set if_never_applied to warn" in words


def test_a_branch_that_never_came_is_an_error_at_the_end_where_asked(host, bench) -> None:
    """At a guidance of 1 the host leaves the negative prompt out, which nobody knows before."""
    graphs = {policy: bench.control(branches="uncond", policy=policy) for policy in ("error", "warn", "ignore")}
    for graph in graphs.values():
        graph["sampler"]["inputs"]["cfg"] = 1.0
    with (
        counted(unet_of(graphs["error"])) as calls,
        pytest.raises(NodeFailed, match="NeverApplied: control 1 .*uncond"),
    ):
        host.run(graphs["error"], keep={"latent": ["sampler", 0]})
    assert len(calls) == 2
    assert len(outcome(host, graphs["warn"])[2]) == 1
    assert not outcome(host, graphs["ignore"])[2]


MASKS = {
    "rounding": (lambda: of_none(SIDE, value=1.0, spot=1.0000002), lambda: torch.ones(SIDE), ""),
    "rounding below": (lambda: of_none(SIDE, value=0.5, spot=-1e-7), lambda: of_none(SIDE, spot=0.0), ""),
    "bicubic": (
        lambda: of_none(SIDE, value=1.105, spot=-0.105),
        lambda: of_none(SIDE, value=1.0, spot=0.0),
        "mask has values in -0.105..1.105, expected 0..1: what a filter overshot is cut",
    ),
    "bools": (lambda: of_none(SIDE).bool(), lambda: torch.ones(SIDE), ""),
    "whole numbers": (lambda: torch.ones(SIDE, dtype=torch.int64), lambda: torch.ones(SIDE), ""),
}


@pytest.mark.parametrize("case", MASKS)
def test_a_mask_that_only_a_filter_or_its_type_spoils_acts_as_one_that_is_right(host, bench, case) -> None:
    make, right, note = MASKS[case]
    with torch.inference_mode():
        spoilt, whole = make(), right()
    samples, report, notices = outcome(host, bench.linked(host.give(spoilt), "mask"))
    assert torch.equal(samples, outcome(host, bench.linked(host.give(whole), "mask"))[0])
    assert [notice["text"] for notice in notices] == [text for text in [note] if text]
    assert (note in report) and ("expected 0..1" in report) == bool(note)


@pytest.mark.parametrize(("low", "high", "has_note"), [(-0.1, 1.1, True), (-1.0, 1.0, False), (-1e-6, 1.000001, False)])
def test_the_report_says_what_values_a_condition_image_has(host, bench, low, high, has_note) -> None:
    image = picture() * 0.9
    image[0, 0, 0], image[0, 0, 1] = low, high
    _, report, notices = outcome(host, bench.control(image=image))
    assert ("image has values in -0.1..1.1, expected 0..1" in report) == has_note and not notices


@pytest.mark.parametrize(
    ("resize", "low", "then"),
    [
        ("crop", -0.1, "acts, too"),
        ("fit", -0.1, "is cut off where the image is resized"),
        ("stretch", -0.1, "is cut off where the image is resized"),
        ("stretch", -1.1, "is cut off where the image is resized, except in pictures with a hole"),
    ],
)
def test_the_report_says_what_becomes_of_what_a_filter_overshot(host, bench, resize, low, then) -> None:
    """And it does: in `fit` and `stretch` the control sees what it sees of the image without it."""
    image = picture(96, 96) * 0.9
    image[0, :8, :8], image[0, 40, 40] = low, 1.1
    samples, report, notices = outcome(host, bench.control(image=image, resize=resize))
    assert f"image has values in {low:g}..1.1, expected 0..1: what a filter overshot {then}\n" in report + "\n"
    cut = image.clamp(-1.0 if low < -1 else 0.0, 1.0)
    same = torch.equal(samples, outcome(host, bench.control(image=cut, resize=resize))[0])
    assert same == (then == "is cut off where the image is resized") and not notices


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ({"mask_invert": True}, "mask_invert without effect: no mask is connected"),
        ({"mask_feather": 8.0}, "mask_feather 8 without effect: no mask is connected"),
        ({"mask_feather": 8.0, "mask_invert": True}, "mask_feather 8 and mask_invert without effect: no mask"),
    ],
)
def test_settings_of_a_mask_without_a_mask_are_said(host, bench, inputs, text) -> None:
    _, report, notices = outcome(host, bench.control(**inputs))
    assert f"  {text}" in report and [text in notice["text"] for notice in notices] == [True]
    _, report, notices = outcome(host, bench.linked(host.give(of_none(SIDE)), "mask", **inputs))
    assert "without effect" not in report and not notices


def test_the_default_window_in_sigma_is_said_at_once(host) -> None:
    def notices(**inputs: Any) -> list[Any]:
        graph = {"schedule": schedule(unit="sigma", **inputs)}
        return host.run(graph, keep={"schedule": ["schedule", 0]}).sent("zeroctl.notice")

    (notice,) = notices()
    assert notice["severity"] == "warn" and "steps below sigma 1" in notice["text"] and "Set end to 0" in notice["text"]
    assert not notices(end=0.0) and not notices(start=5.0)


def test_no_notice_where_a_control_acts(host, bench) -> None:
    for policy in ("warn", "error", "ignore"):
        assert not outcome(host, bench.control(policy=policy))[2]


def test_the_cases_are_many() -> None:
    """The issue of this pack is silence: the list only grows."""
    assert len(GRAPHS) + len(CHOICES) + len(FILES) >= 80
    assert set(CONTROL) <= {
        "strength",
        "start",
        "end",
        "mode",
        "resize",
        "enabled",
        "branches",
        "mask_feather",
        "mask_invert",
    }
