"""What the executing graph says about a sampling run: which steps of the user's run it is.

ComfyUI names the node that it executes, and has its graph. A node that samples shows by inputs of known names what it
does: `steps`, `sampler_name`, `scheduler` and `start_at_step` as KSampler (Advanced) has them, and `sigmas` that come
out of SplitSigmas.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import comfy.samplers
from comfy_execution.progress import get_progress_state
from comfy_execution.utils import get_executing_context

__all__ = ["FIRST", "WHOLE", "Place", "place_of_run"]

Inputs = Mapping[str, Any]

FIRST = 0.99
"""Share of the model's highest noise level from which on a run is at the beginning."""
LATENTS = ("latent_image", "samples", "latent")
"""How nodes that sample call the input of what they begin with."""
NEAR = 3
"""Nodes up to a sampler that another node hands on: of a region, its prompt, and what names the sampler."""
LONGEST_WAY = 100
"""Nodes between two places of a graph; a longer way is not followed."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a sampling run lies in the user's run.

    by_graph: whether the graph says so. total: steps of the user's run, 0 where this is all of it. before: how many of
    them came earlier. part: whether something comes before or after it. continues: whether its latent comes from a run
    in which controls may have acted. whole: the noise levels of all parts, empty where they are not known.
    """

    by_graph: bool
    part: bool
    total: int = 0
    before: int = 0
    continues: bool = True
    whole: tuple[float, ...] = ()


WHOLE = Place(by_graph=True, part=False)


def place_of_run(model: Any, sigmas: Sequence[float]) -> Place:
    """The place of a run with these N + 1 noise levels of the host's MODEL."""
    highest, n = float(model.get_model_object("model_sampling").sigma_max), len(sigmas) - 1
    inner = n < 1 or sigmas[-1] > 0.0 or sigmas[0] < FIRST * highest
    graph = _Graph.executing()
    if graph is None:
        return Place(by_graph=False, part=inner)
    continues = graph.again or any(graph.controlled(graph.inputs.get(name)) for name in LATENTS)
    for whole in _scheduled(graph, model):
        before = _position(sigmas, whole)
        if before is None:
            continue
        part = n < len(whole) - 1 or (inner and graph.inputs.get("denoise", 1.0) != 1.0)
        return Place(by_graph=True, part=part, total=len(whole) - 1, before=before, continues=continues, whole=whole)
    stage = _stage(graph, n) or _split(graph)
    if stage is None or stage[0] + n > stage[1]:
        return Place(by_graph=False, part=inner, continues=continues)
    return Place(by_graph=True, part=inner, total=stage[1], before=stage[0], continues=continues)


def _scheduled(graph: _Graph, model: Any) -> Iterator[tuple[float, ...]]:
    """The noise levels of the whole run of a node with the inputs of a KSampler.

    A node that samples its steps one by one, in regions, may get sampler and scheduler from nodes before it.
    """
    steps, denoise = graph.number("steps"), graph.inputs.get("denoise", 1.0)
    if not (steps and isinstance(denoise, float | int)):
        return
    for sampler, scheduler in graph.samplers():
        if sampler in comfy.samplers.SAMPLER_NAMES and scheduler in comfy.samplers.SCHEDULER_NAMES:
            run = comfy.samplers.KSampler(
                model, steps=steps, device="cpu", sampler=sampler, scheduler=scheduler, denoise=denoise
            )
            yield tuple(run.sigmas.tolist())


def _position(sigmas: Sequence[float], whole: Sequence[float]) -> int | None:
    """Where the levels of a part begin among those of the whole; its last one may be 0, to end without noise."""
    n = len(sigmas) - 1
    for start in range(len(whole) - n if n else 0):
        if all(math.isclose(one, other, rel_tol=1e-5) for one, other in zip(sigmas[:n], whole[start:], strict=False)):
            return start
    return None


Stage = tuple[int, int]
"""Steps before this part, steps of the whole run."""


