"""A control below a prefix, inside dicts, beside what a training left: found, named, or refused in those words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from random_weights import controlnet_shapes, random_state_dict
from safetensors.torch import save_file
from torch import Tensor

from zeroctl_core import BASES, CheckpointError, ControlNet, load_controlnet
from zeroctl_core.annotators.networks import NETWORKS
from zeroctl_core.annotators.networks.loading import load_network
from zeroctl_core.checkpoint.layouts import to_diffusers

TINY = BASES["tiny"]
State = dict[str, Tensor]
SMALL = torch.ones(2, 2)
NUMBER = torch.ones((), dtype=torch.int64)


@pytest.fixture(scope="module")
def state() -> State:
    shapes = {key: tuple(value.shape) for key, value in ControlNet(TINY, device="meta").state_dict().items()}
    return random_state_dict(shapes, dtype=torch.float16, spread=0.1)


def _below(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def _diffusers(state: State) -> State:
    return to_diffusers(state, TINY.spec.num_res_blocks)


def _write(content: dict, path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)


# ---- what loads

PREFIXES = (
    "control_model.",
    "module.control_model.",
    "_forward_module.control_model.",
    "module.",
    "controlnet.module.",
    "controlnet.",
    "_orig_mod.",
    "model.control_model.",
    "state_dict.module._orig_mod.",
    "net.0.",
)


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_the_one_prefix_is_taken_off_and_named(prefix, layout, state, tmp_path):
    content = _below(prefix, _diffusers(state) if layout == "diffusers" else state)
    _write(content, tmp_path / "a.safetensors")
    net = load_controlnet(tmp_path / "a.safetensors")
    assert net.info.prefix == prefix and net.info.layout == layout and net.info.ignored == ()
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


NESTED: dict[str, Callable[[State], dict]] = {
    "state_dict": lambda s: {"state_dict": s},
    "twice": lambda s: {"state_dict": {"state_dict": _below("control_model.", s)}},
    "module": lambda s: {"module": _below("module.", s)},
    "model": lambda s: {"model": _below("control_model.", s)},
    "controlnet": lambda s: {"controlnet": _diffusers(s)},
    "any": lambda s: {"what_i_call_it": s, "epoch": 3, "comment": "mine"},
    "optimizer": lambda s: {"controlnet": s, "optimizer": {"state": {0: {"exp_avg": SMALL}}}},
    "lightning": lambda s: {
        "state_dict": _below("control_model.", s) | {"betas": SMALL, "model.diffusion_model.out.0.weight": SMALL},
        "optimizer_states": [{"state": {0: {"exp_avg": SMALL}}}],
        "callbacks": {"checkpoint": {"best": NUMBER}},
        "hyper_parameters": {"lr": 1e-5},
        "global_step": 7,
    },
}


@pytest.mark.parametrize("name", NESTED)
def test_a_control_in_dicts_loads(name, state, tmp_path):
    torch.save(NESTED[name](state), tmp_path / "a.ckpt")
    net = load_controlnet(tmp_path / "a.ckpt")
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())
    assert set(net.info.ignored) == {
        "optimizer": {"optimizer"},
        "lightning": {"noise schedule", "model.diffusion_model", "callbacks"},
    }.get(name, set())


BESIDE: dict[str, tuple[str, State, set[str]]] = {
    "scalars": (
        "control_model.",
        {"global_step": NUMBER, "scale_factor": torch.ones(1)},
        {"global_step", "scale_factor"},
    ),
    "bare": ("", {"betas": SMALL, "logvar": SMALL, "global_step": NUMBER}, {"noise schedule", "global_step"}),
    "average": (
        "control_model.",
        {"model_ema.decay": NUMBER, "model_ema.control_model.zero_convs.0.0.weight": SMALL},
        {"model_ema"},
    ),
    "positions": ("control_model.", {"embeddings.position_ids": NUMBER}, {"embeddings.position_ids"}),
    "wrapped": (
        "module.control_model.",
        {"module.betas": SMALL, "module.first_stage_model.encoder.conv_in.weight": SMALL, "module.step": NUMBER},
        {"noise schedule", "first_stage_model", "step"},
    ),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", BESIDE)
def test_what_a_training_leaves_beside_a_control_is_named(name, suffix, state, tmp_path):
    prefix, beside, names = BESIDE[name]
    _write(_below(prefix, state) | {key: value.clone() for key, value in beside.items()}, tmp_path / f"a{suffix}")
    net = load_controlnet(tmp_path / f"a{suffix}")
    assert set(net.info.ignored) == names
    assert all(torch.equal(value, state[key]) for key, value in net.state_dict().items())


# ---- what is refused

REFUSED: dict[str, tuple[Callable[[State], dict], str]] = {
    "two": (
        lambda s: _below("canny.", s) | _below("depth.", s),
        r"holds 2 controls, below 'canny\.', 'depth\.'; write the one that is meant",
    ),
    "two_layouts": (
        lambda s: _below("old.", s) | _below("new.", _diffusers(s)),
        r"holds 2 controls, below 'new\.', 'old\.'",
    ),
    "bare_and_prefixed": (lambda s: s | _below("copy.", s), r"holds 2 controls, below '', 'copy\.'"),
    "module_beside": (
        lambda s: _below("control_model.", s) | {"adapter.weight": SMALL, "adapter.bias": SMALL},
        r"2 keys beside the control \(adapter.(weight|bias), adapter.(weight|bias)\)",
    ),
    "prefixed_union": (
        lambda s: _below("module.", s | {"task_embedding": SMALL}),
        r"as a union ControlNet of the zeroctl tiny family, \d+ keys missing \(transformer_layes",
    ),
    "half": (
        lambda s: _below("module.", {key: value for key, value in s.items() if not key.startswith("middle_")}),
        "keys? missing|neither",
    ),
    "scaled_fp8": (
        lambda s: (
            {key: value.to(torch.float8_e4m3fn) for key, value in s.items()}
            | {key.replace(".weight", ".scale_weight"): torch.ones(1) for key in s if key.endswith(".weight")}
            | {"scaled_fp8": torch.ones(0)}
        ),
        r"is quantised: it holds \d+ scales \(.*Quantised files are not read here; get the fp16 or fp32 version",
    ),
    "nf4": (
        lambda s: s | {"time_embed.0.weight.absmax": SMALL, "time_embed.0.weight.quant_map": SMALL},
        "is quantised: it holds 2 scales",
    ),
    "int8": (
        lambda s: _below("module.", {key: value.to(torch.int8) for key, value in s.items()}),
        "of another type than floating point.* Quantised files are not read here",
    ),
}


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_one_whole_control_is_refused(name, suffix, state, tmp_path):
    content, message = REFUSED[name]
    _write({key: value.clone() for key, value in content(state).items()}, tmp_path / f"a{suffix}")
    with pytest.raises(CheckpointError, match=message):
        load_controlnet(tmp_path / f"a{suffix}")


def test_two_controls_in_dicts_are_refused_with_both_names(state, tmp_path):
    torch.save({"model": dict(state), "ema": {"model": dict(state)}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointError, match=r"holds 2 controls, below 'ema\.model\.', 'model\.'"):
        load_controlnet(tmp_path / "a.ckpt")


@pytest.mark.parametrize("wrapper", ["state_dict", "params", "params_ema", "model"])
def test_a_network_of_an_annotator_loads_from_a_dict(wrapper, tmp_path):
    state = random_state_dict(NETWORKS["teed"].shapes())
    torch.save({wrapper: _below("module.", state), "epoch": 7}, tmp_path / "a.pth")
    assert load_network("teed", tmp_path / "a.pth").state_dict().keys() == state.keys()


# ---- pooling

SHUFFLE_NAMES = (
    "control_v11e_sd15_shuffle",
    "control_v11e_sd15_shuffle_fp16",
    "controlnet11Models_shuffle",
    "control_v11e_sd15_shuffle-fp16",
    "control_v11e_sd15_shuffle [526bfdae]",
    "Shuffle (1)",
)
OTHER_NAMES = ("control_v11p_sd15_canny", "unshuffled", "reshuffle2", "shuffler")


@pytest.fixture(scope="module")
def thin() -> State:
    return random_state_dict(controlnet_shapes("thin"), dtype=torch.float16)


def test_shuffle_is_recognised_in_every_spelling_of_its_name(thin, tmp_path):
    for name in (*SHUFFLE_NAMES, *OTHER_NAMES):
        path = tmp_path / f"{name}.safetensors"
        save_file(thin, path)
        info = load_controlnet(path, check_finite=False).info
        assert info.global_average_pooling == (name in SHUFFLE_NAMES), name
        assert info.pooling_source == ("file name" if name in SHUFFLE_NAMES else None), name
        path.unlink()


def test_diffusers_says_it_in_its_config_or_by_its_folder(thin, tmp_path):
    folder = tmp_path / "control_v11e_sd15_shuffle"
    folder.mkdir()
    path = folder / "diffusion_pytorch_model.fp16.safetensors"
    save_file(to_diffusers(thin, (1, 1)), path)

    def result() -> tuple[bool, str | None]:
        net = load_controlnet(path, check_finite=False)
        return net.global_average_pooling, net.info.pooling_source

    assert result() == (True, "folder name")
    for value in (False, True):
        (folder / "config.json").write_text(json.dumps({"global_pool_conditions": value}))
        assert result() == (value, "config.json")
    (folder / "config.json").write_text("[" * 50_000)
    assert result() == (True, "folder name")


def test_the_originals_config_beside_a_file_is_believed_before_its_name(thin, tmp_path):
    path = tmp_path / "mine.safetensors"
    save_file(thin, path)
    for text, expected in (
        ("model:\n  params:\n    global_average_pooling: True\n", (True, ".yaml beside it")),
        ("model:\n  params:\n    global_average_pooling: false\n", (False, ".yaml beside it")),
        ("model:\n  params: {}\n", (False, None)),
    ):
        path.with_suffix(".yaml").write_text(text)
        net = load_controlnet(path, check_finite=False)
        assert (net.global_average_pooling, net.info.pooling_source) == expected


def test_the_header_is_believed_before_the_name(thin, tmp_path):
    path = tmp_path / "control_v11e_sd15_shuffle.safetensors"
    save_file(thin, path, {"zeroctl.global_average_pooling": "false"})
    net = load_controlnet(path)
    assert (net.global_average_pooling, net.info.pooling_source) == (False, "header")
