"""What the benchmarks time inside a host is there under the names that they know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.injection.peers.host import OURS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("module", "owner", "function", "part"), OURS)
def test_injection_times_a_method_of_the_pack(host, module, owner, function, part):
    pack = host.pack_module(ROOT).__name__
    assert callable(getattr(getattr(sys.modules[f"{pack}.{module}"], owner), function))
