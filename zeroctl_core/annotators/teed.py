"""Soft edges by a tiny net: finer lines than HED's, and fast without a graphics card."""

from __future__ import annotations

from torch import Tensor, nn

from .annotator import annotator
from .networks.run_net import run_net
from .params import Choice, Param
from .pictures.grey_steps import safe_step, to_eight_bits

PARAMS = (
    Choice(
        "weights",
        ("teed", "mteed"),
        help="teed: trained on photographs (7_model.pth). mteed: trained further for the MistoLine ControlNet "
        "(MTEED.pth).",
    ),
    Param(
        "safe_steps",
        2,
        range=(0, 10),
        step=1,
        help="Steps of grey above black, so that faint greys give away nothing of the picture; 0 keeps all shades. "
        "Soft edge ControlNets were mostly trained on 2.",
        advanced=True,
    ),
)


@annotator(
    "teed",
    union_type=2,
    net_names=("teed", "softedge", "hed", "pidi", "pidinet", "mistoline"),
    params=PARAMS,
    networks={"teed": "teed", "mteed": "mteed"},
    title="Soft Edges (TEED)",
    aliases=("softedge",),
    summary="Fine soft white edges on black by the tiny TEED net, for soft edge, HED and MistoLine ControlNets.",
    node_id="ZeroctlTEED",
    transparent="drawing",
)
def teed(image: Tensor, net: nn.Module, weights: str, safe_steps: int) -> Tensor:
    """Edges as other packs draw them.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], white on black, three equal channels, 8 bits deep

    Source: TEEDPreprocessor of comfyui_controlnet_aux: RGB in 0..255 without a mean, the mean of all four maps.
    """
    edges = run_net(net, image)
    if safe_steps:
        edges = safe_step(edges, int(safe_steps))
    return to_eight_bits(edges).repeat(1, 3, 1, 1)
