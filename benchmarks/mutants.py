"""Damaged files of weights: does a loader crash, run code, take too long or too much, or raise anything of its own?

    python -m benchmarks.mutants [--n 10000] [--seed 0] [--out benchmarks/results/mutants.json]

Mutant i of a seed is always the same: one of the embedded controls, written as safetensors, as a zip .pth or as an old
.pt, and damaged once to three times: bits flipped, bytes overwritten, parts cut out, doubled, zeroed or moved, numbers
of the header changed; two in three damages are in what is not weights. One in fifty holds a pickle that would run code.
Each is loaded by `load_controlnet`, as the nodes do; every third that is accepted is run. A process of one thread
loads many; the one that watches it counts what ends it (a crash) and what it must end (a hang).

Targets: no crash, no hang, no exception but CheckpointError, no code (an audit hook that sees processes, sockets and
folders), no load above 10 s, no peak of memory above 3 times the file + 96 MB; 10,000 in under 10 minutes.
"""

from __future__ import annotations

import collections
import json
import os
import random
import re
import selectors
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, ROOT, conditions, print_table, write
from benchmarks.options import read_options

SECONDS, MEMORY_FACTOR, MEMORY_MB = 10.0, 3, 96
KINDS = ("safetensors", "zip", "old")
CODE = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "os.mkdir")
CONTROL = ROOT / "zeroctl_core" / "demo" / "weights" / "controls" / "edges.safetensors"
WORKER = "import sys; from benchmarks.mutants import load_many; load_many(*sys.argv[1:])"


@dataclass(frozen=True, kw_only=True)
class Options:
    n: int = 10_000
    """Mutants."""

    seed: int = 0
    """Of all of them."""

    out: Path = RESULTS / "mutants.json"
    """The record."""


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("evil",)


# ---- what is damaged


def originals(folder: Path) -> None:
    """One whole file of each kind, and pickles that would run code."""
    import safetensors.torch
    import torch

    weights = safetensors.torch.load_file(CONTROL)
    safetensors.torch.save_file(weights, folder / "safetensors", {"format": "pt", "zeroctl.base": "tiny"})
    for name, content in (("", {"state_dict": weights}), ("-evil", {"state_dict": weights, "epoch": Evil()})):
        torch.save(content, folder / f"zip{name}")
        torch.save(content, folder / f"old{name}", _use_new_zipfile_serialization=False)


def frame_of(content: bytes, kind: str) -> list[tuple[int, int]]:
    """The parts of a file that are not weights."""
    if kind == "safetensors":
        return [(0, 8 + int.from_bytes(content[:8], "little"))]
    if kind == "zip":
        start = content.rindex(b"PK\x01\x02", 0, content.index(b"PK\x01\x02") + 4)
        pickled = content.index(b"data.pkl")
        return [(0, content.index(b"PK\x03\x04", pickled)), (start, len(content))]
    return [(0, 40_000), (0, 300)]


def mutant(content: bytes, kind: str, draw: random.Random) -> bytes:
    """One file, damaged."""
    damaged = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 3))):
        start, stop = draw.choice(frame_of(content, kind)) if draw.random() < 2 / 3 else (0, len(damaged))
        start, stop = min(start, len(damaged) - 1), min(stop, len(damaged))
        place = draw.randrange(start, max(stop, start + 1))
        length = min(draw.choice((1, 2, 8, 100, 5000)), len(damaged) - place)
        match draw.randrange(10):
            case 0 | 1 | 2:
                damaged[place] ^= 1 << draw.randrange(8)
            case 3:
                damaged[place] = draw.choice((0, 0xFF, 0x7F, 0x80, ord("{"), ord("9")))
            case 4:
                damaged[place : place + length] = draw.randbytes(length)
            case 5:
                damaged[place : place + length] = bytes(length)
            case 6:
                del damaged[place : place + length]
            case 7:
                damaged[place:place] = damaged[place : place + length]
            case 8:
                del damaged[max(place, 1) :]
            case _:
                numbers = list(re.finditer(rb"\d+", bytes(damaged[start : min(stop, start + 40_000)])))
                if numbers:
                    number = draw.choice(numbers)
                    value = draw.choice((b"0", b"-1", b"1e9", b"4294967296", b"9" * 25, b"7"))
                    damaged[start + number.start() : start + number.end()] = value
        if not damaged:
            damaged = bytearray(b"\0")
    return bytes(damaged)


# ---- in the process that loads


