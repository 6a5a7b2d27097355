"""The host's real server as a process of its own, spoken to over HTTP as a browser or a script does."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from host_process import NodeFailed, PromptRefused, host_options, make_base

if TYPE_CHECKING:
    from PIL import Image

BOOT_SECONDS = 240.0  # 12 to 48 s on two busy cores; torch's import is most of it


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


class HostServer:
    """`main.py` of a checkout with one pack in `custom_nodes`; a context manager that stops it.

    `pack` is linked under its folder's name or `pack_name`. `models` is linked as the models folder, so that a file
    written for another host is not written twice. `python` is the host's, where that is not the one that runs this.
    """

    def __init__(
        self,
        checkout: Path,
        base: Path,
        pack: Path | None = None,
        pack_name: str = "",
        models: Path | None = None,
        python: Path | None = None,
    ) -> None:
        self.checkout, self.base = checkout, make_base(base)
        self.python = str(python or sys.executable)
        if models is not None:
            shutil.rmtree(base / "models")
            (base / "models").symlink_to(models, target_is_directory=True)
        if pack is not None:
            (base / "custom_nodes" / (pack_name or pack.name)).symlink_to(pack, target_is_directory=True)
        self.url = f"http://127.0.0.1:{_free_port()}"
        self.log_path = base / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> HostServer:
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self.python,
                    "main.py",
                    *host_options(),
                    "--port",
                    self.url.rpartition(":")[2],
                    "--base-directory",
                    str(self.base),
                    "--database-url",
                    "sqlite:///:memory:",
                    "--disable-api-nodes",
                ],
                cwd=self.checkout,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        try:
            self._wait_until_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _wait_until_up(self) -> None:
        end = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < end:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the server of {self.checkout} stopped while starting:\n{self.log()[-4000:]}")
            try:
                self.get("/system_stats")
                return
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        raise TimeoutError(f"the server of {self.checkout} is not up after {BOOT_SECONDS} s:\n{self.log()[-4000:]}")

    def log(self) -> str:
        """All that the server printed so far."""
        return self.log_path.read_text(errors="replace")

    def get_bytes(self, path: str) -> bytes:
        """GET a path that begins with a slash.

        Raises `urllib.error.HTTPError` for a response that is not 2xx.
        """
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return bytes(answer.read())

    def get(self, path: str) -> Any:
        """GET JSON."""
        return json.loads(self.get_bytes(path))

    def post(self, path: str, body: Any) -> Any:
        """POST JSON, get JSON."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def run(self, prompt: Mapping[str, Any], timeout: float = 300.0) -> dict[str, Any]:
        """POST a workflow in the API format, wait for it, return its `outputs` by node id.

        Raises `PromptRefused` with the server's response, `NodeFailed`, and `TimeoutError`.
        """
        try:
            prompt_id = self.post("/prompt", {"prompt": prompt})["prompt_id"]
        except urllib.error.HTTPError as e:
            if e.code != 400:
                raise
            answer = json.loads(e.read())
            raise PromptRefused(answer["error"], answer["node_errors"]) from None
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            history = self.get(f"/history/{prompt_id}").get(prompt_id)
            if history is not None:
                for event, data in history["status"]["messages"]:
                    if event in ("execution_error", "execution_interrupted"):
                        raise NodeFailed(data)
                return dict(history["outputs"])
            time.sleep(0.1)
        raise TimeoutError(f"the prompt is not done after {timeout} s:\n{self.log()[-4000:]}")

    def images(self, outputs: Mapping[str, Any], node_id: str) -> list[Image.Image]:
        """Fetch the pictures that an output node saved, through `GET /view`."""
        from PIL import Image  # the host has it; the core's tests load this file too and need not

        pictures = []
        for entry in outputs[node_id]["images"]:
            picture = Image.open(io.BytesIO(self.get_bytes("/view?" + urllib.parse.urlencode(entry))))
            picture.load()
            pictures.append(picture)
        return pictures
