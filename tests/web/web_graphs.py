"""Graphs of the embedded model that browser tests open, in the API form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from examples import START

ROOT = Path(__file__).resolve().parents[2]
CONTROL, APPLY = "5", "15"
SDXL_FILE = "sdxl-narrow.safetensors"
HEADERS_OF_NETS = {
    "pairing/control_v11f1p_sd15_depth.safetensors": ("sd15", False),
    "pairing/control_v11p_sd15_canny.safetensors": ("sd15", False),
    "pairing/promax.safetensors": ("sdxl", True),
    "pairing/xl_canny.safetensors": ("sdxl", False),
}
"""Name of a file without weights -> its preset, and whether it is a union."""
HEADERS_OF_CHECKPOINTS = {"pairing/a15.safetensors": "sd15", "pairing/axl.safetensors": "sdxl"}


def graph() -> dict[str, Any]:
    """The first example in the API form, with an annotator, in two steps, and without a file at its end."""
    nodes = json.loads((ROOT / "tests" / "workflows" / f"{START}.json").read_text())
    del nodes["13"]
    nodes[CONTROL]["inputs"].update(image=["2", 0], annotator="canny")
    nodes["11"]["inputs"].update(steps=2)
    nodes["14"] = {"class_type": "PreviewImage", "inputs": {"images": ["12", 0]}}
    return nodes


def separate(**control: Any) -> dict[str, Any]:
    """Annotator, loader, control and Apply in place of the node ControlNet."""
    nodes = graph()
    inputs = nodes.pop(CONTROL)["inputs"]
    canny = {"image": inputs["image"], "low": 100, "high": 200, "blur_sigma": 0, "resolution": 512}
    values = {"strength": 1, "start": 0, "end": 1, "mode": "balanced", "resize": "crop", "enabled": True}
    values |= {"branches": "from mode", "mask_feather": 0, "mask_invert": False}
    nodes |= {
        "16": {"class_type": "ZeroctlCanny", "inputs": canny},
        "17": {"class_type": "ZeroctlLoadControlNet", "inputs": {"control_net_name": "zeroctl/edges"}},
        "18": {
            "class_type": "ZeroctlControl",
            "inputs": {"control_net": ["17", 0], "image": ["16", 0], **values, **control},
        },
        APPLY: {
            "class_type": "ZeroctlApply",
            "inputs": {"model": inputs["model"], "stack": ["18", 0], "if_never_applied": "warn"},
        },
    }
    nodes["11"]["inputs"]["model"] = [APPLY, 0]
    return nodes
