"""Files and folders of annotators: found wherever they may lie, fetched only when asked for, whole or not at all."""

from __future__ import annotations

import hashlib
import http.server
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath
from types import ModuleType
from typing import Any

import pytest
import torch
from annotator_graphs import annotated, random_state, settings
from host_graphs import node
from host_process import Host, NodeFailed
from safetensors.torch import load_file, save_file
from tiny_transformers import write_tiny
from torch import Tensor

from zeroctl_core.annotator_files import finding
from zeroctl_core.annotator_files.published import FILES, repository
from zeroctl_core.annotators import ANNOTATORS
from zeroctl_core.annotators.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[3]
NEEDING = sorted({name for entry in ANNOTATORS.values() for name in entry.networks.values()})


@pytest.mark.parametrize("name", [name for name, entry in ANNOTATORS.items() if entry.networks])
def test_a_network_on_disk_is_found_and_run(host, images, files, name) -> None:
    entry = ANNOTATORS[name]
    for option, network in entry.networks.items():
        options = {param.name: option for param in entry.params if option in getattr(param, "options", ())}
        path = files / "somewhere" / NETWORKS[network].file
        path.parent.mkdir(exist_ok=True)
        torch.save(random_state(network), path)
        net = NETWORKS[network].build().eval()
        net.load_state_dict(random_state(network))
        expected = entry(images.movedim(-1, 1), net=net, **options).movedim(1, -1)
        condition = annotated(host, name, images, **options)
        assert condition.shape == expected.shape and (condition - expected).abs().mean() < 1e-3


@pytest.mark.parametrize("network", NEEDING)
def test_a_missing_file_is_named_with_its_source_place_and_licence(host, images, files, network) -> None:
    name, option = next(
        (name, option)
        for name, entry in ANNOTATORS.items()
        for option, need in entry.networks.items()
        if need == network
    )
    options = {param.name: option for param in ANNOTATORS[name].params if option in getattr(param, "options", ())}
    with pytest.raises(NodeFailed) as failed:
        annotated(host, name, images, **options)
    published = NETWORKS[network]
    parts = (f"{published.size / 1e6:.1f} MB", published.url, str(files / published.file), published.licence)
    for part in (published.file, *parts, "set download to true"):
        assert part in str(failed.value)


@pytest.mark.parametrize("where", ["aux", "config", "variable", "link", "more"])
def test_a_file_is_found_where_others_keep_it(host, images, files, tmp_path, monkeypatch, where) -> None:
    """In what comfyui_controlnet_aux has fetched, behind a link, and in a folder of extra_model_paths.yaml."""
    published, elsewhere = NETWORKS["hed"], tmp_path / "elsewhere"
    if where == "aux":
        elsewhere = host.base / "custom_nodes" / "comfyui_controlnet_aux" / "ckpts"
    path = elsewhere / "lllyasviel" / "Annotators" / published.file
    path.parent.mkdir(parents=True)
    torch.save(random_state("hed"), path)
    if where == "config":
        pack = host.base / "custom_nodes" / "comfyui_controlnet_aux"
        pack.mkdir()
        (pack / "config.yaml").write_text(f"annotator_ckpts_path: {os.path.relpath(elsewhere, pack)}\n")
    elif where == "variable":
        monkeypatch.setenv("AUX_ANNOTATOR_CKPTS_PATH", str(elsewhere))
    elif where == "link":
        (files / "linked").symlink_to(elsewhere, target_is_directory=True)
    elif where == "more":
        paths, kinds = host.folder_paths.folder_names_and_paths["annotators"]
        more = {**host.folder_paths.folder_names_and_paths, "annotators": ([*paths, str(elsewhere)], kinds)}
        monkeypatch.setattr(host.folder_paths, "folder_names_and_paths", more)
    try:
        assert annotated(host, "softedge", images).shape == images.shape
    finally:
        shutil.rmtree(host.base / "custom_nodes" / "comfyui_controlnet_aux", ignore_errors=True)
        (files / "linked").unlink(missing_ok=True)


