"""The pack as people install it: the registry's archive of tracked files, under a name that Python could not import."""

from __future__ import annotations

import io
import json
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_process import Host
from host_server import HostServer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "zeroctl-0.1.0"
SNAPSHOT = Path(__file__).with_name("object_info.json")


@pytest.fixture(scope="module")
def installed(bare_host: Host, scratch: Path) -> Iterator[HostServer]:
    """A server whose custom_nodes holds HEAD without the files of .comfyignore, and no link to this checkout."""
    archive = subprocess.run(["git", "archive", "--format=zip", "HEAD"], cwd=ROOT, capture_output=True)
    if archive.returncode:
        pytest.skip(f"the archive is made by git, which says: {archive.stderr.decode(errors='replace').strip()}")
    server = HostServer(bare_host.checkout, Path(tempfile.mkdtemp(prefix="archive-", dir=scratch)))
    command = ["git", "ls-files", "-z", "--cached", "--ignored", "--exclude-from=.comfyignore"]
    ignored = set(subprocess.check_output(command, cwd=ROOT, encoding="utf-8").split("\0"))
    with zipfile.ZipFile(io.BytesIO(archive.stdout)) as files:
        names = [name for name in files.namelist() if name not in ignored]
        files.extractall(server.base / "custom_nodes" / FOLDER, names)
    with server:
        yield server


def test_all_nodes_load(installed: HostServer) -> None:
    ours = sorted(node_id for node_id in installed.get("/object_info") if node_id.startswith("Zeroctl"))
    assert ours == list(json.loads(SNAPSHOT.read_text()))
    assert "IMPORT FAILED" not in installed.log() and "Traceback" not in installed.log()


def test_every_script_is_served_once(installed: HostServer) -> None:
    scripts = sorted((ROOT / "web" / "js").glob("*.js"))
    names = {script.name for script in scripts}
    served = [path for path in installed.get("/extensions") if "zeroctl" in path or path.rsplit("/", 1)[1] in names]
    assert sorted(served) == [f"/extensions/{FOLDER}/js/{script.name}" for script in scripts]
    for path, script in zip(sorted(served), scripts, strict=True):
        assert installed.get_bytes(path) == script.read_bytes()


def test_help_pages_and_examples_are_in_it(installed: HostServer) -> None:
    for node_id in json.loads(SNAPSHOT.read_text()):
        assert installed.get_bytes(f"/extensions/{FOLDER}/docs/{node_id}.md").startswith(b"# ")
    assert installed.get("/workflow_templates")[FOLDER]
