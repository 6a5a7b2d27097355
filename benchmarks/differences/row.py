"""One annotator beside one peer's: what is compared, and how it is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.differences.levels import Levels, Run
from benchmarks.differences.ours import ours
from benchmarks.differences.peers import NAMES


def share(planes: Sequence[np.ndarray[Any, Any]]) -> float:
    """Of all pixels, cut and not rounded, so that 1 means all."""
    return int(1e6 * sum(int(plane.sum()) for plane in planes) / sum(plane.size for plane in planes)) / 1e6


@dataclass(frozen=True, kw_only=True)
class Row:
    """One annotator with its settings beside one peer's, on some pictures."""

    title: str
    ours: Run
    peer: str
    file: str
    theirs: Run
    pictures: Mapping[str, Levels]
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: str = ""
    inverted: bool = False

    def measure(self, versions: Mapping[str, str]) -> dict[str, Any]:
        figures: dict[str, Any] = {
            "settings": dict(self.settings),
            "peer": f"{NAMES[self.peer]} {versions[self.peer]}, {self.file}",
            "pictures": list(self.pictures),
        }
        try:
            pairs = [(self.ours(picture), self.theirs(picture)) for picture in self.pictures.values()]
        except Exception as error:  # whatever a peer raises, the other rows are still of use
            return {**figures, "not_run": f"{type(error).__name__}: {error}"}
        apart = [np.abs(mine - their.astype(np.float64)).max(-1) for mine, their in pairs]
        same = [(mine.round() == their.round()).all(-1) for mine, their in pairs]
        figures["equal"] = share(same)
        figures["within_one_level"] = share([plane <= 1.01 for plane in apart])
        figures["largest_difference"] = round(float(max(plane.max() for plane in apart)), 2)
        figures["colors"] = len(np.unique(np.concatenate([mine.round().reshape(-1, 3) for mine, _ in pairs]), axis=0))
        if self.inverted:
            figures["equal_inverted"] = share([(mine.round() == 255 - their.round()).all(-1) for mine, their in pairs])
        everywhere = all(bool(plane.all()) for plane in same)
        figures["verdict"] = "equal" if everywhere else self.why or "UNEXPLAINED"
        if everywhere and figures["largest_difference"] >= 0.01:
            figures["verdict"] = "equal in 8 bits"
        return figures


def row(
    title: str,
    name: str,
    peer: str,
    *,
    file: str,
    theirs: Run,
    pictures: Mapping[str, Levels],
    why: str = "",
    **rest: Any,
) -> Row:
    net, inverted = rest.pop("net", None), rest.pop("inverted", False)
    settings = {**({} if net is None else {"net": f"{net}, random weights"}), **rest}
    return Row(
        title=title,
        ours=ours(name, net, **rest),
        peer=peer,
        file=file,
        theirs=theirs,
        pictures=pictures,
        settings=settings,
        why=why,
        inverted=inverted,
    )