def _stage(graph: _Graph, n: int) -> Stage | None:
    """Of a node with the inputs of KSampler (Advanced) and a scheduler of its own."""
    steps, start, end = (graph.number(name) for name in ("steps", "start_at_step", "end_at_step"))
    if steps is None or start is None or end is None or min(steps, end) - start != n:
        return None  # a node that samples its steps one by one says where all of them lie, not which one this is
    return start, steps


def _split(graph: _Graph) -> Stage | None:
    """Of a node whose noise levels come from a scheduler with a number of steps, by way of SplitSigmas."""
    link, before = graph.inputs.get("sigmas"), 0
    for _ in range(LONGEST_WAY):
        node = graph.node(link)
        if node is None:
            return None
        inputs = node["inputs"]
        if node["class_type"] != "SplitSigmas":
            steps = None if "sigmas" in inputs else graph.number("steps", inputs)
            return None if steps is None else (before, steps)
        step = graph.number("step", inputs)
        if step is None:
            return None
        before += step if link is not None and link[1] == 1 else 0
        link = inputs.get("sigmas")
    return None


class _Graph:
    """The graph that the host executes, seen from the node that it executes now."""

    latest: ClassVar[tuple[weakref.ref[Any], str] | None] = None
    """The graph and the node of the last sampling run."""

    def __init__(self, graph: Any, inputs: Inputs, again: bool) -> None:
        self._graph = graph
        self.inputs = inputs
        self.again = again  # the node has sampled before in this prompt, as one does that samples step by step

    @classmethod
    def executing(cls) -> _Graph | None:
        """None where no graph is executed, such as in a script."""
        context, state = get_executing_context(), get_progress_state()
        graph = state.dynprompt
        if context is None or state.prompt_id != context.prompt_id or not graph.has_node(context.node_id):
            return None
        before, cls.latest = cls.latest, (weakref.ref(graph), context.node_id)
        again = before is not None and before[0]() is graph and before[1] == context.node_id
        return cls(graph, graph.get_node(context.node_id)["inputs"], again)

    def node(self, link: Any) -> Mapping[str, Any] | None:
        """The node that a link comes from; None for anything else."""
        is_link = isinstance(link, list) and len(link) == 2 and isinstance(link[0], str)
        return self._graph.get_node(link[0]) if is_link and self._graph.has_node(link[0]) else None

    def number(self, name: str, inputs: Inputs | None = None) -> int | None:
        """The whole number of an input; a link is followed to a node that holds nothing but one number."""
        value = (self.inputs if inputs is None else inputs).get(name)
        for _ in range(LONGEST_WAY):
            if isinstance(value, int) and not isinstance(value, bool):
                return value
            node = self.node(value)
            if node is None or len(node["inputs"]) != 1:
                return None
            (value,) = node["inputs"].values()
        return None

    def samplers(self) -> Iterator[tuple[Any, Any]]:
        """Names of sampler and scheduler, of this node or of those that hand it a sampler of their own, each once."""
        level, pairs = [self.inputs], set()
        for _ in range(NEAR):
            named = [inputs for inputs in level if "sampler_name" in inputs and "scheduler" in inputs]
            for inputs in named:
                pair = str(inputs["sampler_name"]), str(inputs["scheduler"])
                if pair not in pairs:
                    pairs.add(pair)
                    yield pair
            if self.inputs in named:  # it samples with its own
                return
            nodes = [self.node(link) for inputs in level for link in inputs.values()]
            level = [node["inputs"] for node in nodes if node is not None]

    def controlled(self, link: Any) -> bool:
        """Whether a node behind this link puts controls into a MODEL."""
        waiting, visited = [link], set()
        while waiting:
            link = waiting.pop()
            node = self.node(link)
            if node is None or link[0] in visited:
                continue
            if node["class_type"] == "ZeroctlApply":
                return True
            visited.add(link[0])
            waiting += node["inputs"].values()
        return False
