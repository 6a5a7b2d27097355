"""What the refusal of a file names as its loader is followed: it loads that file."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from host_graphs import Graph, node
from host_models import filled
from host_process import Host, NodeFailed
from safetensors.torch import save_file
from torch import Tensor, nn

QWEN = {"num_layers": 2, "dim": 32}  # of a released file: 60 and 3072


def weights_of(make: Callable[[], nn.Module]) -> dict[str, Tensor]:
    return dict(filled(make()).state_dict())


def qwen_patch() -> dict[str, Tensor]:
    import comfy.ops
    import comfy_extras.nodes_model_patch as patches

    return weights_of(
        lambda: patches.QwenImageBlockWiseControlNet(**QWEN, operations=comfy.ops.disable_weight_init)  # type: ignore
    )


@dataclass(frozen=True)
class Case:
    """How the file is written, what its refusal says, and the node of that title with the name of its file's input."""

    weights: Callable[[], dict[str, Tensor]]
    remedy: str
    loader: str
    folder: str = "controlnet"


CASES = {
    "Qwen-Image DiffSynth": Case(
        qwen_patch,
        "Put it into models/model_patches, load it with ComfyUI's Load Model Patch (ModelPatchLoader)",
        "ModelPatchLoader",
        "model_patches",
    ),
}


@pytest.mark.parametrize("kind", CASES)
def test_the_loader_that_a_refusal_names_loads_the_file(host: Host, kind, monkeypatch) -> None:
    case = CASES[kind]
    titles = host.nodes.NODE_DISPLAY_NAME_MAPPINGS
    assert titles.get(case.loader, "Load Model Patch") in case.remedy  # older hosts give this node no title
    name = f"{kind.lower().replace(' ', '-')}.safetensors"
    for folder in {"controlnet", case.folder}:
        path: Path = host.base / "models" / folder / name
        path.parent.mkdir(exist_ok=True)
        save_file(case.weights(), path)
    with pytest.raises(NodeFailed, match=re.escape(case.remedy)):
        host.run({"net": node("ZeroctlLoadControlNet", control_net_name=name)}, keep={"net": ["net", 0]})
    # the host gives the files of its own nodes names of its own
    names = host.nodes.NODE_CLASS_MAPPINGS["ModelPatchLoader"].load_model_patch.__globals__
    small = functools.partial(names["QwenImageBlockWiseControlNet"], **QWEN)
    monkeypatch.setitem(names, "QwenImageBlockWiseControlNet", small)
    inputs = {"name": name} if case.loader == "ModelPatchLoader" else {"control_net_name": name}
    graph: Graph = {"load": node(case.loader, **inputs)}
    loaded = host.run(graph, keep={"it": ["load", 0]})["it"]
    assert hasattr(loaded, "model" if case.loader == "ModelPatchLoader" else "get_control")
