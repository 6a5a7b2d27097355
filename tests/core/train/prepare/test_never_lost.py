"""A preparation that is killed, damaged, shared among machines or out of room ends in the bytes of a quiet one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from prepare_killed import digests
from toy_base import DRAWING, HELD_OUT, ToyBase, toy_samples

from zeroctl_core.train.prepare.cache import INDEX
from zeroctl_core.train.prepare.preparing import prepare, prepare_share, share_of
from zeroctl_core.train.prepare.table import ROWS
from zeroctl_core.train.surprise import Surprise

ROOT = Path(__file__).resolve().parents[4]
SAMPLES = 3 * ROWS - 20  # three shards of each table


def prepare_in(folder, samples, base=None, **options):
    return prepare(samples, DRAWING, base or ToyBase(), folder, held_out=HELD_OUT, **options)


@pytest.fixture(scope="module")
def samples():
    return toy_samples(SAMPLES)


@pytest.fixture(scope="module")
def whole(samples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    prepare_in(folder, samples)
    return digests(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, which this system cannot")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_a_preparation_killed_at_random_moments_ends_in_the_same_bytes(tmp_path, kills):
    process = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("prepare_killed.py")), str(tmp_path), str(kills)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout)
    assert result["killed"] >= kills and all(result["equal"])
    assert result["left_half"] > 0, "no process died while it wrote a file"


def test_a_preparation_has_the_same_bytes_every_time(samples, whole, tmp_path):
    prepare_in(tmp_path, samples)
    assert digests(tmp_path) == whole


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "absent"])
@pytest.mark.parametrize("table", ["latents", "conditions", "prompts"])
def test_a_damaged_shard_alone_is_made_anew_and_said(samples, whole, tmp_path, table, damage):
    prepare_in(tmp_path, samples)
    victim = sorted(tmp_path.glob(f"{table}-*"))[1]
    data = victim.read_bytes()
    place = random.Random(3).randrange(len(data) // 2, len(data))
    damaged = {
        "cut": data[:place],
        "flipped": data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :],
        "empty": b"",
    }
    victim.unlink() if damage == "absent" else victim.write_bytes(damaged[damage])
    base = ToyBase()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        prepare_in(tmp_path, samples, base)
    assert digests(tmp_path) == whole
    assert [victim.name in str(warning.message) for warning in caught] == ([] if damage == "absent" else [True])
    n_made = {"latents": base.pictures, "conditions": 0, "prompts": base.prompts}
    assert base.pictures + base.prompts == n_made[table] <= ROWS


@pytest.mark.parametrize("damage", [b"", b"{}", b"[1]", b"\xff", None])
def test_a_damaged_index_is_written_anew_and_said(samples, whole, tmp_path, damage):
    prepare_in(tmp_path, samples)
    index = tmp_path / INDEX
    index.write_bytes(index.read_bytes().replace(b'"held_out": 5', b'"held_out": 6') if damage is None else damage)
    base = ToyBase()
    with pytest.warns(Surprise, match=f"{INDEX} is damaged .*written anew") as caught:
        prepare_in(tmp_path, samples, base)
    assert digests(tmp_path) == whole and (base.pictures, base.prompts, len(caught)) == (0, 0, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepare_in(tmp_path, samples)


@pytest.mark.parametrize("n_parts", [2, 3, 16])
def test_shares_of_several_machines_join_to_the_bytes_of_one(samples, whole, tmp_path, n_parts):
    joined = tmp_path / "joined"
    joined.mkdir()
    for number in range(1, n_parts + 1):
        share = tmp_path / f"{number}"
        prepare_share(share_of(samples, (number, n_parts)), DRAWING, ToyBase(), share)
        for path in share.iterdir():
            path.replace(joined / path.name)
    base = ToyBase()
    prepare_in(joined, samples, base)
    assert (base.pictures, base.prompts) == (0, 0)
    assert digests(joined) == whole


def test_shares_in_which_a_sample_cannot_be_used_join_too(samples, tmp_path):
    """What comes behind it moves from one shard to the next, without being encoded again."""
    usable = [sample for sample in samples if sample.name not in ("0003", "0070", "0150")]
    prepare_in(tmp_path / "whole", usable)
    for number in (1, 2):
        share = [sample for sample in share_of(samples, (number, 2)) if sample in usable]
        prepare_share(share, DRAWING, ToyBase(), tmp_path / "joined")
    lines = []
    base = ToyBase()
    prepare_in(tmp_path / "joined", usable, base, say=lines.append)
    assert (base.pictures, base.prompts) == (0, 0)
    assert digests(tmp_path / "joined") == digests(tmp_path / "whole")
    assert len(lines) == 1 and "of earlier sets" in lines[0]


def test_every_sample_is_of_one_share(samples):
    for n_parts in (1, 2, 16):
        shares = [share_of(samples, (number, n_parts)) for number in range(1, n_parts + 1)]
        assert sorted(sample.name for share in shares for sample in share) == [sample.name for sample in samples]


def test_the_set_before_stays_and_older_ones_are_removed_and_said(samples, whole, tmp_path):
    """A run that reads the folder, and whoever changes back, find every shard of before."""
    lines = []

    def prepared(rows):
        lines.clear()
        prepare_in(tmp_path, rows, say=lines.append)
        return digests(tmp_path)

    shards = {name: digest for name, digest in whole.items() if name != INDEX}
    assert prepared(samples) == whole and not lines
    assert shards.items() <= prepared(samples[:ROWS]).items() and not lines
    assert shards.items() <= prepared(samples[:ROWS]).items() and not lines  # the same set once more
    size = sum((tmp_path / name).stat().st_size for name in shards)
    assert not shards.keys() & prepared(samples[:10]).keys()
    assert lines == [f"9 files of earlier sets in {tmp_path} ({size / 1e6:.1f} MB) are removed"]
