"""Fixtures of the browser tests: a real server with our pack, and a page of its frontend in each renderer."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from canvas import Canvas
from control_loras import control_lora
from demo_weights import are_shipped, write_random
from header_only import write_checkpoint, write_control
from host_server import HostServer
from random_weights import save_controlnet_file, thin_checkpoint
from safetensors.torch import save_file
from web_graphs import HEADERS_OF_CHECKPOINTS, HEADERS_OF_NETS, SDXL_FILE

ROOT = Path(__file__).resolve().parents[2]
API_FORMS = ROOT / "tests" / "workflows"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# before it, Nodes 2.0 was an experiment that rendered no DOM widget
FIRST_WITH_NODES_2 = (0, 4)

# Only tests/web/run.py knows a host and its Python.
collect_ignore_glob = [] if os.environ.get("ZEROCTL_WEB_HOST") else ["test_*.py"]


class Frontend:
    """A page of the host's frontend, and the lines of its console."""

    def __init__(self, page: Any, pictures: Path, renderer: str) -> None:
        self.page, self.renderer = page, renderer
        self._pictures = pictures
        self.console: list[str] = []
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text} {message.location}"))
        page.on("pageerror", lambda error: self.console.append(f"uncaught: {error} {error.stack}"))

    def reload(self) -> None:
        """Open the page anew, and wait until it can be used."""
        self.page.goto(self.page.url)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        # not "networkidle": a frontend without internet never is
        self.page.wait_for_function(
            "() => window.LiteGraph?.registered_node_types?.ZeroctlApply && window.app?.extensionManager"
            " && window.app.graph && window.app.extensions.some(e => e.name === 'zeroctl.messages')",
            timeout=120_000,
        )
        self.page.wait_for_timeout(1500)  # the frontend opens its own first workflow late, over whatever is there

    def close_dialogs(self) -> None:
        """Close what the front end shows of its own over the canvas: dialogs of an error, toasts."""
        self.page.evaluate(
            """() => {
            document.querySelectorAll('.p-dialog-close-button, .p-toast-close-button, [data-testid=toast] button')
                .forEach(one => one.click());
            app.extensionManager.toast.removeAll?.();
        }"""
        )
        self.page.wait_for_function("() => !document.querySelector('.p-dialog')")

    def complaints(self) -> list[str]:
        """Warnings and errors that name us; a frontend of a host has some of its own."""
        return [
            line
            for line in self.console
            if line.startswith(("warning", "error", "uncaught")) and "zeroctl" in line.lower()
        ]

    def open(self, workflow: dict[str, Any]) -> None:
        """Load a workflow as dropping its file does, and show all of it."""
        self.page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
        self.page.wait_for_function("n => window.app.graph.nodes.length === n", arg=len(workflow["nodes"]))
        self.page.evaluate("() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.page.wait_for_timeout(700)  # the view moves there; only the picture needs it

    def picture(self, name: str) -> None:
        """Keep a screenshot for whoever looks."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._pictures / f"{self.renderer}-{name}.png")


def _version(server: HostServer) -> tuple[int, ...]:
    version = server.get("/system_stats")["system"]["comfyui_version"]
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _put_files(base: Path, host: Path) -> None:
    """A thin file under every name that the example workflows ask for, and the host's own example picture."""
    nodes = [node["inputs"] for path in API_FORMS.glob("*.json") for node in json.loads(path.read_text()).values()]
    for name in {inputs["ckpt_name"] for inputs in nodes if "ckpt_name" in inputs}:
        thin_checkpoint(base / "models" / "checkpoints" / name)
    names = {inputs["control_net_name"] for inputs in nodes if "control_net_name" in inputs}
    for seed, name in enumerate(sorted(name for name in names if not name.startswith("zeroctl/"))):
        path = base / "models" / "controlnet" / name
        if name.startswith("control_lora"):
            save_file(control_lora("thin", dtype=torch.float16), path)
        else:
            save_controlnet_file(path, "thin", seed)
    save_controlnet_file(base / "models" / "controlnet" / SDXL_FILE, "narrowxl", 0)
    for name, (preset, union) in HEADERS_OF_NETS.items():
        write_control(base / "models" / "controlnet" / name, preset, union=union)
    for name, preset in HEADERS_OF_CHECKPOINTS.items():
        write_checkpoint(base / "models" / "checkpoints" / name, preset)
    shutil.copy(host / "input" / "example.png", base / "input")


@pytest.fixture(scope="session")
def server() -> Iterator[HostServer]:
    host = Path(os.environ["ZEROCTL_WEB_HOST"])
    base = Path(tempfile.mkdtemp(prefix="zeroctl-web-server-"))
    if not are_shipped():
        os.environ["ZEROCTL_DEMO_WEIGHTS"] = str(write_random(base / "demo"))
    process = HostServer(host, base, ROOT, "zeroctl", python=Path(os.environ["ZEROCTL_WEB_PYTHON"]))
    _put_files(base, host)
    with process:
        yield process
    shutil.rmtree(base)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # launch() makes an empty profile and removes it
        chromium = playwright.chromium.launch(executable_path=os.environ["ZEROCTL_CHROMIUM"], args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session", params=["classic", "nodes2"])
def frontend(request: pytest.FixtureRequest, server: HostServer, browser: Any) -> Iterator[Frontend]:
    """The frontend, ready for use, in the classic canvas and in Nodes 2.0."""
    nodes2 = request.param == "nodes2"
    if nodes2 and _version(server) < FIRST_WITH_NODES_2:
        pytest.skip("the frontend of this host has no Nodes 2.0")
    page = browser.new_page(viewport={"width": 1900, "height": 1000})
    result = Frontend(page, Path(os.environ["ZEROCTL_SCREENSHOTS"]), request.param)
    page.request.post(
        server.url + "/api/settings", data={"Comfy.TutorialCompleted": True, "Comfy.VueNodes.Enabled": nodes2}
    )
    page.goto(server.url)
    result.wait_until_ready()
    yield result
    page.close()


@pytest.fixture()
def canvas(frontend: Any) -> Iterator[Canvas]:
    frontend.console.clear()  # what tests before left is theirs
    yield Canvas(frontend)
    frontend.close_dialogs()  # the page is that of the next test, too
    # what is said stands in the console, too
    ours = [line for line in frontend.complaints() if "[zeroctl]" not in line and "/prompt" not in line]
    frontend.console.clear()
    assert ours == []