@pytest.mark.parametrize("text", ["[", "5", "annotator_ckpts_path: 5", "annotator_ckpts_path: !!python/name:os.system"])
def test_a_broken_config_of_aux_is_logged_and_passed_over(host, images, files, caplog, text) -> None:
    pack = host.base / "custom_nodes" / "comfyui_controlnet_aux"
    pack.mkdir()
    (pack / "config.yaml").write_text(text)
    try:
        with pytest.raises(NodeFailed, match="set download to true"):
            annotated(host, "softedge", images)
    finally:
        shutil.rmtree(pack)
    assert f"{pack / 'config.yaml'} cannot be read" in caplog.text


def test_a_folder_copied_out_of_the_hubs_cache_is_the_published_one(host, images, files) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name = "Depth-Anything-V2-Small-hf"
    write_tiny("depth", files / f"models--depth-anything--{name}" / "snapshots" / ("a" * 40), {})
    values = settings(ANNOTATORS["depth"], detect_size=126)
    assert annotated(host, "depth", images, **values, model=name).shape == images.shape
    shutil.rmtree(files / f"models--depth-anything--{name}")


def test_a_missing_published_model_names_the_folders_that_there_are(host, images, files) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    write_tiny("depth", files / "mine", {})
    with pytest.raises(NodeFailed, match=r"is not at .*There are, to be chosen as the model: mine\."):
        annotated(host, "depth", images, model="Depth-Anything-V2-Small-hf")
    shutil.rmtree(files / "mine")


def test_half_a_download_is_not_found(host, images, files) -> None:
    path = files / ".download-x" / NETWORKS["hed"].file
    path.parent.mkdir()
    torch.save(random_state("hed"), path)
    with pytest.raises(NodeFailed, match="set download to true"):
        annotated(host, "softedge", images)


def test_the_published_folder_is_found_in_any_subfolder(host, images, files) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name = "Depth-Anything-V2-Small-hf"
    write_tiny("depth", files / "depth" / name, {})
    values = settings(ANNOTATORS["depth"], detect_size=126)
    assert annotated(host, "depth", images, **values, model=name).shape == images.shape
    shutil.rmtree(files / "depth")


def test_the_node_for_all_takes_the_published_folder_or_the_first_there_is(host, images, files) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    values = {"annotator": "depth", "resolution": 0, "settings": "detect_size=126", "download": False}
    graph = {"image": host.give(images), "map": node("ZeroctlAnnotate", image=["image", 0], **values)}
    write_tiny("depth", files / "a_mine", {})
    assert host.run(graph, keep={"map": ["map", 0]})["map"].shape == images.shape
    shutil.rmtree(files / "a_mine")
    with pytest.raises(NodeFailed, match="Depth-Anything-V2-Small-hf, about 99 MB, is not at"):
        host.run(graph, keep={"map": ["map", 0]})


def test_other_weights_in_a_folder_are_loaded_anew(host, images, files) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    values = settings(ANNOTATORS["depth"], detect_size=126)
    weights = write_tiny("depth", files / "mine", {}) / "model.safetensors"
    before = annotated(host, "depth", images, **values, model="mine")
    changed = {key: tensor + 0.1 for key, tensor in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})
    after = annotated(host, "depth", images, **values, model="mine")
    shutil.rmtree(files / "mine")
    assert not torch.equal(before, after)


def test_a_missing_folder_is_named_with_its_source_and_place(host, images, files) -> None:
    with pytest.raises(
        NodeFailed, match=r"Depth-Anything-V2-Small-hf, about 99 MB, is not at .*annotators.*huggingface.*Apache-2.0"
    ):
        annotated(host, "depth", images, model="Depth-Anything-V2-Small-hf")


