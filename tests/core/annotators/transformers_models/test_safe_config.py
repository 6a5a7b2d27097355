"""Whatever a config.json says: no code of others, no connection, no more than its weights, and the same maps."""

from __future__ import annotations

import copy
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_transformers import OF_TASK, TINY
from torch import Tensor

from zeroctl_core.annotators.transformers_models import folder_tasks, load_model
from zeroctl_core.files.weight_file import CheckpointError

NAMES = [(task, name) for task, names in OF_TASK.items() for name in names]
TASK = {name: task for task, name in NAMES}
KERNEL = "evil/kernel"

ENTRIES: dict[str, Any] = {
    "_attn_implementation": KERNEL,
    "_attn_implementation_internal": KERNEL,
    "attn_implementation": KERNEL,
    "_attn_implementation as a dict": {"_attn_implementation": {"": KERNEL, "backbone_config": KERNEL}},
    "_attn_implementation with a revision": {"_attn_implementation": f"{KERNEL}@main:flash_attn"},
    "_attn_implementation paged": {"_attn_implementation": f"paged|{KERNEL}"},
    "_attn_implementation flash": {"_attn_implementation": "flash_attention_3"},
    "_attn_implementation of the community": {"_attn_implementation": "kernels-community/flash-attn"},
    "_attn_implementation_autoset": False,
    "_experts_implementation": KERNEL,
    "_experts_implementation_internal": KERNEL,
    "experts_implementation": KERNEL,
    "use_kernels": True,
    "kernel_config": {"MultiScaleDeformableAttention": "evil/kernel:layer"},
    "allow_all_kernels": True,
    "disable_custom_kernels": False,
    "fusion_config": {"patch_embeddings": True},
    "auto_map": {"AutoConfig": "evil/repo--code.Config", "AutoModel": "evil/repo--code.Model"},
    "trust_remote_code": True,
    "custom_pipelines": {"depth": {"impl": "code.Pipeline"}},
    "_name_or_path": "evil/repo",
    "name_or_path": "evil/repo",
    "base_model_name_or_path": "evil/repo",
    "adapter_config": {"base_model_name_or_path": "evil/repo"},
    "_commit_hash": "0" * 40,
    "dtype": "evil",
    "torch_dtype": "load",
    "gguf_file": "evil.gguf",
    "generation_config": {"_from_model_config": True},
    "base_model_tp_plan": {"layers": "colwise"},
    "distributed_config": {"tp_size": 2},
    "device_map": "auto",
    "tokenizer_class": "Evil",
    "text_config": {"_attn_implementation": KERNEL},
    "sub_configs": {"backbone_config": KERNEL},
    "transformers_weights": "evil.safetensors",
}
"""Entry of a config.json -> its value; a dict under a name with blanks is put in as it is."""

REFUSED: dict[str, Any] = {
    "backbone": "evil/repo",
    "backbone on the hub": {"backbone": "hf-hub:evil/repo"},
    "use_pretrained_backbone": True,
    "use_timm_backbone": True,
    "backbone_kwargs": {"pretrained": True},
    "quantization_config": {"quant_method": "bitsandbytes"},
    "hidden_act": "xielu",
    "hidden_act as a class": {"hidden_act": "torch.nn.ReLU"},
    "initializer_range as code": {"initializer_range": {"__class__": "evil"}},
}
AT = {
    "top": lambda config: config,
    "backbone_config": lambda config: config["backbone_config"],
    "deeper": lambda config: config["backbone_config"].setdefault("backbone_config", {}),
}


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the package `kernels` or the network; loading is expected to leave it empty."""
    calls: list[str] = []

    class Kernels(ModuleType):
        def __getattr__(self, name: str) -> Any:
            if not name.startswith("__"):
                calls.append(f"kernels.{name}")
            raise AttributeError(name)

    def connect(self: object, address: object, *rest: object) -> None:
        calls.append(f"connect {address}")
        raise OSError("no network")

    modeling = pytest.importorskip("transformers.modeling_utils", reason="loads transformers models")
    monkeypatch.setitem(sys.modules, "kernels", Kernels("kernels"))
    for module in (modeling, sys.modules["transformers.utils.import_utils"]):
        monkeypatch.setattr(module, "is_kernels_available", lambda: True, raising=False)
    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *rest, **more: connect(None, rest))
    return calls


@pytest.fixture
def folder_with(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., Path]:
    """A tiny model's folder with entries at a place of its config.json."""

    def write(name: str, place: str, key: str, value: Any) -> Path:
        folder = Path(shutil.copytree(tiny_folder(name), tmp_path / name))
        config = json.loads((folder / "config.json").read_text())
        AT[place](config).update(value if " " in key else {key: value})
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return write


