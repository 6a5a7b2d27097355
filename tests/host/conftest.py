"""Fixtures of the tests that run inside a host: one ComfyUI a process, thin random models, and a real server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from annotator_graphs import SIZE
from control_graphs import picture
from demo_weights import are_shipped, write_random
from host_graphs import Graph, node, sample
from host_models import cut_model, know_narrow_nets, random_conditioning
from host_process import BenchGive, Host, boot
from host_server import HostServer
from random_weights import UNetSpec, save_controlnet_file, thin_checkpoint

from zeroctl_core.demo.model import WEIGHTS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
THIN_CHECKPOINT = "thin.safetensors"


class LoadedModel(NamedTuple):
    """What Load Checkpoint returns."""

    model: Any
    clip: Any
    vae: Any


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.host)
    # networks of full size first, while the small models of all other tests are not in memory yet
    items.sort(key=lambda item: item.get_closest_marker("full") is None)


@pytest.fixture(autouse=True)
def _inference_mode() -> Iterator[None]:
    """The host executes every node in inference mode; a test that trains leaves it by `torch.inference_mode(False)`."""
    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def _what_a_test_gives_goes_with_it() -> Iterator[None]:
    """Networks that a test puts into graphs are freed at its end: hundreds of tests share one process."""
    first = len(BenchGive.values)  # fixtures of a larger scope came before
    yield
    del BenchGive.values[first:]


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for this run alone. Not pytest's own, which keeps three runs: a checkpoint has 490 MB."""
    folder = Path(tempfile.mkdtemp(prefix="zeroctl-host-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def bare_host(scratch: Path) -> Host:
    """The host of ZEROCTL_HOST, booted in this process, without our pack."""
    if "ZEROCTL_HOST" not in os.environ:
        pytest.skip("runs inside a host: python tests/host/run.py")
    running = boot(Path(os.environ["ZEROCTL_HOST"]).expanduser().resolve(), scratch / "base")
    know_narrow_nets()
    return running


@pytest.fixture(scope="session")
def demo_weights(scratch: Path) -> Path:
    """The folder of the embedded model, for this process and for the servers that it starts."""
    if named := os.environ.get("ZEROCTL_DEMO_WEIGHTS"):  # to try others
        return Path(named)
    if are_shipped():
        return WEIGHTS
    folder = write_random(scratch / "demo")
    os.environ["ZEROCTL_DEMO_WEIGHTS"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def host(bare_host: Host, demo_weights: Path) -> Host:
    """The booted host with our pack loaded from this checkout by the host's own loader."""
    bare_host.load_pack(ROOT)
    return bare_host


@pytest.fixture(scope="session")
def thin_checkpoint_name(bare_host: Host) -> str:
    """A whole SD 1.5 checkpoint with a thin UNet, as Load Checkpoint lists it."""
    thin_checkpoint(bare_host.base / "models" / "checkpoints" / THIN_CHECKPOINT)
    return THIN_CHECKPOINT


@pytest.fixture(scope="session")
def thin_model(bare_host: Host, thin_checkpoint_name: str) -> LoadedModel:
    """MODEL, CLIP and VAE from the thin checkpoint by the host's real loader. Shared: clone it before changing it."""
    with torch.inference_mode():
        return LoadedModel(*bare_host.nodes.CheckpointLoaderSimple().load_checkpoint(thin_checkpoint_name)[:3])


@pytest.fixture(scope="session")
def model_of(bare_host: Host) -> Callable[..., Any]:
    """`model_of(preset, seed=0, v_prediction=False)` gives a MODEL with a random UNet; made once, never change it.

    Presets of every family work, `thinxl` too, which no file on disk could tell the host.
    """

    @cache
    def model(preset: str | UNetSpec, seed: int, v_prediction: bool) -> Any:
        with torch.inference_mode():
            return cut_model(preset, seed, v_prediction)

    # the cache keeps (x, seed=0) apart from (x): one signature, or equal calls would get different MODELs
    return lambda preset, seed=0, v_prediction=False: model(preset, seed, v_prediction)


@pytest.fixture(scope="session")
def conditioning_of() -> Callable[..., Any]:
    """`conditioning_of(preset, seed=0)` gives a random CONDITIONING of the family's width."""
    return random_conditioning


@pytest.fixture(scope="session")
def controlnet_file(bare_host: Host) -> Callable[..., Path]:
    """`controlnet_file(preset, seed=0)` writes a random ControlNet where the host's loaders list it by `path.name`."""

    def write(preset: str, seed: int = 0, dtype: torch.dtype = torch.float16, prefix: str = "") -> Path:
        name = f"{preset}-{seed}-{str(dtype).removeprefix('torch.')}{'-' + prefix.rstrip('.') if prefix else ''}"
        path = bare_host.base / "models" / "controlnet" / f"{name}.safetensors"
        return path if path.exists() else save_controlnet_file(path, preset, seed, dtype, prefix)

    return write


@pytest.fixture(scope="session")
def start_server(bare_host: Host, demo_weights: Path, scratch: Path) -> Callable[..., HostServer]:
    """`with start_server(pack=folder, pack_name=...) as server:` a server of its own, on the models of `bare_host`."""

    def make(pack: Path | None = None, pack_name: str = "") -> HostServer:
        base = Path(tempfile.mkdtemp(prefix="server-", dir=scratch))
        return HostServer(bare_host.checkout, base, pack, pack_name, models=bare_host.base / "models")

    return make


@pytest.fixture(scope="session")
def server(start_server: Callable[..., HostServer]) -> Iterator[HostServer]:
    """The real server with our pack linked into its custom_nodes."""
    with start_server(pack=ROOT, pack_name="zeroctl") as running:
        yield running


@pytest.fixture(scope="session")
def our_net(host: Host, controlnet_file: Callable[..., Any]) -> Callable[..., Any]:
    """`our_net(preset, seed=0)`: the CONTROL_NET that our loader makes of a random file; made once."""
    nets: dict[tuple[str, int], Any] = {}

    def load(preset: str, seed: int = 0) -> Any:
        if (preset, seed) not in nets:
            path = controlnet_file(preset, seed, torch.float32)
            graph = {"net": node("ZeroctlLoadControlNet", control_net_name=path.name)}
            nets[preset, seed] = host.run(graph, keep={"net": ["net", 0]})["net"]
        return nets[preset, seed]

    return load


@pytest.fixture(scope="session")
def host_net(host: Host, controlnet_file: Callable[..., Any]) -> Callable[..., dict[str, Any]]:
    """`host_net(preset, seed=0)`: a node that loads the same file with the host's own loader."""
    return lambda preset, seed=0: node(
        "ControlNetLoader", control_net_name=controlnet_file(preset, seed, torch.float32).name
    )


@pytest.fixture(scope="session")
def graph_of(host: Host, model_of: Callable[..., Any], conditioning_of: Callable[..., Any]) -> Callable[..., Graph]:
    """`graph_of(preset, **sample_options)`: a KSampler graph on a random MODEL of that family."""

    def make(preset: Any = "narrow", v_prediction: bool = False, **options: Any) -> Graph:
        positive, negative = (host.give(conditioning_of(preset, seed=seed)) for seed in (1, 2))
        return sample(host.give(model_of(preset, v_prediction=v_prediction)), positive, negative, **options)

    return make


@pytest.fixture(scope="session")
def acn(host: Host) -> Host:
    """The host with ComfyUI-Advanced-ControlNet loaded."""
    folder = os.environ.get("ZEROCTL_ACN")
    if not folder:
        pytest.skip("set ZEROCTL_ACN to a checkout of ComfyUI-Advanced-ControlNet that this host can load")
    host.load_pack(Path(folder).expanduser())
    return host


@pytest.fixture()
def images() -> torch.Tensor:
    """Two pictures of different content."""
    return picture(SIZE, SIZE, batch=2)


@pytest.fixture()
def files(host: Host) -> Iterator[Path]:
    """The host's folder of annotators, empty before and after."""
    folder = host.base / "models" / "annotators"
    folder.mkdir(exist_ok=True)
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