def test_a_listing_of_the_nodes_walks_the_folders_once_and_the_next_one_anew(host, files, monkeypatch) -> None:
    """Four inputs ask for four tasks; a folder that comes in between is in the next listing, as after pressing R."""
    pytest.importorskip("transformers", reason="the host has no transformers")
    walk, walks = finding.files_named, []
    monkeypatch.setattr(finding, "files_named", lambda *arguments: walks.append(arguments) or walk(*arguments))

    def listing() -> list[str]:
        with host.folder_paths.cache_helper:  # as the host's /object_info
            for name in ("ZeroctlPose", "ZeroctlSegment", "ZeroctlDepth"):
                info = host.nodes.NODE_CLASS_MAPPINGS[name].GET_NODE_INFO_V1()
        return list(info["input"]["required"]["model"][1]["options"])

    assert listing() == ["Depth-Anything-V2-Small-hf"] and len(walks) == 1
    write_tiny("depth", files / "mine", {})
    assert listing() == ["Depth-Anything-V2-Small-hf", "mine"] and len(walks) == 2
    shutil.rmtree(files / "mine")


def test_a_listing_names_the_files_that_are_missing_with_their_sizes(host, files) -> None:
    def absent(node_id: str, name: str) -> dict[str, str]:
        inputs = host.nodes.NODE_CLASS_MAPPINGS[node_id].GET_NODE_INFO_V1()["input"]["required"]
        return inputs[name][1].get("zeroctl_absent", {})

    assert absent("ZeroctlSoftEdge", "download") == {"": "ControlNetHED.pth, 29 MB"}
    assert absent("ZeroctlTEED", "weights") == {"teed": "7_model.pth, 0.2 MB", "mteed": "MTEED.pth, 0.2 MB"}
    assert absent("ZeroctlLines", "method") == {"mlsd": "mlsd_large_512_fp32.pth, 6 MB"}
    assert absent("ZeroctlDepth", "model") == {"Depth-Anything-V2-Small-hf": "99 MB"}
    assert absent("ZeroctlDepth", "download") == absent("ZeroctlLineart", "download") == {}
    (files / "below").mkdir()
    for file in ("ControlNetHED.pth", "MTEED.pth"):
        (files / "below" / file).touch()
    assert absent("ZeroctlSoftEdge", "download") == {}
    assert absent("ZeroctlTEED", "weights") == {"teed": "7_model.pth, 0.2 MB"}


class Hub(http.server.BaseHTTPRequestHandler):
    """A hub with the files of one repository."""

    files: dict[str, bytes] = {}
    etag = ""  # "": that of each file
    seconds_a_byte = 0.0
    requests: list[str] = []

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        body = self._answer()
        if not self.seconds_a_byte:
            self.wfile.write(body)
            return
        for byte in body:
            time.sleep(self.seconds_a_byte)
            try:
                self.wfile.write(bytes([byte]))
            except OSError:
                return

    def _answer(self) -> bytes:
        self.requests.append(self.path)
        body = self.files.get(self.path.split("/")[-1], b"")
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{self.etag or hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()
        return body

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture()
def hub(monkeypatch) -> Iterator[type[Hub]]:
    class Own(Hub):
        requests: list[str] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield Own
    server.shutdown()


@pytest.fixture()
def publish(host: Host, hub: type[Hub], monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], bytes]:
    """Publish random weights as those of hed, with this recorded hash or that of the file itself; -> the file."""
    nets = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.nets"]

    def publish(sha256: str | None = None) -> bytes:
        body = _pickled(random_state("hed"))
        hub.files = {NETWORKS["hed"].file: body}
        recorded = replace(NETWORKS["hed"], sha256=sha256 or hashlib.sha256(body).hexdigest())
        monkeypatch.setattr(nets, "NETWORKS", {**NETWORKS, "hed": recorded})
        return body

    return publish


def test_every_file_of_a_network_has_a_recorded_hash_of_its_own() -> None:
    hashes = [file.sha256 for network in NETWORKS.values() for file in network.files]
    assert all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes) and len(set(hashes)) == len(hashes)


