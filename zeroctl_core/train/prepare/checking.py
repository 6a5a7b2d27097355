"""What is wrong with the content of samples, found in one pass before anything is encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ...annotators import ANNOTATORS
from ...canvas.placing import crop_box
from ...files.key_faults import named, short
from ..data import LeftOut
from . import fault as kinds
from .fault import Fault
from .keys import key_of
from .look import Look, look_at
from .looks import LOOKS, kept_looks
from .preparing import Drawing, Report
from .sample import Picture, Sample

BENT = 0.02
"""Proportions that differ by more do so not by rounding to whole pixels alone."""
LIGHT = 0.5
"""White lines on black are darker in the mean."""

Losses = Callable[[str], LeftOut]
"""What a tokenizer leaves out of a prompt."""


@dataclass(frozen=True)
class Pair:
    """A sample of which both pictures can be read, at a glance: the condition as it is trained on, at its own size."""

    sample: Sample
    picture: Look
    condition: Look


def check_samples(
    samples: Sequence[Sample],
    drawing: Drawing,
    losses: Losses | None = None,
    report: Report = lambda n, all_samples: None,
    *,
    folder: Path | None = None,
    file: str = LOOKS,
) -> tuple[list[Sample], list[Fault]]:
    """The samples that can be used, and what is wrong with all of them.

    Conditions are looked at as they are trained on, cut or drawn. Of pictures that are the same, the first by order can
    be used: of two, one may be held out for scores and the other trained on. `losses` says what of a caption the base
    does not see; None: that is not known. Pairs that `folder` knows from the last time, or from a share, are not read
    again; `file` is where it keeps what was seen.

    Raises `ImportError` where the annotator lacks a package, `OSError` where the disk is full.
    """
    pairs: list[Pair] = []
    faults: list[Fault] = []
    first: dict[str, str] = {}
    with kept_looks(folder, file) as (before, looks):
        for number, sample in enumerate(samples):
            key = _key(sample, drawing)
            pair, more = (Pair(sample, *before[key]), []) if key in before else _pair(sample, drawing)
            if pair is not None:
                looks[key] = pair.picture, pair.condition
                pairs.append(pair)
                more = [*more, *_of_pair(pair, drawing), *_doubled(pair, first)]
            faults += [*more, *_of_caption(sample, losses)]
            report(number + 1, len(samples))
    faults += _of_another_kind(pairs)
    unusable = {fault.name for fault in faults if fault.is_unusable}
    return [sample for sample in samples if sample.name not in unusable], faults


def _key(sample: Sample, drawing: Drawing) -> str:
    """Of all that shapes a pair; empty where a file cannot be read."""
    try:
        return key_of("look", drawing.picture_key(sample), drawing.condition_key(sample))
    except OSError:
        return ""


def _pair(sample: Sample, drawing: Drawing) -> tuple[Pair | None, list[Fault]]:
    """Both pictures at a glance, or what stands against it."""
    picture = _read(sample.picture, kinds.UNREADABLE_PICTURE, sample.name)
    own = None if sample.condition is None else _read(sample.condition, kinds.UNREADABLE_CONDITION, sample.name)
    faults = [one for one in (picture, own) if isinstance(one, Fault)]
    if isinstance(picture, Fault) or isinstance(own, Fault):
        return None, faults
    try:
        fitted = drawing.fitted(picture)
    except ValueError as error:
        return None, [Fault(kinds.TOO_NARROW, sample.name, short(str(error)))]
    if own is None:
        return Pair(sample, look_at(picture), look_at(drawing.drawn(fitted)[0])), []
    try:
        condition = look_at(drawing.placed(own)[0])
    except ValueError as error:
        return None, [Fault(kinds.PROPORTIONS, sample.name, short(str(error)))]
    return Pair(sample, look_at(picture), replace(condition, height=own.shape[1], width=own.shape[2])), []


def _read(picture: Picture, kind: str, name: str) -> Tensor | Fault:
    try:
        return picture.read()
    except (ValueError, OSError) as error:
        return Fault(kind, name, short(str(error), 200))


def _of_pair(pair: Pair, drawing: Drawing) -> Iterator[Fault]:
    name, picture, condition = pair.sample.name, pair.picture, pair.condition
    if _is_small(picture, drawing):
        yield Fault(kinds.SMALL_PICTURE, name, _size(picture))
    if pair.sample.condition is not None:
        if _is_bent(picture, condition):
            yield Fault(kinds.PROPORTIONS, name, f"{_size(condition)}, the picture {_size(picture)}")
        elif _is_small(condition, drawing):
            yield Fault(kinds.SMALL_CONDITION, name, _size(condition))
    is_drawing = condition.is_drawing
    if drawing.annotator:
        is_drawing = ANNOTATORS[drawing.annotator].transparent == "drawing"
    if condition.is_flat:
        yield Fault(kinds.ONE_COLOUR, name)
    elif is_drawing and condition.light > LIGHT:
        yield Fault(kinds.INVERTED, name, f"{condition.light:.0%} white")


def _doubled(pair: Pair, first: dict[str, str]) -> list[Fault]:
    """`first`: the names by their digests so far."""
    name = first.setdefault(pair.picture.digest, pair.sample.name)
    return [] if name == pair.sample.name else [Fault(kinds.DOUBLED, pair.sample.name, f"as {name}")]


def _of_another_kind(pairs: Sequence[Pair]) -> list[Fault]:
    """Conditions without colours among those with, and the other way round; those of one colour are neither."""
    by_kind: Mapping[bool, list[str]] = {True: [], False: []}
    for pair in pairs:
        if not pair.condition.is_flat:
            by_kind[pair.condition.is_grey].append(pair.sample.name)
    grey, coloured = by_kind[True], by_kind[False]
    if len(grey) == len(coloured):
        return []
    kind, few = (kinds.GREY, grey) if len(grey) < len(coloured) else (kinds.COLOURED, coloured)
    return [Fault(kind, name) for name in few]


def _of_caption(sample: Sample, losses: Losses | None) -> Iterator[Fault]:
    if not sample.caption:
        yield Fault(kinds.NO_CAPTION, sample.name)
        return
    if "\ufffd" in sample.caption:
        yield Fault(kinds.NOT_UTF8, sample.name)
    unknown, cut = losses(sample.caption) if losses is not None else LeftOut()
    if unknown:
        yield Fault(kinds.UNKNOWN_WORDS, sample.name, named(unknown))
    if cut:
        yield Fault(kinds.CUT, sample.name, f"before {short(cut[0])!r}")


def _is_small(look: Look, drawing: Drawing) -> bool:
    _, _, height, width = crop_box(look.height, look.width, *drawing.size)
    return height < drawing.size[0] or width < drawing.size[1]


def _is_bent(picture: Look, condition: Look) -> bool:
    """Whether the proportions differ by more than a pixel of the smaller one and more than `BENT`."""
    bent = abs(condition.width * picture.height / (condition.height * picture.width) - 1)
    return bent > max(BENT, 1 / min(condition.height, condition.width, picture.height, picture.width))


def _size(look: Look) -> str:
    return f"{look.width}x{look.height}"
