"""Annotators beside those of comfyui_controlnet_aux, of the released ControlNets and of controlnet-aux: what differs.

ZEROCTL_AUX=<comfyui_controlnet_aux> ZEROCTL_CN11=<lllyasviel/ControlNet-v1-1-nightly>
ZEROCTL_CN10=<lllyasviel/ControlNet> python -m benchmarks.differences

Needs the extra "test", and einops, matplotlib and huggingface_hub, which the peers import; controlnet-aux from PyPI is
compared where it is installed, `pip install --no-deps` is enough. No file of weights is needed: networks get the random
weights of the tests, the same on both sides.

Of the released demos (gradio_*.py) the whole `process` runs up to its sampler, so that the map is what the ControlNet
is given. What the peers import besides, and a comparison of pictures does not need, is replaced by mocks.

One row a pair; `rows/` has them by topic. `equal` is the share of pixels whose three channels are equal in 8 bits,
`within_one_level` that of those at most one level apart; `largest_difference` is in levels, before ours is rounded.
`colors` is how many different pixels our maps hold: few prove little. `verdict` is "equal", or who is right, and which
file says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import torch

from benchmarks.differences.peers import NAMES, version_of
from benchmarks.differences.row import Row
from benchmarks.differences.rows import colors, edges, inpaint, networks, normals, palettes, poses
from benchmarks.machine import RESULTS, conditions, print_table, write
from benchmarks.options import read_options

GROUPS: dict[str, Callable[[], list[Row]]] = {
    "edges": edges.rows,
    "colors": colors.rows,
    "inpaint": inpaint.rows,
    "normals": normals.rows,
    "poses": poses.rows,
    "networks": networks.rows,
    "palettes": palettes.rows,
}


@dataclass(frozen=True)
class Options:
    only: Literal["edges", "colors", "inpaint", "normals", "poses", "networks", "palettes"] | None = None
    """one group of rows, printed and not written"""
    out: Path = RESULTS / "annotators.json"


def main() -> None:
    options = read_options(Options, "differences", __doc__)
    torch.set_num_threads(1)
    facts = conditions()
    facts["versions"]["opencv"] = cv2.__version__
    versions = {peer: version_of(peer) for peer in NAMES}
    facts["peers"] = {NAMES[peer]: version for peer, version in versions.items()}
    results = []
    for group, make in GROUPS.items():
        if options.only in (None, group):
            for row in make():
                results.append({"annotator": row.title, **row.measure(versions)})
                last = results[-1]
                print(row.title, row.peer, last.get("equal", "not run"), flush=True)
    table = [
        [
            result["annotator"],
            result["peer"].partition(", ")[0],
            *(str(result.get(key, "-")) for key in ("equal", "within_one_level", "largest_difference")),
            result.get("verdict") or f"not run: {result['not_run']}",
        ]
        for result in results
    ]
    print_table(("annotator", "peer", "equal", "within 1", "largest", "verdict"), table)
    if options.only is None:
        write(options.out, {"conditions": facts, "results": results})


if __name__ == "__main__":
    main()