def maps(name: str, model: Any) -> list[Tensor]:
    generator = torch.Generator().manual_seed(5)
    side = 56 if name.startswith("depth_anything") else 64
    size = (256, 192) if name == "vitpose" else (side, side)
    inputs: dict[str, Tensor] = {"pixel_values": torch.rand(1, 3, *size, generator=generator)}
    if name == "oneformer":
        inputs["task_inputs"] = torch.randint(0, 100, (1, 77), generator=generator)
    with torch.no_grad():
        return [value for value in model(**inputs).to_tuple() if isinstance(value, Tensor)]


@pytest.mark.parametrize("name", list(TINY))
def test_maps_equal_those_of_the_folder_read_by_transformers_itself(name, tiny_folder, nothing_runs) -> None:
    import transformers

    folder = tiny_folder(name)
    # copied, because matrices round by where they lie in memory, and in a mapped file they lie anywhere
    model = copy.deepcopy(getattr(transformers, TINY[name][0]).from_pretrained(str(folder)))
    expected = maps(name, model.float().eval())
    nothing_runs.clear()
    results = maps(name, load_model(folder, TASK[name]))
    assert len(results) == len(expected) and all(map(torch.equal, results, expected))
    assert nothing_runs == []


@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize("key", ENTRIES)
def test_an_entry_that_could_run_code_runs_none(key, place, folder_with, nothing_runs) -> None:
    folder = folder_with("upernet", place, key, ENTRIES[key])
    model = load_model(folder, "segmentation").model
    assert nothing_runs == []
    parts = [module.config for module in model.modules() if hasattr(module, "config")]
    assert {part._attn_implementation for part in parts} <= {"eager", "sdpa", None}


@pytest.mark.parametrize("name", ["depth_anything", "dpt", "mask2former", "vitpose", "rt_detr"])
def test_kernels_of_a_folder_are_not_taken_by_other_models(name, folder_with, nothing_runs) -> None:
    folder = folder_with(name, "top", "_attn_implementation", KERNEL)
    load_model(folder, TASK[name])
    assert nothing_runs == []


@pytest.mark.parametrize("place", ["top", "backbone_config"])
@pytest.mark.parametrize("key", REFUSED)
def test_what_would_come_from_elsewhere_is_refused(key, place, folder_with, nothing_runs) -> None:
    name = "zoedepth" if "hidden_act" in key else "upernet"
    folder = folder_with(name, place, key, REFUSED[key])
    with pytest.raises(CheckpointError, match=rf"{name}.*{key.split()[0]}"):
        load_model(folder, TASK[name])
    assert nothing_runs == []


@pytest.mark.parametrize(
    "backbone",
    [
        {"model_type": "timm_backbone", "backbone": "resnet18", "use_pretrained_backbone": True},
        {"model_type": "timm_backbone", "backbone": "hf-hub:evil/repo"},
        {"model_type": "timm_backbone"},
        {"model_type": "dinat"},
        {"model_type": "vitdet"},
        {"model_type": "hiera"},
        {"model_type": ["swin"]},
        {"model_type": "evil/repo"},
        {"depths": [1]},
        5,
        "evil/repo",
        ["swin"],
    ],
)
def test_another_backbone_is_refused_in_words(backbone, tiny_folder, tmp_path, nothing_runs) -> None:
    folder = Path(shutil.copytree(tiny_folder("upernet"), tmp_path / "upernet"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "backbone_config": backbone}))
    with pytest.raises(CheckpointError, match="upernet.*(backbone|downloaded)"):
        load_model(folder, "segmentation")
    assert nothing_runs == []


