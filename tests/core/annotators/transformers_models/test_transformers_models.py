"""Folders of transformers models: which there are, what is wrong with others, and nothing from outside."""

from __future__ import annotations

import json
import pickle
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_transformers import OF_TASK, TINY, tiny_model, write_tiny
from torch import nn

from zeroctl_core.annotators.transformers_models.loading import (
    TASKS,
    TransformersModel,
    folder_tasks,
    load_model,
    model_for,
)
from zeroctl_core.annotators.transformers_models.preprocessing import HALF, IMAGENET, Preprocessing, preprocessing_of
from zeroctl_core.files.weight_file import CheckpointError

NAMES = [(task, name) for task, names in OF_TASK.items() for name in names]


def write_config(folder: Path, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def copy_of(tiny_folder, tmp_path):
    """A folder of a tiny SegFormer that a test may change."""
    return Path(shutil.copytree(tiny_folder("segformer"), tmp_path / "segformer"))


def test_every_class_of_every_task_has_a_tiny_model():
    assert {task: {TINY[name][0] for name in names} for task, names in OF_TASK.items()} == {
        task: set(names.values()) for task, names in TASKS.items()
    }


@pytest.mark.parametrize(("task", "name"), NAMES)
def test_loads_every_class_without_network(task, name, tiny_folder, no_network):
    folder = tiny_folder(name)
    net = load_model(str(folder), task)
    assert type(net.model).__name__ == TINY[name][0]
    assert folder_tasks(folder) == {task} and net.model_type == net.config.model_type
    assert not net.training and not net.model.training
    assert all(weight.dtype == torch.float32 and not weight.requires_grad for weight in net.parameters())
    expected = tiny_model(name).state_dict()
    state = net.model.state_dict()
    assert state.keys() == expected.keys()
    # of the training criterion some are of another type
    assert all(torch.equal(state[key], expected[key]) for key in expected if not key.startswith("criterion."))


def test_a_half_precision_folder_becomes_float32(tmp_path, no_network):
    pytest.importorskip("transformers", reason="writes a folder of a transformers model")
    tiny_model("segformer").half().save_pretrained(tmp_path)
    net = load_model(tmp_path, "segmentation")
    assert {weight.dtype for weight in net.parameters()} == {torch.float32}


def test_torch_files_are_read_where_there_are_no_safetensors(copy_of, no_network):
    weights = load_model(copy_of, "segmentation").model.state_dict()
    (copy_of / "model.safetensors").unlink()
    torch.save(weights, copy_of / "pytorch_model.bin")
    again = load_model(copy_of, "segmentation").model.state_dict()
    assert all(torch.equal(again[key], weights[key]) for key in weights)


def test_a_torch_file_with_code_is_refused(copy_of):
    class Harm:
        def __reduce__(self):
            return (print, ("run",))

    (copy_of / "model.safetensors").unlink()
    (copy_of / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Harm()}, protocol=2))
    with pytest.raises(CheckpointError, match="could run code"):
        load_model(copy_of, "segmentation")


def test_code_in_a_folder_is_never_run(copy_of, no_network):
    config = json.loads((copy_of / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "harm.Model", "AutoConfig": "harm.Config"}
    write_config(copy_of, **config)
    (copy_of / "harm.py").write_text("raise SystemExit('was run')")
    load_model(copy_of, "segmentation")
    assert "harm" not in sys.modules


def test_the_wrapper_lets_hosts_set_its_device(tiny_folder):
    net = load_model(tiny_folder("segformer"), "segmentation")
    net.device = torch.device("cpu")  # the class of transformers has a property there
    assert net.device == torch.device("cpu")


def test_a_folder_without_weights_says_what_is_there(copy_of):
    (copy_of / "model.safetensors").unlink()
    (copy_of / "README.md").touch()
    with pytest.raises(CheckpointError, match=r"has no weights.*but README.md, config.json"):
        load_model(copy_of, "segmentation")


def test_a_cut_off_file_and_a_pointer_are_named(copy_of):
    file = copy_of / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"model.safetensors.*cut off"):
        load_model(copy_of, "segmentation")
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        load_model(copy_of, "segmentation")


def test_weights_under_another_name_are_not_taken_for_random(copy_of):
    (copy_of / "model.safetensors").rename(copy_of / "other.safetensors")
    with pytest.raises(
        CheckpointError, match="has no weights: no model.safetensors.*but config.json, other.safetensors"
    ):
        load_model(copy_of, "segmentation")


