"""The route of the list of files at the host's real server: what is known of them by their headers, and what is not."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from header_only import write_checkpoint, write_control, write_header_only
from host_server import HostServer
from random_weights import controlnet_shapes

MOST_SECONDS = 5.0
"""For 500 files that were not looked at before, on a core to spare (1.7 s of it); a tenth for the list anew."""


class Lists:
    """Asks for the list of files as a page does."""

    def __init__(self, server: HostServer) -> None:
        self.models = server.base / "models"
        self.address = urllib.parse.urlsplit(server.url).netloc

    def send(self, body: bytes, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request("POST", "/zeroctl/pairing", body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if response.status == 200 else text
        finally:
            connection.close()

    def ask(self, folder: str = "", name: str = "") -> dict[str, Any]:
        status, answer = self.send(json.dumps({"folder": folder, "name": name}).encode())
        assert status == 200
        return answer

    def file(self, file: str, **source: str) -> dict[str, Any]:
        (entry,) = [entry for entry in self.ask(**source)["files"] if entry["name"] == file]
        return entry


@pytest.fixture(scope="module")
def lists(server: HostServer) -> Iterator[Lists]:
    lists = Lists(server)
    nets, checkpoints = lists.models / "controlnet" / "pairing", lists.models / "checkpoints" / "pairing"
    write_control(nets / "control_v11p_sd15_canny_fp16.safetensors", "sd15")
    write_control(nets / "control_v11f1p_sd15_depth.safetensors", "sd15")
    write_control(nets / "xl_canny.safetensors", "sdxl")
    write_control(nets / "promax.safetensors", "sdxl", union=True)
    write_control(nets / "mine.safetensors", "sd15", {"zeroctl.provenance": '{"config": {"condition": "depth"}}'})
    (nets / "cut.safetensors").write_bytes((nets / "xl_canny.safetensors").read_bytes()[:5000])
    torch.save({"x": torch.zeros(3)}, nets / "older.pth", _use_new_zipfile_serialization=False)
    write_header_only(
        nets / "ip.safetensors", {"image_proj.proj.weight": (8, 8), "ip_adapter.1.to_k_ip.weight": (8, 8)}
    )
    write_header_only(nets / "diff_hed.safetensors", {**controlnet_shapes("sd15"), "difference": (1,)})
    write_checkpoint(checkpoints / "a15.safetensors", "sd15")
    write_checkpoint(checkpoints / "axl.safetensors", "sdxl")
    write_checkpoint(lists.models / "diffusion_models" / "pairing" / "unet21.safetensors", "sd21")
    yield lists


XL, SD15 = ({"folder": "checkpoints", "name": f"pairing/{name}.safetensors"} for name in ("axl", "a15"))


def test_the_family_is_that_of_the_header(lists: Lists) -> None:
    assert lists.ask(**XL)["model"] == "SDXL" and lists.ask(**SD15)["model"] == "SD 1.5"
    assert lists.ask("diffusion_models", "pairing/unet21.safetensors")["model"] == "SD 2.1"
    assert lists.ask("demo")["model"] == lists.file("zeroctl/edges")["family"]
    assert lists.file("zeroctl/edges", folder="demo")["fits"] is True
    assert lists.ask()["model"] == ""


def test_a_file_fits_by_its_header_and_the_annotator_by_its_name(lists: Lists) -> None:
    canny, xl = "pairing/control_v11p_sd15_canny_fp16.safetensors", "pairing/xl_canny.safetensors"
    entry = lists.file(canny, **SD15)
    assert entry == {
        "name": canny,
        "family": "SD 1.5",
        "kind": "",
        "fits": True,
        "fault": "",
        "reads": "canny",
        "annotators": {"canny": 0},
    }
    assert lists.file(canny, **XL)["fits"] is False and lists.file(xl, **XL)["fits"] is True
    assert lists.file(xl)["fits"] is None
    assert lists.file("pairing/mine.safetensors", **SD15)["annotators"] == {"depth": 0}
    union = lists.file("pairing/promax.safetensors", **XL)
    assert union["reads"] == "8 types" and {"canny", "depth", "pose", "tile"} <= union["annotators"].keys()
    assert "shuffle" not in union["annotators"] and union["annotators"]["canny"] > 0


def test_files_that_cannot_be_loaded_are_listed_with_the_reason(lists: Lists) -> None:
    assert "cut off" in lists.file("pairing/cut.safetensors")["fault"]
    assert lists.file("pairing/ip.safetensors")["fault"] == "an IP-Adapter"
    difference = lists.file("pairing/diff_hed.safetensors", **SD15)
    assert (difference["kind"], difference["fits"], difference["reads"]) == ("difference file", True, "hed")
    older = lists.file("pairing/older.pth", **SD15)
    assert (older["fault"], older["family"], older["fits"]) == ("", "", None)
    info = lists_of_the_node(lists)
    assert [entry["name"] for entry in lists.ask()["files"]] == info


def lists_of_the_node(lists: Lists) -> list[str]:
    connection = http.client.HTTPConnection(lists.address, timeout=120)
    connection.request("GET", "/object_info/ZeroctlControlNet")
    entry = json.loads(connection.getresponse().read())["ZeroctlControlNet"]["input"]["required"]["control_net_name"]
    return entry[1]["options"]


def test_a_file_that_changes_is_read_again(lists: Lists) -> None:
    path = lists.models / "controlnet" / "pairing" / "changing_tile.safetensors"
    write_control(path, "sd15")
    assert lists.file("pairing/changing_tile.safetensors")["family"] == "SD 1.5"
    write_control(path, "sdxl")
    assert lists.file("pairing/changing_tile.safetensors")["family"] == "SDXL"
    path.unlink()
    assert "changing_tile" not in str(lists.ask())


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "http://example.com"}, {"Content-Type": "text/plain"}, {"Content-Type": "multipart/form-data"}],
)
def test_a_foreign_page_is_refused(lists: Lists, headers: dict[str, str]) -> None:
    assert lists.send(b'{"folder": "", "name": ""}', **headers)[0] in (403, 415)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"name": 5}', b'{"folder": ["checkpoints"]}', b"[" * 60_000, b"\xff"])
def test_what_is_not_a_source_is_refused(lists: Lists, body: bytes) -> None:
    assert lists.send(body)[0] == 400
    assert lists.send(b" " * 70_000)[0] == 413


@pytest.mark.parametrize("folder", ["checkpoints", "controlnet", "vae", "..", "/", "demo/.."])
def test_only_names_of_the_hosts_lists_are_looked_up(lists: Lists, folder: str, tmp_path: Path) -> None:
    outside = write_checkpoint(tmp_path / "outside.safetensors", "sd15")
    inside = lists.models / "checkpoints" / "pairing" / "a15.safetensors"
    up = os.path.relpath(outside, lists.models / "checkpoints")
    for name in (str(outside), str(inside), up, "../checkpoints/pairing/a15.safetensors", "pairing", "\0", "x" * 9000):
        assert lists.ask(folder, name)["model"] == "", name


def test_a_link_that_the_host_lists_gives_a_family_and_nothing_else(lists: Lists, tmp_path: Path) -> None:
    folder = lists.models / "controlnet" / "pairing"
    secret = tmp_path / "secret.txt"
    secret.write_text("PASSWORD=hunter2\n" * 100)
    links = {
        "link_tile": write_control(tmp_path / "elsewhere.safetensors", "sd15"),  # where people keep their models
        "link_secret": secret,
        "link_device": Path("/dev/zero"),
        "link_gone": tmp_path / "gone",
    }
    try:
        for name, target in links.items():
            (folder / f"{name}.safetensors").symlink_to(target)
        answer = lists.ask()
        assert lists.file("pairing/link_tile.safetensors")["family"] == "SD 1.5"
        for name in links.keys() - {"link_tile"}:
            entries = [entry for entry in answer["files"] if name in entry["name"]]
            assert all(entry["fault"] and not entry["family"] for entry in entries), name
        assert "hunter2" not in str(answer) and "PASSWORD" not in str(answer) and str(tmp_path) not in str(answer)
    finally:
        for name in links:
            (folder / f"{name}.safetensors").unlink()


def test_200_requests_at_once_are_answered_or_sent_away(lists: Lists) -> None:
    with ThreadPoolExecutor(200) as threads:
        statuses = list(threads.map(lambda _: lists.send(json.dumps(SD15).encode())[0], range(200)))
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 16
    assert lists.ask(**SD15)["model"] == "SD 1.5"


def test_500_files_are_looked_at_in_seconds_and_once(lists: Lists) -> None:
    folder = lists.models / "controlnet" / "many"
    paths = [write_control(folder / f"{number}_canny.safetensors", "sd15") for number in range(500)]
    try:
        times = []
        for _ in range(2):
            begin = time.perf_counter()
            files = lists.ask(**SD15)["files"]
            times.append(time.perf_counter() - begin)
        assert sum(entry["fits"] is True for entry in files) >= 500
        busy = max(1.0, os.getloadavg()[0])
        print(f"500 files: {times[0]:.2f} s, then {times[1]:.3f} s, load {busy:.1f}")
        assert times[0] < MOST_SECONDS * busy and times[1] < MOST_SECONDS / 10 * busy
    finally:
        for path in paths:
            path.unlink()
