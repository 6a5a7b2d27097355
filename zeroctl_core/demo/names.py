"""The table of things: every noun with the code of its picture, and which of them no training sees."""

from __future__ import annotations

_TABLE = """
cat 1f408        dog 1f415        pig 1f416        elephant 1f418   lion 1f981
panda 1f43c      fox 1f98a        frog 1f438       penguin 1f427    duck 1f986
owl 1f989        fish 1f41f       whale 1f433      crab 1f980       butterfly 1f98b
bee 1f41d        turtle 1f422     tree 1f333       cactus 1f335     tulip 1f337
sunflower 1f33b  mushroom 1f344   apple 1f34e      strawberry 1f353 watermelon 1f349
carrot 1f955     burger 1f354     doughnut 1f369   balloon 1f388    bell 1f514
clock 23f0       crown 1f451      rocket 1f680     car 1f697        house 1f3e0
snowman 26c4     heart 2764-fe0f  robot 1f916      ghost 1f47b      cup 2615
"""

_NEVER_TRAINED = """
rabbit 1f407 tiger 1f405 swan 1f9a2 parrot 1f99c dolphin 1f42c rooster 1f413
pear 1f350 pretzel 1f968 teapot 1fad6 axe 1fa93 backpack 1f392 bus 1f68c
"""


def _read(table: str) -> dict[str, str]:
    cells = table.split()
    return dict(zip(cells[::2], cells[1::2], strict=True))


THINGS = _read(_TABLE)
"""Noun -> the code points of its picture, as the file is named. Chosen at a look for outlines that tell them apart."""

NEW_THINGS = _read(_NEVER_TRAINED)
"""Things that no network of the model is trained on (only the judge is): do controls follow what the base never saw?"""

PICTURES = {**THINGS, **NEW_THINGS}
