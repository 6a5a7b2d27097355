"""Binds `zeroctl_core` as the host does, so that bare `pytest` works in a fresh clone with nothing installed."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOST_TESTS = "tests/host needs ComfyUI: python tests/host/run.py runs it in every host found (COMFYUI_PATH, ~/comfy)"

# Only a host's own Python can import what tests/host imports; tests/host/run.py sets the variable there.
collect_ignore = [] if os.environ.get("ZEROCTL_HOST") else ["host"]
BESIDE_THE_TESTS = {
    "rooms": "tests/rooms.py",
    "words": "tests/words.py",
    "pretended_device": "tests/pretended_device.py",
    "readbacks": "tests/readbacks.py",
    "random_weights": "tests/random_weights.py",
    "control_loras": "tests/control_loras.py",
    "header_only": "tests/header_only.py",
    "diffusers_twins": "tests/core/network/diffusers_twins.py",
    "scene_files": "tests/scene_files.py",
    "small_disk": "tests/small_disk.py",
    "tfjs_graph": "tests/tfjs_graph.py",
    "face_graph": "tests/face_graph.py",
    "windows_files": "tests/windows_files.py",
    "toy_training": "tests/core/train/toy_training.py",
    "toy_base": "tests/core/train/prepare/toy_base.py",
    "prepare_killed": "tests/core/train/prepare/prepare_killed.py",
    "tiny_transformers": "tests/core/annotators/transformers_models/tiny_transformers.py",
    "posed_people": "tests/core/annotators/pose/posed_people.py",
    "demo_weights": "tests/host/demo/demo_weights.py",
    "host_graphs": "tests/host/host_graphs.py",
    "control_graphs": "tests/host/control_graphs.py",
    "demo_graphs": "tests/host/demo/demo_graphs.py",
    "host_models": "tests/host/host_models.py",
    "host_process": "tests/host/host_process.py",
    "annotator_graphs": "tests/host/annotators/annotator_graphs.py",
    "host_server": "tests/host/host_server.py",
    "examples": "tests/examples.py",
    "web_graphs": "tests/web/web_graphs.py",
    "canvas": "tests/web/canvas.py",
}


def load_by_path(name: str, path: Path) -> ModuleType:
    """Import one file under a name of its own, as the host imports a pack; `sys.path` stays as it is."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported as {name}.")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


load_by_path("zeroctl_pack", ROOT / "__init__.py").bind_core()
load_by_path("benchmarks", ROOT / "benchmarks" / "__init__.py")
for _name, _path in BESIDE_THE_TESTS.items():
    load_by_path(_name, ROOT / _path)

# emulations of other systems, for every test
windows_files = sys.modules["windows_files"].windows_files
small_disk = sys.modules["small_disk"].small_disk
device_without_float64 = sys.modules["pretended_device"].device_without_float64


# The files that take longest, the longest first: one that begins last leaves every other process idle.
LONG_FILES = (
    "core/annotators/test_contract.py",
    "core/train/test_system_faults.py",
    "core/demo/test_embedded_model.py",
    "core/train/test_loop.py",
    "core/network/test_parity_diffusers.py",
    "benchmarks/test_gpu.py",
    "core/checkpoint/test_damaged_files.py",
    "core/checkpoint/test_checkpoint.py",
    "core/checkpoint/test_loaded_files_change.py",
    "core/annotators/transformers_models/test_safe_config.py",
    "core/train/prepare/test_chain.py",
)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config.option, "loadscopereorder"):  # of xdist: it would begin with the file of the most tests
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Trainings of minutes run where they are asked for: `pytest -m long`."""
    place = {ROOT / "tests" / name: number for number, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: place.get(item.path, len(place)))
    if "long" in config.option.markexpr:
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="a training of minutes: pytest -m long"))


def pytest_collection_finish() -> None:
    """What is imported by now stays: 450,000 objects, which a collection of garbage would look at again every time."""
    gc.collect()
    gc.freeze()


def pytest_report_header() -> str:
    host = os.environ.get("ZEROCTL_HOST")
    return f"host: {host}" if host else HOST_TESTS
