"""The picture at the top of the README: the first example in Nodes 2.0, after a run.

`COMFYUI_PATH=... ZEROCTL_README_PICTURE=docs/graph.webp python tests/web/run.py -k readme_picture` makes it anew.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from examples import START

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 180
SCALE = 1.4
MARGIN = 40  # pixels; links leave a node to the right before they turn
RESULT = 13
# node: x, y, width, height in units of the graph. Closer than in the example, so that a narrow page shows letters of
# a readable size; the note, which is a long text, is left out
LAYOUT = {
    1: (0, 0, 250, 150),
    10: (0, 240, 250, 120),
    2: (0, 450, 250, 214),
    5: (300, 0, 340, 790),
    3: (690, 0, 290, 120),
    4: (690, 200, 290, 100),
    11: (690, 380, 290, 290),
    12: (1030, 0, 300, 60),
    14: (1030, 140, 300, 100),
    RESULT: (1030, 330, 300, 400),
}


def _laid_out(workflow: dict[str, Any]) -> dict[str, Any]:
    nodes = [node for node in workflow["nodes"] if node["id"] in LAYOUT]
    for node in nodes:
        x, y, width, height = LAYOUT[node["id"]]
        node.update(pos=[x, y], size=[width, height])
    links = [link for link in workflow["links"] if link[1] in LAYOUT and link[3] in LAYOUT]
    return {**workflow, "nodes": nodes, "links": links, "groups": []}


def test_a_run_of_the_readme_picture_shows_its_result_in_the_graph(frontend: Any) -> None:
    if frontend.renderer != "nodes2":
        pytest.skip("the picture is of Nodes 2.0")
    from PIL import Image

    page = frontend.page
    viewport = page.viewport_size
    page.set_viewport_size({"width": 2300, "height": 1500})
    try:
        frontend.open(_laid_out(json.loads((ROOT / "example_workflows" / f"{START}.json").read_text())))
        # away from the frontend's own bars, which lie over the graph
        page.evaluate(
            "scale => { app.canvas.ds.scale = scale; app.canvas.ds.offset = [120 / scale, 200 / scale];"
            " app.canvas.setDirty(true, true); }",
            SCALE,
        )
        page.evaluate("() => app.queuePrompt(0)")
        result = page.locator(f"[data-node-id='{RESULT}'] img")
        result.wait_for(timeout=1000 * RUN_SECONDS)
        page.wait_for_function("image => image.complete && image.naturalWidth === 512", arg=result.element_handle())
        page.wait_for_timeout(6000)  # until the frontend's message of the run is gone
        boxes = [page.locator(f"[data-node-id='{node}']").bounding_box() for node in LAYOUT]
        left, top = (min(box[side] for box in boxes) - MARGIN for side in ("x", "y"))
        right = max(box["x"] + box["width"] for box in boxes) + MARGIN
        bottom = max(box["y"] + box["height"] for box in boxes) + MARGIN
        shot = page.screenshot(clip={"x": left, "y": top, "width": right - left, "height": bottom - top})
    finally:
        page.set_viewport_size(viewport)
    picture = Image.open(io.BytesIO(shot)).convert("RGB")
    assert picture.width > picture.height > 1000
    if path := os.environ.get("ZEROCTL_README_PICTURE"):
        picture.save(ROOT / path, lossless=True, quality=100, method=6)