def test_a_published_backbone_that_is_not_loaded_is_named_with_the_reason_and_with_those_that_are(
    tiny_folder, tmp_path
) -> None:
    folder = Path(shutil.copytree(tiny_folder("oneformer"), tmp_path / "oneformer"))
    config = json.loads((folder / "config.json").read_text())
    backbone = {"model_type": "dinat", "depths": [3, 4, 18, 5]}
    (folder / "config.json").write_text(json.dumps({**config, "backbone_config": backbone}))
    with pytest.raises(CheckpointError, match=r"oneformer is on the backbone 'dinat'.*natten.*take a folder.*swin"):
        load_model(folder, "segmentation")


def test_files_of_a_folder_that_run_code_elsewhere_are_not_opened(tiny_folder, tmp_path, nothing_runs) -> None:
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "evil/repo"}))
    (folder / "generation_config.json").write_text("{")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../../evil.bin"}}))
    (folder / "modeling_segformer.py").write_text("raise SystemExit")
    evil = {"auto_map": {"AutoProcessor": "evil/repo--code.P", "AutoTokenizer": ["evil/repo--code.T", None]}}
    for name in ("preprocessor_config", "processor_config", "tokenizer_config", "video_preprocessor_config"):
        entries = {**evil, "image_processor_type": "Evil", "processor_class": "Evil", "tokenizer_class": "Evil"}
        (folder / f"{name}.json").write_text(json.dumps(entries))
    load_model(folder, "segmentation")
    assert nothing_runs == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("depths", [10**9] * 4),
        ("hidden_sizes", [10**9] * 4),
        ("hidden_sizes", [10**400] * 4),
        ("num_channels", 10**7),
        ("num_labels", 10**9),
        ("id2label", {str(number): "x" for number in range(9000)}),
        ("id2label", {"x": 1}),
        ("layer_norm_eps", float("inf")),
        ("depths", [[[1]]] * 4),
        ("depths", [1] * 1000),
        ("depths", "1"),
        ("hidden_sizes", None),
    ],
)
def test_numbers_ask_for_no_more_than_the_weights(key, value, tiny_folder, tmp_path) -> None:
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    config = json.loads((folder / "config.json").read_text())
    if key == "num_labels":
        config.pop("id2label"), config.pop("label2id")
    (folder / "config.json").write_text(json.dumps({**config, key: value}))
    begin = time.monotonic()
    with pytest.raises(CheckpointError, match="segformer"):
        load_model(folder, "segmentation")
    assert time.monotonic() - begin < 10


WIDE = {
    "segformer": {"hidden_sizes": [8192] * 4, "depths": [12] * 4},
    "dpt": {"hidden_size": 8192, "intermediate_size": 8192, "num_hidden_layers": 100},
    "upernet_swin": {"backbone_config": {"window_size": 1000}},
    "upernet": {"hidden_size": 8000},
    "vitpose": {"backbone_config": {"hidden_size": 6000, "num_experts": 90, "part_features": 1000}},
    "rt_detr": {"decoder_ffn_dim": 8192, "encoder_ffn_dim": 8192, "decoder_layers": 100},
}
"""Sizes of which each is allowed for itself; together 20 MB to 100 GB, where the weights have some 100 kB."""


@pytest.mark.parametrize("name", WIDE)
def test_a_model_larger_than_its_weights_is_refused_before_memory_is_taken(name, tiny_folder, tmp_path, monkeypatch):
    import transformers

    folder = Path(shutil.copytree(tiny_folder(name), tmp_path / name))
    config = json.loads((folder / "config.json").read_text())
    for key, value in WIDE[name].items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    (folder / "config.json").write_text(json.dumps(config))

    def load(*rest: Any, **more: Any) -> None:
        raise AssertionError("memory is taken")

    monkeypatch.setattr(getattr(transformers, TINY[name][0]), "from_pretrained", load)
    with pytest.raises(CheckpointError, match=rf"{name} describes in its config.json a model of [\d,]+"):
        load_model(folder, TASK[name])