def test_a_file_is_fetched_only_when_asked_for_and_then_whole(host, images, files, hub, publish) -> None:
    body, file = publish(), NETWORKS["hed"].file
    with pytest.raises(NodeFailed, match="set download to true"):
        annotated(host, "softedge", images)
    assert hub.requests == []
    annotated(host, "softedge", images, download=True)
    assert (files / file).read_bytes() == body
    count = len(hub.requests)
    assert count > 0
    annotated(host, "softedge", images, download=True)
    assert len(hub.requests) == count


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("damaged", "the SHA-256 of what came is"),
        ("another file", "the SHA-256 of ControlNetHED.pth is"),
        ("replaced", "the SHA-256 of ControlNetHED.pth is .*, expected .*recorded for the published file.*Try again"),
    ],
)
def test_a_wrong_file_leaves_nothing_behind(host, images, files, hub, publish, what, message) -> None:
    """Also one that is whole and fits the network, but is not the file that was published."""
    publish("0" * 64 if what == "replaced" else None)
    if what == "another file":
        hub.files = {NETWORKS["hed"].file: b"<html>not here</html>"}
    hub.etag = hashlib.sha256(b"other").hexdigest() if what == "damaged" else ""
    with pytest.raises(NodeFailed, match=message):
        annotated(host, "softedge", images, download=True)
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_gits_hash_of_a_small_file_is_compared(host, images, files, hub, tmp_path) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    hub.files = {path.name: path.read_bytes() for path in write_tiny("depth", tmp_path / "depth", {}).iterdir()}
    hub.etag = hashlib.sha1(b"blob 5\0other").hexdigest()
    with pytest.raises(NodeFailed, match="config.json: the SHA-1 of git of what came is"):
        annotated(host, "depth", images, model="Depth-Anything-V2-Small-hf", download=True)


def test_a_folder_that_is_in_the_way_is_named_before_anything_is_fetched(host, images, files, hub) -> None:
    (files / "Depth-Anything-V2-Small-hf").mkdir()
    with pytest.raises(NodeFailed, match="but it is not a folder with a model for depth"):
        annotated(host, "depth", images, model="Depth-Anything-V2-Small-hf", download=True)
    assert hub.requests == []
    (files / "Depth-Anything-V2-Small-hf").rmdir()


@pytest.mark.parametrize("whole", ["whole", "incomplete", "replaced"])
def test_a_folder_is_fetched_whole_or_not_at_all(host, images, files, hub, tmp_path, monkeypatch, whole) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name = "Depth-Anything-V2-Small-hf"
    hub.files = {path.name: path.read_bytes() for path in write_tiny("depth", tmp_path / "depth", {}).iterdir()}
    folders = sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.folders"]
    weights = hashlib.sha256(hub.files["model.safetensors"]).hexdigest() if whole != "replaced" else "0" * 64
    monkeypatch.setitem(folders.OFFERED, "depth", replace(folders.OFFERED["depth"], sha256=weights))
    if whole == "incomplete":
        del hub.files["model.safetensors"]
    values = settings(ANNOTATORS["depth"], detect_size=126)
    if whole == "whole":
        condition = annotated(host, "depth", images, **values, model=name, download=True)
        assert condition.shape == images.shape and {path.name for path in (files / name).iterdir()} >= set(hub.files)
        count = len(hub.requests)
        annotated(host, "depth", images, **values, model=name, download=True)
        assert len(hub.requests) == count
    else:
        message = " could not be downloaded" if whole == "incomplete" else ": the SHA-256 of model.safetensors is"
        with pytest.raises(NodeFailed, match=f"model.safetensors{message}"):
            annotated(host, "depth", images, **values, model=name, download=True)
    shutil.rmtree(files / name, ignore_errors=True)
    assert not [path for path in files.rglob("*") if path.is_file()]


def module_of(host: Host, name: str) -> ModuleType:
    return sys.modules[f"{host.pack_module(ROOT).__name__}.nodes.host.annotators.{name}"]


