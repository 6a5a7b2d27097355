"""What is said of a scene in the paper's four prompt settings (arXiv 2302.05543, Fig. 8), all in words that the base
was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from zeroctl_core.demo.captions import caption
from zeroctl_core.demo.scene import Scene
from zeroctl_core.demo.source import Request
from zeroctl_core.demo.words import THING

SETTINGS = ("no prompt", "insufficient", "conflicting", "perfect")


def insufficient(one: Scene) -> str:
    """The caption with the nouns and the colours of the things left out."""
    things = tuple(replace(thing, name=THING, colour=None) for thing in one.things)
    return caption(replace(one, things=things))


@dataclass(frozen=True, kw_only=True)
class Worded(Request):
    """A request whose prompts are those of a setting. Conflicting ones are the caption of another scene."""

    setting: str

    def prompts(self, world: Sequence[Scene]) -> list[str]:
        if self.setting == "no prompt":
            return [""] * len(world)
        if self.setting == "insufficient":
            return [insufficient(one) for one in world]
        if self.setting == "conflicting":
            return [caption(_other(one, world)) for one in world]
        return [caption(one) for one in world]


def _other(one: Scene, world: Sequence[Scene]) -> Scene:
    """The next scene with other things and another ground; the next one where there is none such."""
    place = world.index(one)
    others = [*world[place + 1 :], *world[:place]] or [one]
    names = {thing.name for thing in one.things}
    for other in others:
        if other.ground != one.ground and names.isdisjoint(thing.name for thing in other.things):
            return other
    return others[0]
