"""The picture at the top of the README: the example start_here in Nodes 2.0, after a run.

`COMFYUI_PATH=... ZEROCTL_README_PICTURE=docs/graph.webp python tests/web/run.py -k readme_picture` makes it anew.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 180
SCALE = 1.4
MARGIN = 40  # pixels; links leave a node to the right before they turn
RESULT = 13
# node: x, y, width, height in units of the graph. Closer than in the example, so that a narrow page shows letters of
# a readable size; the note, which is a long text, is left out
LAYOUT = {
    1: (0, 0, 280, 30),
    4: (0, 60, 280, 30),
    3: (0, 120, 280, 30),
    2: (0, 190, 280, 110),
    5: (0, 360, 280, 290),
    6: (0, 710, 280, 30),
    7: (0, 770, 280, 290),
    8: (330, 0, 300, 760),
    9: (680, 0, 360, 110),
    10: (680, 170, 360, 290),
    11: (680, 520, 160, 30),
    12: (860, 520, 160, 30),
    RESULT: (680, 590, 360, 470),
}
COLLAPSED = (1, 4, 3, 6, 11, 12)


def _laid_out(workflow: dict[str, Any]) -> dict[str, Any]:
    nodes = [node for node in workflow["nodes"] if node["id"] in LAYOUT]
    for node in nodes:
        x, y, width, height = LAYOUT[node["id"]]
        node.update(pos=[x, y], size=[width, height], flags={"collapsed": True} if node["id"] in COLLAPSED else {})
    links = [link for link in workflow["links"] if link[1] in LAYOUT and link[3] in LAYOUT]
    return {**workflow, "nodes": nodes, "links": links}


def test_a_run_of_the_readme_picture_shows_its_result_in_the_graph(frontend: Any) -> None:
    if frontend.renderer != "nodes2":
        pytest.skip("the picture is of Nodes 2.0")
    from PIL import Image

    page = frontend.page
    viewport = page.viewport_size
    page.set_viewport_size({"width": 2000, "height": 1900})
    try:
        frontend.open(_laid_out(json.loads((ROOT / "example_workflows" / "start_here.json").read_text())))
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
    assert min(picture.size) > 1000
    if path := os.environ.get("ZEROCTL_README_PICTURE"):
        picture.save(ROOT / path, lossless=True, quality=100, method=6)