def test_missing_weights_are_an_error_and_not_random(copy_of):
    from safetensors.torch import load_file, save_file

    weights = load_file(copy_of / "model.safetensors")
    save_file(
        {key: tensor for key, tensor in weights.items() if "classifier" not in key},
        copy_of / "model.safetensors",
        metadata={"format": "pt"},
    )
    with pytest.raises(CheckpointError, match="lacks 2 weights of Segformer.*first decode_head.classifier.bias"):
        load_model(copy_of, "segmentation")


def test_what_is_never_computed_may_be_missing(tiny_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = Path(shutil.copytree(tiny_folder("dpt"), tmp_path / "dpt"))
    weights = load_file(folder / "model.safetensors")
    rest = {key: tensor for key, tensor in weights.items() if "fusion_stage.layers.0.residual_layer1" not in key}
    assert len(rest) < len(weights)
    save_file(rest, folder / "model.safetensors", metadata={"format": "pt"})
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    whole, part = (load_model(path, "depth")(pixels).predicted_depth for path in (tiny_folder("dpt"), folder))
    assert torch.equal(whole, part) and whole.std() > 0


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "bert"}, "model_type 'bert'; for depth it must be one of depth_anything, dpt, zoedepth"),
        ({"model_type": "segformer"}, "model_type 'segformer'"),
        ({"model_type": "dpt", "architectures": ["DPTForSemanticSegmentation"]}, "holds a DPTForSemanticSegmentation"),
        ({"model_type": "dpt", "use_pretrained_backbone": True}, "would be downloaded"),
        ({"model_type": "dpt"}, "has no weights"),
        ({}, "names no model_type"),
    ],
)
def test_other_folders_are_refused_with_the_reason(config, message, tmp_path):
    folder = write_config(tmp_path / "model", **config)
    with pytest.raises(CheckpointError, match=message):
        load_model(folder, "depth")