def load_many(folder: str, seed: str, first: str, stop: str) -> None:
    """Load mutants first..stop-1; a line of JSON for each, before it (its number) and after it."""
    import torch

    from zeroctl_core import load_controlnet
    from zeroctl_core.files.weight_file import CheckpointError

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    files = {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file() and "." not in path.name}
    path, events = Path(folder) / f"mutant.{os.getpid()}", []
    load_controlnet(CONTROL, mapped=False)  # imports are not counted
    sys.addaudithook(lambda event, arguments: events.append(event) if event in CODE else None)
    for number in range(int(first), int(stop)):
        draw = random.Random(int(seed) * 1_000_003 + number)
        kind = KINDS[number % 3]
        name = f"{kind}-evil" if kind != "safetensors" and number % 50 < 3 else kind
        content = mutant(files[name], kind, draw) if name == kind or draw.random() < 0.5 else files[name]
        path.write_bytes(content)
        print(json.dumps({"number": number}), flush=True)
        line: dict[str, Any] = {"number": number, "kind": kind, "size": len(content)}
        reset_peak()
        events.clear()
        before, began = memory_mb("VmRSS"), time.perf_counter()
        try:
            net = load_controlnet(path, mapped=False)
            line["result"] = "accepted"
        except CheckpointError as error:
            net, line["result"], line["message"] = None, "refused", len(str(error))
        except BaseException as error:
            net, line["result"] = None, "foreign"
            line["error"] = f"{type(error).__name__}: {error}"[:200]
        line["seconds"] = round(time.perf_counter() - began, 3)
        line["mb"] = round(memory_mb("VmHWM") - before, 1)
        if net is not None and number % 3 == number // 3 % 3:
            try:
                run(net)
                line["ran"] = True
            except Exception as error:
                line["result"], line["error"] = "accepted, fails", f"{type(error).__name__}: {error}"[:200]
        if events:
            line["code"] = events[0]
        print(json.dumps(line), flush=True)
        del net
    path.unlink()


def run(net: Any) -> None:
    """One step on random numbers."""
    import torch

    with torch.no_grad():
        net = net.float()
        feature = net.encode(torch.rand(1, 3, 64, 64))
        net(torch.randn(1, 4, 8, 8), torch.full((1,), 500.0), torch.randn(1, 5, 64), feature=feature)


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory_mb(field: str) -> float:
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{field}:")[2].split()[0]) / 1024


# ---- in the process that watches


def watch(folder: Path, seed: int, n: int) -> list[dict[str, Any]]:
    """The lines of all mutants; a mutant that ended its process, or had to be ended with it, is one of them."""
    lines: list[dict[str, Any]] = []
    first = 0
    while first < n:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(folder), str(seed), str(first), str(n)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        assert process.stdout is not None
        number, is_hang = None, False
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not selector.select(timeout=6 * SECONDS):
                    process.kill()
                    is_hang = True
                    break
                text = process.stdout.readline()
                if not text:
                    break
                line = json.loads(text)
                number = line["number"]
                if "result" in line:
                    lines.append(line)
                    first = number + 1
                    if first % 1000 == 0:
                        print(f"{first} of {n}", flush=True)
        status = process.wait()
        if first < n:
            if number is None or number < first:
                raise SystemExit(f"the process that loads ended with status {status} before mutant {first}")
            lines.append({"number": number, "kind": KINDS[number % 3], "result": "hang" if is_hang else "crash"})
            first = number + 1
    return lines


def summed_up(lines: list[dict[str, Any]]) -> dict[str, Any]:
    loads = [line for line in lines if "seconds" in line]
    over = [line["mb"] - MEMORY_FACTOR * line["size"] / 2**20 for line in loads]
    return {
        "results": {
            kind: dict(collections.Counter(line["result"] for line in lines if line["kind"] == kind)) for kind in KINDS
        },
        "errors": dict(collections.Counter(line["error"].partition(":")[0] for line in lines if "error" in line)),
        "examples": [{key: line[key] for key in ("number", "kind", "error")} for line in lines if "error" in line][:20],
        "ended": [line for line in lines if line["result"] in ("crash", "hang")],
        "code": [line["number"] for line in lines if "code" in line],
        "ran": sum("ran" in line for line in lines),
        "slowest_seconds": max(line["seconds"] for line in loads),
        "most_mb_beside_3_times_the_file": round(max(over), 1),
        "longest_message": max(line.get("message", 0) for line in lines),
    }


def held(results: dict[str, Any]) -> dict[str, bool]:
    return {
        "no crash, no hang": not results["ended"],
        "no foreign exception": not results["errors"],
        "no code": not results["code"],
        "no load above 10 s": results["slowest_seconds"] <= SECONDS,
        "no peak above 3 times the file + 96 MB": results["most_mb_beside_3_times_the_file"] <= MEMORY_MB,
    }


def main() -> int:
    options = read_options(Options, "mutants", __doc__)
    report = conditions()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zeroctl-mutants-") as name:
        originals(Path(name))
        lines = watch(Path(name), options.seed, options.n)
    results = summed_up(lines)
    targets = held(results)
    seconds = round(time.monotonic() - began)
    print_table(("target", "held"), [(target, "yes" if is_held else "NO") for target, is_held in targets.items()])
    print(json.dumps(results, indent=1))
    write(options.out, {**report, "n": options.n, "seed": options.seed, "seconds": seconds, **results, "held": targets})
    return 0 if all(targets.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
