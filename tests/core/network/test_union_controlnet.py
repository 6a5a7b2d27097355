"""A union ControlNet equals diffusers' on the same random weights, one row a call, and is the same row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers_twins import controlnet_config, diffusers
from random_weights import SPECS, random_state_dict, union_shapes
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import ControlStack, ControlUnit, Residuals, load_controlnet, save_controlnet
from zeroctl_core.bases import BASES
from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.control.rows import Rows
from zeroctl_core.control.run import Run
from zeroctl_core.files.on_meta import on_meta
from zeroctl_core.network.blocks import timestep_embedding
from zeroctl_core.network.union_controlnet import UnionControlNet

SPEC = SPECS["narrowxl"]
TOLERANCE = 1e-6  # relative L2 a residual in float32
ROWS, H, W = 3, 8, 12


def file_of(folder: Path, n_types: int, layout: str) -> Path:
    """A union ControlNet of random weights; in the diffusers layout by its own table."""
    state = random_state_dict(union_shapes("narrowxl", n_types), seed=4, dtype=torch.float32, spread=0.1)
    path = folder / f"union-{n_types}-{layout}.safetensors"
    save_file(to_diffusers(state, SPEC.num_res_blocks) if layout == "diffusers" else state, path)
    return path


@pytest.fixture(scope="module")
def nets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], UnionControlNet]:
    """Loaded from files, by number of types and layout."""
    folder = tmp_path_factory.mktemp("unions")
    loaded = {}
    for n_types in (6, 8):
        for layout in ("ldm", "diffusers"):
            net = load_controlnet(file_of(folder, n_types, layout))
            assert isinstance(net, UnionControlNet) and net.n_types == n_types
            loaded[n_types, layout] = net
    return loaded


def twin(net: UnionControlNet) -> Any:
    """The union of diffusers with these weights, which it shares."""
    config = controlnet_config(SPEC) | {
        "num_control_type": net.n_types,
        "num_trans_channel": SPEC.model_channels,
        "num_trans_head": 8,
        "num_proj_channel": SPEC.model_channels,
        "conditioning_embedding_out_channels": (16, 32, 96, 256),  # as published; the class has others
    }
    with torch.device("meta"):
        other = diffusers().ControlNetUnionModel(**config)  # type: ignore[attr-defined]
    other.load_state_dict(to_diffusers(net.state_dict(), SPEC.num_res_blocks), assign=True)
    return other.eval()


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    sizes = torch.tensor([[1024.0, 768.0, 0.0, 8.0, 1024.0, 768.0]]).repeat(ROWS, 1)
    pooled = torch.randn(ROWS, 1280, generator=generator)
    return {
        "x": torch.randn(ROWS, 4, H, W, generator=generator),
        "t": torch.tensor([7.0, 981.0, 444.0]),
        "context": torch.randn(ROWS, 11, SPEC.context_dim, generator=generator),
        "pooled": pooled,
        "sizes": sizes,
        "y": torch.cat((pooled, timestep_embedding(sizes.flatten(), 256).reshape(ROWS, -1)), dim=1),
        "images": torch.rand(ROWS, 9, 8 * H, 8 * W, generator=generator),
    }


def of_diffusers(
    other: Any, inputs: dict[str, Tensor], types: tuple[int, ...], scales: list[float], rows: slice, **options: Any
) -> Residuals:
    active = torch.zeros(other.config.num_control_type)
    active[list(types)] = 1.0
    with torch.inference_mode():
        skips, middle = other(
            inputs["x"][rows],
            inputs["t"][rows],
            inputs["context"][rows],
            list(inputs["images"][rows, : 3 * len(types)].split(3, dim=1)),
            control_type=active[None].repeat(len(inputs["x"][rows]), 1),
            control_type_idx=list(types),
            conditioning_scale=scales,
            added_cond_kwargs={"text_embeds": inputs["pooled"][rows], "time_ids": inputs["sizes"][rows]},
            return_dict=False,
            **options,
        )
    return Residuals(tuple(skips), middle)


def ours(
    net: UnionControlNet, inputs: dict[str, Tensor], types: tuple[int, ...], strengths: list[float] | None = None
) -> Residuals:
    typed = net.of_types(types, strengths)
    with torch.inference_mode():
        feature = typed.encode(inputs["images"][:, : 3 * len(types)])
        return typed(inputs["x"], inputs["t"], inputs["context"], feature=feature, y=inputs["y"])


def error(one: Residuals, other: Residuals) -> float:
    """The largest relative difference of a connection."""
    assert [m.shape for m in one] == [m.shape for m in other] and all(m.norm() > 0 for m in other)
    return max(((a - b).norm() / b.norm()).item() for a, b in zip(one, other, strict=True))


CASES: dict[str, tuple[tuple[int, ...], list[float], float, dict[str, Any]]] = {
    "one type": ((3,), [1.0], 1.0, {}),
    "one type, scaled": ((3,), [0.7], 0.7, {}),
    "two types": ((1, 5), [1.0, 1.0], 1.0, {}),
    "two types, scaled inside": ((1, 5), [0.7, 1.3], 1.0, {}),
    "three types, scaled inside": ((0, 3, 4), [0.5, 1.0, 1.5], 1.0, {}),
    "three types, scaled outside": ((0, 3, 4), [0.6] * 3, 0.6, {"from_multi": True}),
}


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
@pytest.mark.parametrize("n_types", [6, 8])
def test_it_equals_diffusers_row_by_row(nets, inputs, n_types, layout) -> None:
    net = nets[n_types, layout]
    other = twin(net)
    for name, (types, scales, outside, options) in CASES.items():
        inside = scales if "inside" in name else None
        mine = ours(net, inputs, types, inside)
        for row in range(ROWS):
            theirs = of_diffusers(other, inputs, types, scales, slice(row, row + 1), **options)
            single = Residuals.of([value[row : row + 1] * outside for value in mine])
            assert error(single, theirs) <= TOLERANCE, name


def test_diffusers_mixes_the_rows_of_a_batch_and_this_does_not(nets, inputs) -> None:
    """Its transformer attends along the batch. Recorded here: on these weights a residual moves by 1e-6 to 1e-2."""
    net = nets[6, "ldm"]
    other, types = twin(net), (0, 3, 4)
    whole = of_diffusers(other, inputs, types, [1.0] * 3, slice(0, ROWS))
    alone = of_diffusers(other, inputs, types, [1.0] * 3, slice(0, 1))
    moved = error(Residuals.of([value[:1] for value in whole]), alone)
    assert 1e-6 < moved < 1e-2
    mine = ours(net, inputs, types)
    first = ours(net, {name: value[:1] for name, value in inputs.items()}, types)
    assert error(Residuals.of([value[:1] for value in mine]), first) <= TOLERANCE


def test_every_type_and_every_image_is_felt_and_their_order_is_not(nets, inputs) -> None:
    net = nets[8, "ldm"]
    results = [ours(net, inputs, (number,)) for number in range(8)]
    for number, result in enumerate(results):
        assert all(error(result, other) > 1e-3 for other in results[:number])
    both = ours(net, inputs, (1, 3))
    swapped = {**inputs, "images": torch.cat((inputs["images"][:, 3:6], inputs["images"][:, :3]), dim=1)}
    assert error(ours(net, swapped, (3, 1)), both) <= TOLERANCE
    assert error(ours(net, inputs, (3, 1)), both) > 1e-4


def test_a_file_of_either_layout_comes_back_to_the_bit(nets, tmp_path) -> None:
    for (n_types, layout), net in nets.items():
        for other_layout in ("ldm", "diffusers"):
            path = tmp_path / f"{n_types}-{layout}-{other_layout}.safetensors"
            again = load_controlnet(save_controlnet(net, path, layout=other_layout))
            assert isinstance(again, UnionControlNet) and again.info is not None and again.info.layout == other_layout
            state = net.state_dict()
            assert all(torch.equal(value, state[key]) for key, value in again.state_dict().items())


@pytest.mark.parametrize(("n_types", "millions"), [(6, 1256.0), (8, 1256.6)])
def test_the_full_size_has_the_keys_and_the_size_of_the_published_files(n_types, millions) -> None:
    with on_meta():
        net = UnionControlNet(BASES["sdxl"], n_types=n_types, device="meta")
    assert {key: tuple(value.shape) for key, value in net.state_dict().items()} == union_shapes("sdxl", n_types)
    assert len(net.state_dict()) == 863
    assert round(sum(value.numel() for value in net.parameters()) / 1e6, 1) == millions


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ((6,), r"the type 6 \(tile\) is not one of the 6 of this union ControlNet: 0 openpose, .* ProMax, .* has 8"),
        ((9,), "the type 9 is not one of the 6"),
        ((-1,), "the type -1 is not one of the 6"),
        ((2, 2), "give each condition another one"),
        ((), "give each condition another one"),
    ],
)
def test_types_that_it_does_not_have_are_refused(nets, types, message) -> None:
    with pytest.raises(ValueError, match=message):
        nets[6, "ldm"].of_types(types)


def test_another_number_of_images_than_types_is_refused(nets, inputs) -> None:
    with pytest.raises(ValueError, match="9 channels; expected 6, 3 for each of 2 types"):
        nets[6, "ldm"].encode_types(inputs["images"], (1, 2))


def test_several_types_are_one_run_of_the_net_with_its_feature_made_once(nets, inputs) -> None:
    net = nets[8, "diffusers"]
    typed = net.of_types((0, 1, 3), (0.5, 1.0, 1.0))
    calls: dict[str, int] = {"net": 0, "hint": 0}
    hooks = [
        net.register_forward_pre_hook(lambda *_: calls.update(net=calls["net"] + 1)),
        net.input_hint_block.register_forward_pre_hook(lambda *_: calls.update(hint=calls["hint"] + 1)),
    ]
    stack = ControlStack((ControlUnit(typed, inputs["images"][:1], strength=0.8, branches="cond"),))
    run = Run(lambda percent: 1.0 - percent, (1.0, 0.5, 0.0))
    rows = Rows(("uncond", "cond", "uncond"), (0, 0, 0), (None,) * 3)
    for _ in range(2):
        residuals = stack(inputs["x"], inputs["t"], inputs["context"], y=inputs["y"], run=run, rows=rows)
    for hook in hooks:
        hook.remove()
    assert calls == {"net": 2, "hint": 3}
    assert residuals is not None
    alone = {name: value[1:2] for name, value in inputs.items()} | {"images": inputs["images"][:1]}
    expected = ours(net, alone, (0, 1, 3), [0.5, 1.0, 1.0])
    assert error(Residuals.of([value[1:2] / 0.8 for value in residuals]), expected) <= TOLERANCE
    assert all(not value[0].any() and not value[2].any() for value in residuals)
