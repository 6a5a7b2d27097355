"""What ComfyUI's registry and its users on Windows need: addresses, pictures, a small archive, sources in cp1252."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # tomllib is newer than the oldest Python
SOURCES = [
    file
    for pattern in (
        "*.py",
        "nodes/**/*.py",
        "zeroctl_core/**/*.py",
        "tests/**/*.py",
        "benchmarks/**/*.py",
        "web/**/*.js",
    )
    for file in sorted(ROOT.glob(pattern))
]
MOST_BYTES = 24_500_000
"""Of the archive; weights are most of it."""

needs_git = pytest.mark.skipif(shutil.which("git") is None or not (ROOT / ".git").exists(), reason="a git checkout")


def value_of(key: str) -> str:
    (value,) = re.findall(rf'^{key} = "(.*)"$', PROJECT, re.MULTILINE)
    return value


def test_the_registry_gets_the_addresses_that_it_reads_all_of_one_repository():
    repository = value_of("Repository")
    assert repository.startswith("https://")
    for key in ("Documentation", "Issues"):
        assert value_of(key).startswith(repository), key
    owner = repository.removeprefix("https://github.com/")
    for key in ("Icon", "Banner"):
        assert value_of(key).startswith(f"https://raw.githubusercontent.com/{owner}/main/"), key


@pytest.mark.parametrize("key, ratio, most", [("Icon", 1, 400), ("Banner", 21 / 9, 1300)])
def test_a_picture_of_the_registry_is_there_in_its_shape_and_small(key, ratio, most):
    file = ROOT / value_of(key).partition("/main/")[2]
    with Image.open(file) as picture:
        width, height = picture.size
    assert width / height == ratio and width <= most
    assert file.stat().st_size < 30_000


def test_sources_can_be_written_in_the_code_page_of_windows():
    assert len(SOURCES) > 500
    faults = []
    for file in SOURCES:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            try:
                line.encode("cp1252")
            except UnicodeEncodeError as error:
                faults.append(f"{file.relative_to(ROOT)}:{number}: {ascii(line[error.start : error.end])}")
    assert faults == []


@needs_git
def test_the_archive_has_what_runs_and_no_tests_and_is_small():
    names = archived()
    tops = {name.split("/")[0] for name in names}
    assert {"__init__.py", "requirements.txt", "LICENSE", "nodes", "zeroctl_core", "web", "example_workflows"} <= tops
    assert not tops & {"tests", "benchmarks", ".ci", ".github"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(ROOT / name, name)
    assert len(file.getvalue()) < MOST_BYTES


def archived() -> set[str]:
    """The tracked files but for those of .comfyignore, which has the syntax of .gitignore."""

    def tracked(*options: str) -> set[str]:
        command = ["git", "ls-files", "-z", *options]
        return set(subprocess.check_output(command, cwd=ROOT, encoding="utf-8").split("\0")) - {""}

    return tracked() - tracked("--cached", "--ignored", "--exclude-from=.comfyignore")
