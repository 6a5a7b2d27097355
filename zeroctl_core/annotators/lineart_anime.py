"""Anime line drawings: white on black."""

from __future__ import annotations

from torch import Tensor, nn

from .annotator import annotator
from .networks.lineart_anime import LineartAnimeNet
from .networks.run_net import run_net


@annotator(
    "lineart_anime",
    union_type=3,
    net_names=("lineartanime", "animelineart", "lineart", "mistoline"),
    networks={"": "lineart_anime"},
    title="Anime Lineart",
    aliases=("anime line art",),
    summary="White line drawing on black of an anime picture or a photograph, for the anime lineart ControlNet.",
    transparent="drawing",
)
def lineart_anime(image: Tensor, net: nn.Module) -> Tensor:
    """Lines as the released ControlNet takes them: the net's dark lines on white, inverted.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W], white on black, three equal channels

    Source: annotator/lineart_anime and gradio_lineart_anime.py of CN1.1. Released code stretches the picture to
    multiples of 256 and the drawing back; here it is padded, which keeps its proportions.
    """
    return (1 - run_net(net, image, LineartAnimeNet.multiple)).repeat(1, 3, 1, 1)