@pytest.mark.parametrize("kind", ["cut off", "a pointer", "empty", "a link to nothing"])
def test_a_broken_file_heals_with_download_and_is_named_without(host, images, files, hub, publish, kind) -> None:
    body, path = publish(), files / NETWORKS["hed"].file
    if kind == "a link to nothing":
        path.symlink_to(files / "gone" / "blob")
    else:
        path.write_bytes({"cut off": body[:5000], "a pointer": b"version https://git-lfs", "empty": b""}[kind])
    with pytest.raises(NodeFailed, match=rf"{path}.*Delete {path}, or set download to true") as failure:
        annotated(host, "softedge", images)
    assert ("is a link to" in str(failure.value)) == (kind == "a link to nothing") and hub.requests == []
    annotated(host, "softedge", images, download=True)
    assert path.read_bytes() == body and not path.is_symlink()


def test_the_next_copy_is_tried_before_anything_is_fetched(host, images, files, hub, publish) -> None:
    body, path = publish(), files / NETWORKS["hed"].file
    path.write_bytes(body[:5000])
    (files / "other").mkdir(exist_ok=True)
    (files / "other" / path.name).write_bytes(body)
    assert annotated(host, "softedge", images, download=True).shape == images.shape
    assert hub.requests == [] and len(path.read_bytes()) == 5000


def test_the_cache_of_the_hub_is_looked_into_without_network(host, images, files, hub, tmp_path, monkeypatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants", reason="the host has no huggingface_hub")
    file_download = sys.modules.get("huggingface_hub.file_download")
    for module in (constants, file_download):
        if module is not None and hasattr(module, "HF_HUB_CACHE"):
            monkeypatch.setattr(module, "HF_HUB_CACHE", str(tmp_path))
    parts = repository(NETWORKS["hed"])
    repo = tmp_path / f"models--{parts['repo'].replace('/', '--')}"
    snapshot = repo / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / parts["revision"]).write_text("a" * 40)
    (snapshot / parts["file"]).write_bytes(_pickled(random_state("hed")))
    assert annotated(host, "softedge", images).shape == images.shape
    assert hub.requests == []


def test_a_place_that_cannot_be_written_is_named_before_anything_is_fetched(
    host, images, files, hub, publish, tmp_path, monkeypatch
) -> None:
    publish()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for place, reason in ((tmp_path / "file", "cannot be written"), (tmp_path / "link", "is a link to .*gone")):
        monkeypatch.setattr(module_of(host, "download"), "target_of", lambda name, place=place: place / name)
        with pytest.raises(NodeFailed, match=rf"https.*cannot be put at {place}.*{reason}.*extra_model_paths.yaml"):
            annotated(host, "softedge", images, download=True)
    assert hub.requests == []


