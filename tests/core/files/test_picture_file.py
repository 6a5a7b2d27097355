"""A file that is not a picture is told for what it is."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from zeroctl_core.files.picture_file import read_picture_file


def archive() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("mine.png", b"")
    return content.getvalue()


FILES: dict[str, tuple[str, bytes, str]] = {
    "LFS pointer": (
        "mine.png",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "is a Git LFS pointer, not a picture; download the file itself",
    ),
    "page": ("mine.jpg", b"\r\n<!DOCTYPE html><html>404</html>", "is a web page, not a picture; download the file"),
    "page after a byte order mark": ("mine.jpg", b"\xef\xbb\xbf<html>", "is a web page, not a picture"),
    "JSON": ("mine.png", b'{"message": "Not Found"}', "is a JSON text, not a picture; download the file itself"),
    "empty": ("mine.png", b"", "is empty (0 bytes); download it again, or save it again"),
    "zip": ("mine.png", archive(), "is a zip archive; unpack it and give a picture that is in it"),
    "zeros": ("mine.png", bytes(5000), "begins with zeros: its download is not complete"),
    "SVG": ("mine.svg", b'<?xml version="1.0"?><!-- drawn --><svg/>' + b" " * 99, "is an SVG, a drawing of curves"),
    "SVG by another name": ("mine.png", b'<svg xmlns="http://www.w3.org/2000/svg"/>', "is an SVG, a drawing of curves"),
    "text": ("mine.png", b"no picture", "is not a picture that Pillow can read; give a PNG or a JPEG"),
}


@pytest.mark.parametrize(("name", "content", "message"), FILES.values(), ids=FILES.keys())
def test_what_is_not_a_picture_is_told_for_what_it_is(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_picture_file(path)
    assert str(caught.value).startswith(f"{path} {message}")


def test_a_picture_by_another_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.zip"
    Image.new("RGB", (3, 2), "red").save(path, format="PNG")
    picture, frames = read_picture_file(path)
    assert picture.size == (3, 2) and picture.getpixel((0, 0)) == (255, 0, 0) and frames == 1