def test_a_folder_without_a_model_is_refused_with_what_it_holds(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_model(tmp_path / "nothing", "depth")
    with pytest.raises(CheckpointError, match="has no config.json, but nothing"):
        load_model(tmp_path, "depth")
    for number in range(10):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(CheckpointError, match=r"but 0.txt, .*7.txt and 2 more"):
        load_model(tmp_path, "depth")
    with pytest.raises(CheckpointError, match="is a file"):
        load_model(tmp_path / "0.txt", "depth")
    (tmp_path / "config.json").write_text("<html>")
    with pytest.raises(CheckpointError, match="is not JSON text"):
        load_model(tmp_path, "depth")
    assert folder_tasks(tmp_path) == folder_tasks(tmp_path / "nothing") == set()


def test_a_folder_tells_its_task_without_weights_and_without_transformers(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert folder_tasks(write_config(tmp_path / "a", model_type="upernet")) == {"segmentation"}
    assert folder_tasks(write_config(tmp_path / "b", model_type="rt_detr_v2")) == {"people"}
    assert folder_tasks(write_config(tmp_path / "c", model_type="segformer", architectures=["X"])) == set()
    assert folder_tasks(write_config(tmp_path / "d", model_type="gpt2")) == set()


class Broken(ModuleType):
    """A transformers whose classes fail to import as `error` says."""

    def __init__(self, error: Exception, cause: Exception | None) -> None:
        super().__init__("transformers")
        self.error, self.cause = error, cause

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            if self.cause is not None:
                raise self.cause
        except Exception as cause:
            raise self.error from cause
        raise self.error


MISMATCH = RuntimeError("Detected that PyTorch and TorchAudio were compiled with different CUDA versions.\nMore.")


@pytest.mark.parametrize(
    ("error", "cause", "message"),
    [
        (
            ModuleNotFoundError("Could not import module 'DPTForDepthEstimation'."),  # what 5.x says
            MISMATCH,
            r"RuntimeError: Detected that PyTorch and TorchAudio.*versions\..*pip uninstall torchaudio",
        ),
        (
            RuntimeError("Failed to import transformers.models.dpt because of the following error"),  # what 4.50 says
            MISMATCH,
            r"Detected that.*pip uninstall torchaudio",
        ),
        (
            ModuleNotFoundError("Could not import module"),
            OSError("libtorch_cuda.so: cannot open: needed by torchvision/_C.so"),
            "OSError: libtorch.*torchvision does not fit torch",
        ),
        (ModuleNotFoundError("Could not"), ModuleNotFoundError("No module named 'regex.x'", name="regex.x"), "regex$"),
        (RuntimeError("something else"), None, "RuntimeError: something else. repair"),
        (AttributeError("no attribute DPTForDepthEstimation"), None, "has no DPTForDepthEstimation: pip install --up"),
    ],
)
def test_a_broken_import_names_its_first_cause_and_the_remedy(error, cause, message, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", Broken(error, cause))
    folder = write_config(tmp_path, model_type="dpt")
    (folder / "model.safetensors").touch()
    with pytest.raises(ImportError, match=message):
        load_model(folder, "depth")


def test_transformers_that_is_not_installed_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)  # Python's own way to say: not installed
    folder = write_config(tmp_path, model_type="dpt")
    (folder / "model.safetensors").touch()
    with pytest.raises(ImportError, match="not installed: pip install 'transformers>="):
        load_model(folder, "depth")


def test_only_models_for_the_task_are_taken():
    net = TransformersModel(nn.Identity(), "segformer", Preprocessing(*HALF))
    assert model_for("segment", net, "segmentation") is net
    with pytest.raises(ValueError, match=r"the net is a segformer; expected load_model\(folder, 'depth'\)"):
        model_for("depth", net, "depth")
    with pytest.raises(ValueError, match="the net is a Identity"):
        model_for("depth", nn.Identity(), "depth")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, Preprocessing(*IMAGENET)),
        ({"image_mean": [0.5] * 3, "image_std": [0.25] * 3}, Preprocessing((0.5,) * 3, (0.25,) * 3)),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": False}, Preprocessing((0,) * 3, (1,) * 3)),
        ({"image_mean": [51] * 3, "image_std": [255] * 3, "do_rescale": False}, Preprocessing((0.2,) * 3, (1,) * 3)),
        ({"size": 512}, Preprocessing(*IMAGENET, (512, 512))),
        ({"size": {"height": 256, "width": 192}}, Preprocessing(*IMAGENET, (256, 192))),
        ({"size": {"shortest_edge": 640, "longest_edge": 2560}}, Preprocessing(*IMAGENET, (640, 640))),
        ({"size": [384, 512]}, Preprocessing(*IMAGENET, (384, 512))),
        ({"size": None, "image_processor_type": "Anything", "crop_pct": 1}, Preprocessing(*IMAGENET)),
    ],
)
def test_reads_mean_deviation_and_size_from_the_folder(content, expected, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    result = preprocessing_of(tmp_path, "segformer")
    assert result.mean == pytest.approx(expected.mean) and result.std == pytest.approx(expected.std)
    assert result.size == expected.size


def test_families_have_their_own_defaults(tmp_path):
    assert preprocessing_of(tmp_path, "depth_anything") == Preprocessing(*IMAGENET)
    assert preprocessing_of(tmp_path, "dpt") == preprocessing_of(tmp_path, "zoedepth") == Preprocessing(*HALF)
    assert preprocessing_of(tmp_path, "rt_detr").std == (1, 1, 1)


@pytest.mark.parametrize(
    "text",
    ["<html>", "[]", '{"image_mean": [1], "image_std": [1]}', '{"image_mean": [0, 0, 0], "image_std": [0, 1, 1]}'],
)
def test_a_broken_preprocessor_file_is_an_error(text, tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(CheckpointError, match="preprocessor_config.json"):
        preprocessing_of(tmp_path, "dpt")


def test_pixel_values_are_normalised_in_the_type_of_the_weights(tmp_path):
    net = TransformersModel(nn.Linear(1, 1).bfloat16(), "dpt", Preprocessing((0.5, 0.25, 0), (0.5, 0.25, 1)))
    pixels = net.pixel_values(torch.full((1, 3, 2, 2), 0.5))
    assert pixels.dtype == torch.bfloat16 and pixels[0, :, 0, 0].tolist() == [0, 1, 0.5]


def test_write_tiny_takes_a_task_and_a_preprocessor(tmp_path):
    pytest.importorskip("transformers", reason="writes a folder of a transformers model")
    folder = write_tiny("pose", tmp_path, {"size": {"height": 64, "width": 48}})
    assert load_model(folder, "pose").preprocessing.size == (64, 48)


def test_dpt_on_dinov2_has_the_mean_of_its_backbone(tmp_path: Path) -> None:
    assert preprocessing_of(tmp_path, "dpt", "dinov2") == Preprocessing(*IMAGENET)


def test_a_config_that_is_odd_or_cannot_be_read_is_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert folder_tasks(write_config(tmp_path / "a", model_type="upernet", architectures=5)) == set()
    folder = write_config(tmp_path / "b", model_type="upernet")

    def refused(*arguments: object, **options: object) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", refused)
    assert folder_tasks(folder) == set()