def test_a_refused_rename_is_tried_again_and_then_the_file_is_kept(
    host, images, files, hub, publish, monkeypatch
) -> None:
    body, path = publish(), files / NETWORKS["hed"].file
    replace_, refusals = os.replace, [2]

    def refuse(source: Any, target: Any) -> None:
        if Path(target) == path and refusals[0] > 0:
            refusals[0] -= 1
            raise PermissionError(13, "in use")
        replace_(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    annotated(host, "softedge", images, download=True)
    assert path.read_bytes() == body
    path.unlink()
    refusals[0] = 10**6
    with pytest.raises(NodeFailed, match=f"{path} could not be replaced.* is whole in .*-2.pth"):
        annotated(host, "softedge", images, download=True)
    assert path.with_name(f"{path.stem}-2.pth").read_bytes() == body


def test_an_interruption_of_a_slow_download_is_heard_within_a_second(host, files, hub, publish) -> None:
    import comfy.model_management as management

    publish()
    hub.seconds_a_byte = 0.2
    nets = module_of(host, "nets")
    times: list[float] = []

    def interrupt() -> None:
        times.append(time.monotonic())
        management.interrupt_current_processing()

    timer = threading.Timer(1, interrupt)
    timer.start()
    with pytest.raises(management.InterruptProcessingException):
        nets.download(nets.NETWORKS["hed"])
    assert time.monotonic() - times[0] < 1
    assert not [path for path in files.rglob("*") if path.is_file()]


def test_what_a_killed_process_left_is_cleared_by_the_next_download(host, images, files, hub, publish) -> None:
    publish()
    leftovers = sys.modules["zeroctl_core.files.leftovers"]
    name = f".{NETWORKS['hed'].file}.{leftovers.MACHINE}-{{}}-abcdef01.part"
    dead, living = files / name.format(2**22 + 5), files / name.format(os.getppid())
    for path in (dead, living):
        path.write_bytes(b"half")
    old = files / ".download-old"
    old.mkdir()
    os.utime(old, (0, 0))
    annotated(host, "softedge", images, download=True)
    assert not dead.exists() and living.exists() and not old.exists()


def test_every_path_of_a_download_is_shorter_than_windows_allows(host) -> None:
    """The folder of annotators has 120 characters, as in a portable build below Downloads."""
    from zeroctl_core.files.leftovers import new_part, release_part

    folders = module_of(host, "folders")
    root = "C:\\" + "x" * 117
    files = [file.file for network in NETWORKS.values() for file in network.files]
    names = [published.name for published in folders.OFFERED.values()]
    places = [*files, *(f"{name}/{file}" for name in names for file in FILES)]
    parts = {name: new_part(Path(name)).name for name in (*files, *names)}
    for part in parts.values():
        release_part(Path(part))
    paths = [PureWindowsPath(root, parts[first], *rest) for first, *rest in (place.split("/") for place in places)]
    assert len(root) == 120 and max(len(str(path)) for path in paths) < 256


def test_a_broken_folder_heals_with_download_and_is_named_without(
    host, images, files, hub, tmp_path, monkeypatch
) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name = "Depth-Anything-V2-Small-hf"
    hub.files = {path.name: path.read_bytes() for path in write_tiny("depth", tmp_path / "depth", {}).iterdir()}
    monkeypatch.setitem(
        (folders := module_of(host, "folders")).OFFERED, "depth", replace(folders.OFFERED["depth"], sha256=None)
    )
    broken = Path(shutil.copytree(tmp_path / "depth", files / name)) / "model.safetensors"
    broken.write_bytes(broken.read_bytes()[:5000])
    values = settings(ANNOTATORS["depth"], detect_size=126)
    with pytest.raises(NodeFailed, match=rf"cut off.*Delete {files / name}, or set download to true"):
        annotated(host, "depth", images, **values, model=name)
    assert annotated(host, "depth", images, **values, model=name, download=True).shape == images.shape
    assert broken.read_bytes() == hub.files["model.safetensors"]
    shutil.rmtree(files / name)


def test_a_link_of_a_folder_to_nothing_is_named_and_heals_with_download(
    host, images, files, hub, tmp_path, monkeypatch
) -> None:
    pytest.importorskip("transformers", reason="the host has no transformers")
    name, folders = "Depth-Anything-V2-Small-hf", module_of(host, "folders")
    hub.files = {path.name: path.read_bytes() for path in write_tiny("depth", tmp_path / "depth", {}).iterdir()}
    monkeypatch.setitem(folders.OFFERED, "depth", replace(folders.OFFERED["depth"], sha256=None))
    (files / name).symlink_to(tmp_path / "gone", target_is_directory=True)
    values = settings(ANNOTATORS["depth"], detect_size=126)
    with pytest.raises(NodeFailed, match=rf"{files / name} is a link to {tmp_path / 'gone'}.*set download to true"):
        annotated(host, "depth", images, **values, model=name)
    assert hub.requests == []
    assert annotated(host, "depth", images, **values, model=name, download=True).shape == images.shape
    assert not (files / name).is_symlink()
    shutil.rmtree(files / name)


def test_an_odd_config_removes_no_node(host, files) -> None:
    (files / "evil").mkdir()
    (files / "evil" / "config.json").write_text("[" * 100_000)
    for name in ("ZeroctlPose", "ZeroctlSegment", "ZeroctlDepth"):
        assert host.nodes.NODE_CLASS_MAPPINGS[name].GET_NODE_INFO_V1()["input"]
    shutil.rmtree(files / "evil")


def _pickled(state: dict[str, Tensor]) -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()
