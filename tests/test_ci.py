"""What runs before a change lands: .ci/run, pre-commit and the workflow of a public forge say the same."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RUN = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
PRE_COMMIT = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
STUB = """#!/usr/bin/env bash
# in the place of Python: makes the environment that is asked for, and fails as mypy
case "$*" in
    "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m mypy") exit 1 ;;
    *) echo "python $*" ;;
esac
"""
CORE_PARTS = ("ruff", "format", "mypy", "large files", "core tests", "lowest", "self-check", "demo", "sizes")


def run_ci(tmp_path, *arguments):
    stub = tmp_path / "python"
    stub.write_text(STUB, encoding="utf-8")
    stub.chmod(0o755)
    command = ["bash", os.fspath(ROOT / ".ci" / "run"), *arguments]
    return subprocess.run(command, env={**os.environ, "PYTHON": os.fspath(stub)}, capture_output=True, text=True)


needs_bash = pytest.mark.skipif(shutil.which("bash") is None or not (ROOT / ".git").exists(), reason="bash and git")


@needs_bash
def test_every_check_runs_after_one_that_failed_and_the_end_says_what_each_took(tmp_path):
    process = run_ci(tmp_path, "core")
    table = process.stdout.partition("=== what each part took\n")[2].splitlines()
    rows = {line[:14].rstrip(): line[14:] for line in table[:-1]}
    assert list(rows) == ["environment", "torch", "install", *CORE_PARTS]
    assert [name for name, row in rows.items() if row.endswith("FAILED")][0] == "mypy"
    assert process.returncode == 1 and table[-1].startswith("=== FAILED after") and "mypy" in table[-1]


@needs_bash
def test_all_is_the_core_and_the_tests_in_hosts_and_browsers(tmp_path):
    out = run_ci(tmp_path).stdout
    assert "python tests/host/run.py" in out and "python tests/web/run.py" in out
    assert "tests/host/run.py" not in run_ci(tmp_path, "core").stdout


@needs_bash
def test_an_argument_that_is_not_known_is_refused(tmp_path):
    process = run_ci(tmp_path, "quick")
    assert process.returncode == 2 and process.stderr == "usage: bash .ci/run [core]\n"


def test_the_limit_of_a_file_and_its_exceptions_are_the_same_in_both():
    limit = re.search(r"limit_kb=(\d+)", RUN)
    exceptions = re.findall(r"case \"\$file\" in (\S+)\*\) continue", RUN)
    assert limit and f"--maxkb={limit[1]}" in PRE_COMMIT
    assert re.findall(r"exclude: \^(\S+)", PRE_COMMIT) == exceptions == ["zeroctl_core/demo/weights/"]


def test_the_version_of_ruff_is_the_same_in_both():
    pin = re.search(r'"ruff==([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pin and f"rev: v{pin[1]} " in PRE_COMMIT


def test_the_workflow_runs_the_core_part_with_the_torch_of_ci():
    workflow = (ROOT / ".github" / "workflows" / "core.yml").read_text(encoding="utf-8")
    torch = re.search(r"ZEROCTL_CI_TORCH:-(torch==[\d.]+)", RUN)
    assert torch and f"ZEROCTL_CI_TORCH: {torch[1]}+cpu" in workflow and "run: bash .ci/run core" in workflow


@needs_bash
def test_the_lowest_versions_that_are_declared_are_those_that_are_run():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = re.search(r'"torch>=([\d.]+)"', project)
    assert declared and f"ZEROCTL_CI_LOWEST_TORCH:-torch=={declared[1]}.0" in RUN
    command = next(line for line in RUN.splitlines() if "sed -n '/^dependencies" in line).strip()
    rest = RUN.partition(command)[2].splitlines()[1].strip().removesuffix(')"')
    script = command.removeprefix('versions="$(').removesuffix("\\") + rest
    names = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True).stdout.split()
    bounds = dict(re.findall(r'"([A-Za-z-]+)>=([\d.]+)"', project.partition("annotate = [")[0]))
    versions = dict(name.split("==") for name in names)
    assert versions == {name: bound for name, bound in bounds.items() if name not in ("torch", "setuptools")}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git")
def test_a_checkout_on_windows_keeps_its_line_ends():
    assert "* text=auto eol=lf" in (ROOT / ".gitattributes").read_text(encoding="utf-8")
    attributes = subprocess.run(
        ["git", "check-attr", "eol", ".ci/run", "zeroctl_core/version.py"], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert attributes.count("eol: lf") == 2
