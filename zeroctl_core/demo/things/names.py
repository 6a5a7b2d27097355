"""The table of things: every noun with the code of its picture, and which of them no training sees."""

from __future__ import annotations

_TABLE = """
cat 1f408       dog 1f415        horse 1f40e      cow 1f404        pig 1f416        sheep 1f411
mouse 1f401     elephant 1f418   lion 1f981       bear 1f43b       panda 1f43c      fox 1f98a
frog 1f438      monkey 1f412     penguin 1f427    bird 1f426       duck 1f986       owl 1f989
flamingo 1f9a9  fish 1f41f       whale 1f433      octopus 1f419    crab 1f980       snail 1f40c
butterfly 1f98b bee 1f41d        ladybird 1f41e   turtle 1f422     giraffe 1f992    zebra 1f993
tree 1f333      cactus 1f335     tulip 1f337      sunflower 1f33b  mushroom 1f344   apple 1f34e
banana 1f34c    lemon 1f34b      strawberry 1f353 pineapple 1f34d  watermelon 1f349 peach 1f351
avocado 1f951   tomato 1f345     carrot 1f955     aubergine 1f346  bread 1f35e      cheese 1f9c0
burger 1f354    pizza 1f355      cake 1f370       doughnut 1f369   croissant 1f950  cup 2615
balloon 1f388   drum 1f941       guitar 1f3b8     trumpet 1f3ba    bell 1f514       clock 23f0
key 1f511       lock 1f512       hammer 1f528     magnet 1f9f2     candle 1f56f-fe0f camera 1f4f7
telephone 260e-fe0f book 1f4d5   umbrella 2602-fe0f hat 1f452      crown 1f451      shirt 1f455
chair 1fa91     bucket 1faa3     rocket 1f680     aeroplane 2708-fe0f helicopter 1f681 car 1f697
tractor 1f69c   train 1f682      ship 1f6a2       house 1f3e0      castle 1f3f0     sun 2600-fe0f
cloud 2601-fe0f snowman 26c4     heart 2764-fe0f  robot 1f916      ghost 1f47b      trophy 1f3c6
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