def test_a_key_of_a_newer_transformers_is_refused_where_it_changes_the_net(tiny_folder, tmp_path, monkeypatch) -> None:
    """One that nobody knows is left out, one with the value that the class has, too."""
    import transformers

    class Newer(transformers.SegformerConfig):
        def __init__(self, **values: Any) -> None:
            self.new_scale = values.pop("new_scale", 1)
            super().__init__(**values)

    monkeypatch.setattr(transformers, "SegformerConfig", Newer)
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "new_scale": 1, "nobody_knows": 7}))
    load_model(folder, "segmentation")
    (folder / "config.json").write_text(json.dumps({**config, "new_scale": 2}))
    with pytest.raises(CheckpointError, match="segformer sets new_scale to 2, which zeroctl does not know"):
        load_model(folder, "segmentation")


ODD = {
    "deep": "[" * 100_000,
    "deep in a dict": '{"model_type": ' + '{"a":' * 50_000,
    "bytes": b"\xff\xfe\x00",
    "a number": "5",
    "null": "null",
    "a list": '["dpt"]',
    "model_type is a list": '{"model_type": ["dpt"]}',
    "architectures are numbers": '{"model_type": "dpt", "architectures": [[1], {}]}',
    "architectures are a dict": '{"model_type": "dpt", "architectures": {"a": 1}}',
    "backbone_config is text": '{"model_type": "dpt", "backbone_config": "x", "architectures": 1}',
    "a number of 5000 digits": '{"model_type": "dpt", "x": ' + "9" * 5000 + "}",
    "large": " " * (5 * 2**20),
    "a half surrogate": '{"model_type": "\\ud800"}',
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_an_odd_config_only_passes_the_folder_over(text, tmp_path) -> None:
    (tmp_path / "config.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert folder_tasks(tmp_path) == set()
    with pytest.raises(CheckpointError):
        load_model(tmp_path, "depth")


def test_a_config_that_cannot_be_read_is_logged(tmp_path, caplog) -> None:
    (tmp_path / "config.json").write_text("[" * 100_000)
    assert folder_tasks(tmp_path) == set()
    assert str(tmp_path) in caplog.text and "nested too deep" in caplog.text


@pytest.mark.parametrize("name", ["zoedepth", "upernet_swin", "mask2former", "oneformer"])
def test_tables_that_the_class_computes_may_be_missing(name, tiny_folder, tmp_path) -> None:
    """Which of them are written depends on the version of transformers that did it."""
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder(name), tmp_path / name))
    tables = ("relative_position_index", "relative_coords_table", "position_ids")
    weights = load_file(folder / "model.safetensors")
    rest = {key: tensor for key, tensor in weights.items() if not key.endswith(tables)}
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    whole, part = (maps(name, load_model(path, TASK[name])) for path in (tiny_folder(name), folder))
    assert all(map(torch.equal, whole, part))


def test_tables_that_a_file_has_and_the_class_does_not_are_fine(tiny_folder, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    weights = load_file(folder / "model.safetensors")
    weights["segformer.encoder.relative_position_index"] = torch.zeros(4, dtype=torch.long)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    load_model(folder, "segmentation")


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_the_parts_of_a_file_are_put_together_by_their_names(suffix, tiny_folder, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    keys = sorted(weights)
    files = [folder / f"{stem}-{number:05}-of-00003.{suffix}" for number in (1, 2, 3)]
    for number, file in enumerate(files):
        part = {key: weights[key] for key in keys[number::3]}
        save_file(part, file) if suffix == "safetensors" else torch.save(part, file)
    whole, parts = (maps("segformer", load_model(path, "segmentation")) for path in (tiny_folder("segformer"), folder))
    assert all(map(torch.equal, whole, parts))
    files[1].unlink()
    with pytest.raises(CheckpointError, match=f"segformer lacks 1 of 3 parts of its weights, first {files[1].name}"):
        load_model(folder, "segmentation")


def test_the_files_of_a_loaded_folder_may_change(tiny_folder, tmp_path) -> None:
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    model = load_model(folder, "segmentation")
    expected = maps("segformer", model)
    assert str(folder) not in Path("/proc/self/maps").read_text()
    (folder / "model.safetensors").write_bytes(b"")
    assert all(map(torch.equal, maps("segformer", model), expected))


def test_a_broken_file_is_named_with_its_folder(tiny_folder, tmp_path) -> None:
    folder = Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    with pytest.raises(CheckpointError) as failure:
        load_model(folder, "segmentation")
    assert str(folder) in str(failure.value) and "cut off" in str(failure.value)
