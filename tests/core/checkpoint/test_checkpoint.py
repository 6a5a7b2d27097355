"""ControlNet files: what loads, how, what is saved, and what is refused with which words."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from random_weights import clip_l_shapes, controlnet_shapes, random_state_dict, save_controlnet_file, unet_shapes
from safetensors import safe_open
from safetensors import torch as safetensors_torch
from torch import Tensor, nn

from zeroctl_core import BASES, CheckpointError, ControlNet, Ops, load_controlnet, save_controlnet
from zeroctl_core.checkpoint.layouts import to_diffusers
from zeroctl_core.files.weight_file import open_weight_file

ROOT = Path(__file__).resolve().parents[3]
TINY = BASES["tiny"]
HOST = "load it with ComfyUI's Load ControlNet Model; ControlNet Control accepts it"

State = dict[str, Tensor]


def save_file(state: State, path: Path, metadata: dict[str, str] | None = None) -> None:
    """One tensor may stand for several weights here, which the format itself refuses."""
    safetensors_torch.save_file({key: value.clone() for key, value in state.items()}, path, metadata)


@pytest.fixture(scope="module")
def state() -> State:
    """A tiny control in fp16, random everywhere."""
    shapes = {key: tuple(value.shape) for key, value in ControlNet(TINY, device="meta").state_dict().items()}
    return random_state_dict(shapes, dtype=torch.float16, spread=0.1)


def _prefixed(prefix: str, state: State) -> State:
    return {prefix + key: value for key, value in state.items()}


def _meta_like(shapes: dict[str, tuple[int, ...]]) -> State:
    """Tensors of these shapes in one byte a number, for pickles."""
    # 0x38 is 1; torch before 2.4 fills no float8
    return {key: torch.full(shape, 0x38, dtype=torch.uint8).view(torch.float8_e4m3fn) for key, shape in shapes.items()}


def _assert_holds(net: ControlNet, state: State) -> None:
    own = net.state_dict()
    assert own.keys() == state.keys()
    for key, value in state.items():
        assert own[key].dtype == value.dtype and torch.equal(own[key], value), key


# ---- what loads

SD_BESIDE = {
    "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(2, 2),
    "first_stage_model.encoder.conv_in.weight": torch.zeros(2, 2),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.zeros(1, 2, dtype=torch.int64),
    "betas": torch.zeros(3),
    "alphas_cumprod_prev": torch.zeros(3),
}

READABLE: dict[str, Callable[[State, Path], object]] = {
    "ldm.safetensors": lambda s, p: save_file(s, p),
    "ldm_prefix.safetensors": lambda s, p: save_file(_prefixed("control_model.", s), p),
    "ldm.pth": lambda s, p: torch.save(s, p),
    "ldm_prefix.ckpt": lambda s, p: torch.save(_prefixed("control_model.", s), p),
    "nested.pth": lambda s, p: torch.save({"epoch": 3, "state_dict": _prefixed("control_model.", s)}, p),
    "old_pickle.pt": lambda s, p: torch.save(s, p, _use_new_zipfile_serialization=False),
    "v10_whole.pth": lambda s, p: torch.save(_prefixed("control_model.", s) | SD_BESIDE, p),
    "v10_whole.safetensors": lambda s, p: save_file(_prefixed("control_model.", s) | SD_BESIDE, p),
    "diffusers.safetensors": lambda s, p: save_file(to_diffusers(s, TINY.spec.num_res_blocks), p),
    "diffusers.bin": lambda s, p: torch.save(to_diffusers(s, TINY.spec.num_res_blocks), p),
    "safetensors_with_a_wrong_name.pth": lambda s, p: save_file(s, p),
    "sd15_sdxl_canny_lies.safetensors": lambda s, p: save_file(s, p),
}


@pytest.mark.parametrize("name", READABLE)
def test_loads_bit_exact(name, state, tmp_path):
    path = tmp_path / name
    READABLE[name](state, path)
    net = load_controlnet(path)
    _assert_holds(net, state)
    assert net.base.name == "tiny" and net.spec == TINY.spec
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    assert net.info is not None
    assert net.info.layout == ("diffusers" if "diffusers" in name else "ldm")
    assert net.info.dtype == torch.float16
    assert net.info.n_parameters == sum(value.numel() for value in state.values())
    assert bool(net.info.ignored) == ("whole" in name)


def test_mixed_dtypes_stay_mixed(state, tmp_path):
    mixed = {key: value.float() if "norm" in key else value for key, value in state.items()}
    save_file(mixed, tmp_path / "mixed.safetensors")
    net = load_controlnet(tmp_path / "mixed.safetensors")
    _assert_holds(net, mixed)
    one = load_controlnet(tmp_path / "mixed.safetensors", dtype=torch.bfloat16)
    assert {p.dtype for p in one.parameters()} == {torch.bfloat16}


def test_fp8_weights_are_kept_and_scanned(state, tmp_path):
    eight = {key: value.to(torch.float8_e4m3fn) if value.ndim > 1 else value for key, value in state.items()}
    save_file(eight, tmp_path / "fp8.safetensors")
    net = load_controlnet(tmp_path / "fp8.safetensors")
    assert net.info.dtype == torch.float8_e4m3fn and net.state_dict()[_CONV].dtype == torch.float8_e4m3fn
    save_file(
        eight | {_CONV: torch.full_like(state[_CONV], float("nan")).to(torch.float8_e4m3fn)}, tmp_path / "n.safetensors"
    )
    with pytest.raises(CheckpointError, match="NaN"):
        load_controlnet(tmp_path / "n.safetensors")


def test_fp16_weights_whose_sum_overflows_raise_no_false_alarm(state, tmp_path):
    loud = state | {"input_blocks.1.0.in_layers.2.weight": torch.full((32, 32, 3, 3), 60000.0, dtype=torch.float16)}
    save_file(loud, tmp_path / "loud.safetensors")
    _assert_holds(load_controlnet(tmp_path / "loud.safetensors"), loud)


def test_the_hosts_layers_are_used(state, tmp_path):
    class HostLinear(nn.Linear):
        pass

    save_file(state, tmp_path / "a.safetensors")
    net = load_controlnet(tmp_path / "a.safetensors", ops=Ops(Linear=HostLinear))
    assert isinstance(net.time_embed[0], HostLinear)
    _assert_holds(net, state)


def test_the_layers_may_depend_on_the_base_and_the_dtype(state, tmp_path):
    calls = []

    def ops(base, dtype):
        calls.append((base.name, dtype))
        return Ops()

    save_file(state, tmp_path / "a.safetensors")
    _assert_holds(load_controlnet(tmp_path / "a.safetensors", ops=ops), state)
    assert calls == [("tiny", torch.float16)]


def test_no_length_of_a_header_is_taken_for_another_format(tmp_path):
    """The file begins with it, and 80 begins a pickle too, 50 4B a zip file."""
    path = tmp_path / "a.safetensors"

    def start(pad: int) -> bytes:
        save_file({"a": torch.zeros(1)}, path, {"pad": "x" * pad})
        return path.read_bytes()[:2]

    whole = int.from_bytes(start(0), "little")
    starts = set()
    for pad in (*range(0, 256, 8), int.from_bytes(b"PK", "little") - whole):
        starts.add(start(pad))
        assert set(open_weight_file(path).tensors) == {"a"}
    assert {first[0] for first in starts} >= set(range(0, 256, 8)) and b"PK" in starts


# ---- how it loads


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_weights_lie_in_the_mapped_file(name, state, tmp_path):
    path = tmp_path / name
    READABLE["ldm.pth" if name.endswith("pth") else "ldm.safetensors"](state, path)
    net = load_controlnet(path)
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if line.endswith(str(path)):
            start, end = line.split()[0].split("-")
            ranges.append((int(start, 16), int(end, 16)))
    copied = [key for key, value in net.state_dict().items() if not any(a <= value.data_ptr() < b for a, b in ranges)]
    assert ranges and not copied


def test_writing_to_the_weights_does_not_reach_the_file(state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    net = load_controlnet(path)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(1)
    _assert_holds(load_controlnet(path), state)


PEAK = """
import resource, sys
import torch
from pathlib import Path
{bind}
def resident(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
from zeroctl_core import load_controlnet
load_controlnet(sys.argv[1])  # what is imported on the way counts before
before = resident()
net = load_controlnet(sys.argv[2], check_finite=sys.argv[3] == "scan")
print((resident() - before) / Path(sys.argv[2]).stat().st_size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is counted in KiB on Linux only")
@pytest.mark.parametrize(("scan", "times_the_file"), [("no scan", 0.1), ("scan", 1.1)])
def test_memory_at_load_stays_below_the_file(scan, times_the_file, tmp_path):
    small = save_controlnet_file(tmp_path / "small.safetensors", "thin")
    large = save_controlnet_file(tmp_path / "large.safetensors", "thinxl", dtype=torch.float32)  # 229 MB
    bind = f"import sys; sys.path.insert(0, {str(ROOT)!r})"
    run = subprocess.run(
        [sys.executable, "-c", PEAK.format(bind=bind), small, large, scan], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert float(run.stdout) <= times_the_file


# ---- pooling


@pytest.mark.parametrize(
    ("stem", "pools"),
    [
        ("control_v11e_sd15_shuffle", True),
        ("control_v11e_sd15_shuffle_fp16", True),
        ("shuffle_canny", False),
        ("control_shuffle_v2", False),
    ],
)
def test_the_name_decides_about_pooling_where_no_header_does(stem, pools, state, tmp_path):
    save_file(state, tmp_path / f"{stem}.safetensors")
    net = load_controlnet(tmp_path / f"{stem}.safetensors")
    assert net.global_average_pooling is pools and net.info.pooling_source == ("file name" if pools else None)


def test_the_header_decides_about_pooling_before_the_name(state, tmp_path):
    save_file(state, tmp_path / "a_shuffle.safetensors")
    net = load_controlnet(tmp_path / "a_shuffle.safetensors")
    save_controlnet(net, tmp_path / "renamed.safetensors")
    renamed = load_controlnet(tmp_path / "renamed.safetensors")
    assert renamed.global_average_pooling and renamed.info.pooling_source == "header"
    net.global_average_pooling = False
    save_controlnet(net, tmp_path / "b_shuffle.safetensors")
    assert not load_controlnet(tmp_path / "b_shuffle.safetensors").global_average_pooling


# ---- what is saved


@pytest.mark.parametrize("layout", ["ldm", "diffusers"])
def test_round_trips_are_bit_exact_and_the_header_explains_the_file(layout, state, tmp_path):
    save_file(state, tmp_path / "canny.safetensors", metadata={"modelspec.title": "Canny"})
    net = load_controlnet(tmp_path / "canny.safetensors")
    path = save_controlnet(net, tmp_path / "out.safetensors", layout=layout, provenance={"steps": 12})
    again = load_controlnet(path)
    _assert_holds(again, state)
    metadata = again.info.metadata
    assert metadata["modelspec.title"] == "Canny"
    assert metadata["zeroctl.base"] == "tiny" and metadata["zeroctl.layout"] == layout == again.info.layout
    assert json.loads(metadata["zeroctl.spec"])["model_channels"] == 32
    provenance = json.loads(metadata["zeroctl.provenance"])
    assert provenance["source"] == "canny.safetensors" and provenance["steps"] == 12
    with safe_open(path, "pt") as file:
        assert not any(key.startswith("control_model.") for key in file.keys())


def test_a_net_may_replace_the_file_it_was_loaded_from(state, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    net = load_controlnet(path)
    save_controlnet(net, path, layout="diffusers")
    _assert_holds(net, state)
    _assert_holds(load_controlnet(path), state)
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_a_failed_save_leaves_the_old_file_and_nothing_beside_it(state, tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    save_file(state, path)
    before = path.read_bytes()
    net = load_controlnet(path)

    def full_disk(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("zeroctl_core.files.written_whole.os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_controlnet(net, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.safetensors"]


def test_the_papers_condition_encoder_round_trips_in_the_ldm_layout(tmp_path):
    form = TINY.with_spec(replace(TINY.spec, condition_form="paper", condition_widths=(16, 32, 64, 128)))
    net = ControlNet(form)
    loaded = load_controlnet(save_controlnet(net, tmp_path / "a.safetensors"))
    _assert_holds(loaded, net.state_dict())
    assert loaded.spec == form.spec
    with pytest.raises(ValueError, match="no place for the 'paper' form .* save it in the ldm layout"):
        save_controlnet(net, tmp_path / "b.safetensors", layout="diffusers")


@pytest.mark.parametrize(
    ("name", "layout", "error", "message"),
    [
        ("a.pth", "ldm", ValueError, r"a.pth does not end in .safetensors, .* rename it"),
        ("a.safetensors", "webui", ValueError, "the layout 'webui' is not known; use one of ldm, diffusers"),
        ("missing/a.safetensors", "ldm", FileNotFoundError, "missing does not exist; create it first"),
    ],
)
def test_saving_is_refused(name, layout, error, message, tmp_path):
    with pytest.raises(error, match=message):
        save_controlnet(ControlNet(TINY), tmp_path / name, layout=layout)


def test_a_net_without_weights_or_one_that_its_file_could_not_describe_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match="no weights yet, it was built on meta"):
        save_controlnet(ControlNet(TINY, device="meta"), tmp_path / "a.safetensors")
    other_heads = TINY.with_spec(replace(TINY.spec, head_channels=8))
    with pytest.raises(ValueError, match="could not be recognised from its file.*Heads and groups must be"):
        save_controlnet(ControlNet(other_heads), tmp_path / "a.safetensors")


# ---- bad files: each with its words


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _archive(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "")


class _Code:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("code_ran",)


def _without(state: State, *keys: str) -> State:
    return {key: value for key, value in state.items() if key not in keys}


def _changed(state: State, key: str, value: float) -> State:
    bad = state[key].clone()
    bad.view(-1)[5] = value
    return state | {key: bad}


_CONV = "input_blocks.1.0.in_layers.2.weight"
_SMALL = torch.zeros(2, 2)

# name of the file -> how it is written, and what must be said about it
BAD_FILES: dict[str, tuple[Callable[[State, Path], object], str]] = {
    # no file of weights
    "empty.safetensors": (lambda s, p: _write(p, b""), r"empty\.safetensors is empty \(0 bytes\); download it again"),
    "folder": (lambda s, p: p.mkdir(), r"folder is a folder; give the file in it"),
    "lfs.safetensors": (
        lambda s, p: _write(p, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"),
        "is a Git LFS pointer, not weights; download the file itself",
    ),
    "page.pth": (
        lambda s, p: _write(p, b"<!DOCTYPE html><html>Sign in</html>"),
        "is a web page, not weights",
    ),
    "picture.bin": (lambda s, p: _write(p, b"\x89PNG\r\n" + b"\0" * 80), "picture.bin is not a file of weights"),
    "config.pt": (lambda s, p: _write(p, b'{\n  "_class_name": "ControlNetModel"\n}'), "is a JSON text, not weights"),
    # damaged
    "cut_header.safetensors": (
        lambda s, p: (save_file(s, p), _write(p, p.read_bytes()[:1000])),
        "is cut off: its header should be .* the whole file is 1000",
    ),
    "cut_body.safetensors": (
        lambda s, p: (save_file(s, p), _write(p, p.read_bytes()[:-1000])),
        "cannot be read as safetensors .* cut off or damaged: download it again",
    ),
    "cut.pth": (
        lambda s, p: (torch.save(s, p), _write(p, p.read_bytes()[:-100_000])),
        "cannot be read as a torch file .* cut off or damaged: download it again",
    ),
    "cut_old.pt": (
        lambda s, p: (torch.save(s, p, _use_new_zipfile_serialization=False), _write(p, p.read_bytes()[:20])),
        "cut off or damaged",
    ),
    # pickles
    "code.ckpt": (
        lambda s, p: torch.save({"state_dict": s, "callback": _Code()}, p),
        "could run code when opened, so it is refused; convert it to safetensors",
    ),
    "code_old.pth": (
        lambda s, p: torch.save({"x": _Code()}, p, _use_new_zipfile_serialization=False),
        "convert it to safetensors",
    ),
    "script.pt": (
        lambda s, p: _archive(p, "model/data.pkl", "model/constants.pkl", "model/code/__torch__.py"),
        "is a TorchScript program and not a state dict",
    ),
    "archive.pth": (
        lambda s, p: _archive(p, "model/readme.md"),
        "is a zip archive and not a torch file; unpack it",
    ),
    "list.pth": (lambda s, p: torch.save([1, 2], p), "holds a list; expected a state dict"),
    "tensor.pth": (lambda s, p: torch.save(torch.zeros(3), p), r"holds one tensor of shape \(3,\)"),
    "settings.pth": (lambda s, p: torch.save({"lr": 1e-5}, p), "holds no tensors; it is not a ControlNet"),
    # a ControlNet with a fault
    "missing.safetensors": (
        lambda s, p: save_file(_without(s, _CONV, "zero_convs.7.0.bias"), p),
        rf"missing.safetensors .*tiny family, 2 keys missing \({_CONV}, zero_convs.7.0.bias\)",
    ),
    "extra.safetensors": (
        lambda s, p: save_file(s | {"surplus.weight": _SMALL}, p),
        r"1 key too many \(surplus.weight\)",
    ),
    "extra_beside_prefix.safetensors": (
        lambda s, p: save_file(_prefixed("control_model.", s) | {"optimizer.state": _SMALL}, p),
        r"1 key beside the control \(optimizer.state\)",
    ),
    "reshaped.safetensors": (
        lambda s, p: save_file(s | {"zero_convs.3.0.weight": torch.zeros(32, 16, 1, 1)}, p),
        r"1 key in another shape \(zero_convs.3.0.weight \[32, 16, 1, 1\] instead of \[32, 32, 1, 1\]\)",
    ),
    "no_middle.safetensors": (
        lambda s, p: save_file({k: v for k, v in s.items() if not k.startswith("middle_block.")}, p),
        "14 keys too many|keys? missing",
    ),
    "nan.safetensors": (
        lambda s, p: save_file(_changed(s, _CONV, float("nan")), p),
        rf"NaN or infinite numbers in 1 of {{n}} weights \({_CONV}\)",
    ),
    "infinite.pth": (
        lambda s, p: torch.save(_changed(s, "time_embed.0.bias", float("-inf")), p),
        r"NaN or infinite numbers .*\(time_embed.0.bias\)",
    ),
    "int8.safetensors": (
        lambda s, p: save_file(s | {_CONV: s[_CONV].to(torch.int8)}, p),
        rf"1 weight of another type than floating point: {_CONV} \(int8\)\. Quantised files are not read here",
    ),
    "refiner.safetensors": (
        lambda s, p: save_file(
            {"zero_convs.0.0.weight": _SMALL, "label_emb.0.0.weight": torch.zeros(4, 2560)}
            | {"input_blocks.4.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(4, 1280)},
            p,
        ),
        "family is not known: context width 1280, y width 2560; known are SD 1.x .768.",
    ),
    # something else: named, and sent where it belongs
    "lora.safetensors": (
        lambda s, p: save_file({"lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight": _SMALL}, p),
        "seems to be a LoRA: .* Load it with ComfyUI's Load LoRA",
    ),
    "t2i.pth": (
        lambda s, p: torch.save({"adapter": {"body.0.in_conv.weight": _SMALL}}, p),
        r"seems to be a T2I-Adapter: .*Read it with load_control, as Load ControlNet \(strict\) does$",
    ),
    "t2i_full.safetensors": (
        lambda s, p: save_file({"conv_in.weight": _SMALL, "body.0.block1.weight": _SMALL}, p),
        r"seems to be a T2I-Adapter: .*Read it with load_control, as Load ControlNet \(strict\) does$",
    ),
    "flux.safetensors": (
        lambda s, p: save_file({"controlnet_blocks.0.weight": _SMALL, "controlnet_x_embedder.weight": _SMALL}, p),
        f"seems to be a Flux ControlNet: .*{HOST[1:]}$",
    ),
    "sd3.safetensors": (
        lambda s, p: save_file({"controlnet_blocks.0.weight": _SMALL, "pos_embed_input.proj.weight": _SMALL}, p),
        f"seems to be an SD3 ControlNet: .*{HOST[1:]}$",
    ),
    "qwen.safetensors": (
        lambda s, p: save_file(
            {"controlnet_blocks.0.weight": _SMALL, "transformer_blocks.0.img_mlp.net.0.proj.weight": _SMALL}, p
        ),
        f"seems to be a Qwen-Image ControlNet: .*{HOST[1:]}$",
    ),
    "hunyuan.safetensors": (
        lambda s, p: save_file({"after_proj_list.18.bias": _SMALL}, p),
        f"seems to be a HunyuanDiT ControlNet: .*{HOST[1:]}$",
    ),
    "union.safetensors": (
        lambda s, p: save_file(
            s | {"task_embedding": torch.zeros(6, 32), "transformer_layes.0.ln_1.weight": _SMALL}, p
        ),
        r"cannot be loaded as a ControlNet: as a union ControlNet of the .* family, 17 keys missing "
        r"\(transformer_layes.0.attn.in_proj_weight, .*1 key in another shape .*The file is incomplete",
    ),
    "union_diffusers.safetensors": (
        lambda s, p: save_file(to_diffusers(s, TINY.spec.num_res_blocks) | {"task_embedding": _SMALL}, p),
        "as a union ControlNet of the .* family, 18 keys missing",
    ),
    "qwen_patch.safetensors": (
        lambda s, p: save_file({"controlnet_blocks.0.y_rms.weight": _SMALL, "img_in.weight": _SMALL}, p),
        "seems to be a Qwen-Image DiffSynth control .*models/model_patches, load it with ComfyUI's Load Model Patch "
        ".*Apply Qwen Image DiffSynth ControlNet$",
    ),
    "z_image.safetensors": (
        lambda s, p: save_file(
            {"control_all_x_embedder.2-1.weight": _SMALL, "control_layers.0.after_proj.weight": _SMALL}, p
        ),
        "seems to be a Z-Image Fun control .*Load Model Patch .*Apply Z-Image Fun ControlNet$",
    ),
    "uni3c.safetensors": (
        lambda s, p: save_file({"controlnet_patch_embedding.weight": _SMALL, "controlnet_blocks.0.x": _SMALL}, p),
        "seems to be a Wan Uni3C control .*Load Model Patch .*Apply Wan Uni3C ControlNet$",
    ),
    "anima.safetensors": (
        lambda s, p: save_file({"lllite_conditioning1.conv1.weight": _SMALL, "lllite_dit_blocks_0.x": _SMALL}, p),
        "seems to be an Anima ControlLLLite .*Load Model Patch .*Apply Anima LLLite$",
    ),
    "brushnet.safetensors": (
        lambda s, p: save_file({"brushnet_down_blocks.0.weight": _SMALL, "conv_in_condition.weight": _SMALL}, p),
        "seems to be a BrushNet: .*ComfyUI-BrushNet",
    ),
    "powerpaint.safetensors": (
        lambda s, p: save_file(
            {"brushnet_down_blocks.0.weight": _SMALL, "down_blocks.0.attentions.0.norm.weight": _SMALL}, p
        ),
        "seems to be a PowerPaint net: .*ComfyUI-BrushNet",
    ),
    "controlnext.safetensors": (
        lambda s, p: save_file({"down_res.0.norm1.weight": _SMALL, "mid_convs.0.0.weight": _SMALL}, p),
        "seems to be a ControlNeXt net: .*a pack made for ControlNeXt",
    ),
    "control_lora.safetensors": (
        lambda s, p: save_file(
            {"lora_controlnet": _SMALL, "input_blocks.1.0.in_layers.2.up": _SMALL, "zero_convs.0.0.weight": _SMALL}, p
        ),
        "seems to be a Control-LoRA: .* It becomes a ControlNet with the MODEL that is sampled",
    ),
    "difference.safetensors": (
        lambda s, p: save_file(_prefixed("control_model.", s) | {"difference": torch.ones(1)}, p),
        r"seems to be a difference file .* It becomes a ControlNet with the MODEL that is sampled",
    ),
    "supir.safetensors": (
        lambda s, p: save_file(
            {"control_model.input_hint_block.0.weight": _SMALL, "project_modules.0.weight": _SMALL}, p
        ),
        "seems to be a SUPIR model",
    ),
    "lllite.safetensors": (
        lambda s, p: save_file({"lllite_unet_input_blocks_4_1_attn1_to_q.down.0.weight": _SMALL}, p),
        "seems to be a ControlLLLite",
    ),
    "ctrlora.ckpt": (
        lambda s, p: torch.save(
            {"control_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.lora_layer.down.weight": _SMALL}, p
        ),
        "seems to be a CtrLoRA",
    ),
    "sparse.ckpt": (
        lambda s, p: torch.save({"controlnet_cond_embedding.conv_in.weight": _SMALL, "motion_modules.0.x": _SMALL}, p),
        "seems to be a SparseCtrl",
    ),
    "whole_sd.safetensors": (
        lambda s, p: save_file(
            {"model.diffusion_model.out.2.weight": _SMALL, "first_stage_model.decoder.conv_in.weight": _SMALL}, p
        ),
        "seems to be a whole checkpoint without a control: .* Load it with ComfyUI's Load Checkpoint",
    ),
    "unet.pth": (
        lambda s, p: torch.save(_meta_like(unet_shapes("thin")), p),
        "seems to be a UNet .* without a control",
    ),
    "vae.safetensors": (
        lambda s, p: save_file({"encoder.down.0.block.0.conv1.weight": _SMALL, "decoder.conv_in.weight": _SMALL}, p),
        "seems to be a VAE: .*Load VAE",
    ),
    "clip.pth": (
        lambda s, p: torch.save(_prefixed("text_model.", _meta_like(clip_l_shapes(layers=1))), p),
        "seems to be a text encoder: .*Load CLIP",
    ),
    "embedding.pt": (
        lambda s, p: torch.save({"string_to_token": {"*": 265}, "string_to_param": {"*": torch.zeros(1, 768)}}, p),
        r"seems to be an embedding \(textual inversion\): .*its first keys are string_to_param",
    ),
    "unknown.safetensors": (
        lambda s, p: save_file({f"layer.{i}.weight": _SMALL for i in range(5)}, p),
        "cannot be loaded as a ControlNet: .*layer.0.weight, layer.1.weight, layer.2.weight and 2 more",
    ),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_its_reason(name, state, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, message = BAD_FILES[name]
    path = tmp_path / name
    write(state, path)
    with pytest.raises(CheckpointError, match=message.replace("{n}", str(len(state)))) as refused:
        load_controlnet(path)
    assert name in str(refused.value), "the file is not named"
    assert not (tmp_path / "code_ran").exists()
    assert isinstance(refused.value, ValueError)


def test_a_missing_file_is_file_not_found(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing.safetensors does not exist; check the name and the folder"):
        load_controlnet(tmp_path / "nothing.safetensors")


def test_the_scan_can_be_left_out(state, tmp_path):
    save_file(_changed(state, _CONV, float("nan")), tmp_path / "nan.safetensors")
    assert torch.isnan(load_controlnet(tmp_path / "nan.safetensors", check_finite=False).state_dict()[_CONV]).any()


@pytest.mark.parametrize("preset", ["thin", "thin21", "thinxl", "sdxl_small"])
def test_families_are_recognised_by_content(preset, tmp_path):
    torch.save(_meta_like(controlnet_shapes(preset)), tmp_path / "x.pth")
    net = load_controlnet(tmp_path / "x.pth")
    assert net.base.name == {"thin": "sd15", "thin21": "sd21"}.get(preset, "sdxl")


def test_info_survives_a_deep_copy(state, tmp_path):
    save_file(state, tmp_path / "a.safetensors")
    net = load_controlnet(tmp_path / "a.safetensors")
    assert copy.deepcopy(net).info == net.info
