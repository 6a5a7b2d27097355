"""The route of the previews at the host's real server: what a page may send, and what others may not."""

from __future__ import annotations

import http.client
import json
import socket
import time
import urllib.parse
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from host_graphs import node
from host_server import HostServer
from PIL import Image

MOST_MEMORY = 400 * 2**20
"""By how much the server's may grow over all that is sent here."""


class Response(NamedTuple):
    status: int
    kind: str
    body: bytes

    @property
    def sentence(self) -> str:
        """What is said in place of a picture."""
        assert (self.status, self.kind) == (200, "application/json")
        return json.loads(self.body)["message"]


class Client:
    """A caller of the route."""

    def __init__(self, server: HostServer) -> None:
        self.server = server
        self.address = urllib.parse.urlsplit(server.url).netloc

    def send(self, body: bytes, **headers: str) -> Response:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request("POST", "/zeroctl/preview", body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return Response(response.status, response.headers.get_content_type(), response.read())
        finally:
            connection.close()

    def ask(self, file: str = "a.png", annotator: str = "canny", **values: Any) -> Response:
        return self.send(
            json.dumps({"node_id": "1", "annotator": annotator, "settings": "{}", "file": file, **values}).encode()
        )

    def memory(self) -> int:
        process = self.server._process
        assert process is not None
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


@pytest.fixture(scope="module")
def client(server: HostServer) -> Iterator[Client]:
    Image.effect_noise((900, 600), 90).convert("RGB").save(server.base / "input" / "a.png")
    client = Client(server)
    assert client.ask().status == 200  # what is imported once
    before = client.memory()
    yield client
    assert client.memory() - before < MOST_MEMORY
    server.run(
        {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=0), "2": node("PreviewImage", images=["1", 0])}
    )


def test_a_page_gets_a_jpeg(client: Client) -> None:
    response = client.ask()
    assert (response.status, response.kind) == (200, "image/jpeg") and response.body.startswith(b"\xff\xd8")
    assert client.ask(settings='{"low": 1, "high": 2}').body != response.body
    assert client.ask().body == response.body


def test_the_same_page_may_name_its_origin(client: Client) -> None:
    body = json.dumps({"annotator": "none", "file": "a.png"}).encode()
    assert client.send(body, Origin=client.server.url).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://example.com"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_foreign_page_is_refused(client: Client, headers: dict[str, str]) -> None:
    body = json.dumps({"annotator": "none", "file": "a.png"}).encode()
    assert client.send(body, **headers).status in (403, 415)


@pytest.mark.parametrize("file", ["../a.png", "/etc/passwd", "..", "sub/../../x.png", "\0", "x" * 3000])
def test_a_path_is_not_a_picture(client: Client, file: str) -> None:
    response = client.ask(file)
    assert "Choose another" in response.sentence and len(response.body) < 500


def test_a_link_out_of_the_input_folder_is_not_followed(client: Client, tmp_path: Path) -> None:
    outside = tmp_path / "outside.png"
    Image.new("RGB", (64, 64)).save(outside)
    (client.server.base / "input" / "link.png").symlink_to(outside)
    assert "Choose another" in client.ask("link.png").sentence


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'{"file": 5}',
        b'{"settings": {}}',
        b"[" * 60_000,
        b"\xff\xfe",
        b'{"annotator": null}',
    ],
)
def test_what_is_not_a_wish_is_refused(client: Client, body: bytes) -> None:
    assert client.send(body).status == 400


def test_settings_are_checked_as_the_node_checks_them(client: Client) -> None:
    response = client.ask(settings='{"low": "x"}')
    assert "low is 'x'" in response.sentence
    assert "not a choice" in client.ask(annotator="no").sentence
    assert "Run the graph once" in client.ask(file="", node_id="999").sentence


def test_a_body_of_100_mb_is_not_read(client: Client) -> None:
    before = client.memory()
    host, port = client.address.split(":")
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        head = f"POST /zeroctl/preview HTTP/1.1\r\nHost: {client.address}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {100 * 2**20}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")
    # without a length, in chunks
    with socket.create_connection((host, int(port)), timeout=120) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        answer = b""
        try:
            for _ in range(100):
                connection.sendall(b"100000\r\n" + b" " * 2**20 + b"\r\n")
        except OSError:
            pass  # the server has closed it
        connection.settimeout(20)
        try:
            answer = connection.recv(4096)
        except OSError:
            pass
        assert not answer or answer.startswith(b"HTTP/1.1 413")
    assert client.memory() - before < 64 * 2**20


def test_a_picture_of_400_million_pixels_is_refused(client: Client) -> None:
    Image.new("1", (20_000, 20_000)).save(client.server.base / "input" / "huge.png")
    before = client.memory()
    response = client.ask("huge.png")
    assert "too large for a preview" in response.sentence
    assert client.memory() - before < 64 * 2**20


def test_200_requests_at_once_are_answered_or_sent_away(client: Client) -> None:
    with ThreadPoolExecutor(200) as threads:
        statuses = list(threads.map(lambda number: client.ask(settings=json.dumps({"low": number})).status, range(200)))
    assert set(statuses) <= {200, 503} and statuses.count(200) >= 1
    assert client.ask().status == 200


def test_a_client_that_goes_away_leaves_nothing_behind(client: Client) -> None:
    host, port = client.address.split(":")
    body = json.dumps({"annotator": "canny", "file": "a.png", "settings": "{}", "node_id": ""}).encode()
    head = f"POST /zeroctl/preview HTTP/1.1\r\nHost: {client.address}\r\nContent-Type: application/json\r\n"
    for sent in (body[:10], body):
        for _ in range(20):
            with socket.create_connection((host, int(port)), timeout=120) as connection:
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + sent)
    end = time.monotonic() + 60
    while client.ask().status != 200:  # while those that are gone still have their turn
        assert time.monotonic() < end
    assert "Traceback" not in client.server.log()
