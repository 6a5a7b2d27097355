"""Every option of a preparation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...annotators import ANNOTATORS
from ...annotators.settings_text import parse_settings
from ...canvas.cells import PIXELS_PER_CELL
from ...files.key_faults import short
from ..ranges import check_at_least
from .preparing import Drawing

OUTPUT = Path("build/data")


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """Encode a folder of pictures with conditions and captions for training, once.

    Raises `ValueError` for a value out of its range, and for an annotator or a setting that does not exist.
    """

    pictures: Path
    """Folder of pictures, subfolders too. The caption of cat.png is in cat.txt beside it, if there is one."""

    output: Path = OUTPUT
    """Folder for what is encoded. A preparation that was stopped goes on, and after a change only what changed is
    encoded anew."""

    conditions: Path | None = None
    """Folder of condition images: that of cat.png has the name cat, with any suffix. `None`: an annotator draws
    them."""

    annotator: str = ""
    """What draws the conditions from the pictures: canny, scribble, softedge, depth and others (an unknown name lists
    all)."""

    settings: str = ""
    """Settings of the annotator: low=50, high=150."""

    model: str = ""
    """Folder of the transformers model that draws depth or segment, its path below the folder of the annotators' files.
    Empty: the published one where it is there, else the first by name."""

    height: int = 128
    """Of the pictures, in pixels, a multiple of 8; the middle of each picture with these proportions is used."""

    width: int = 128
    """Of the pictures, in pixels, a multiple of 8."""

    background: str = "white"
    """Colour behind transparent pictures, a name or "#rrggbb"."""

    held_out: int = 32
    """Samples that no run trains on: the scores are theirs."""

    part: str = "1/1"
    """3/16 looks at and prepares the third of sixteen shares. Put the files of all shares into one folder, and prepare
    there without this option: what is there is taken, and the index is written."""

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            check_at_least(name, size := getattr(self, name), PIXELS_PER_CELL)
            if size % PIXELS_PER_CELL:
                raise ValueError(f"{name} is {size}; expected a multiple of {PIXELS_PER_CELL}")
        check_at_least("held_out", self.held_out, 0)
        check_colour("background", self.background)
        if (self.conditions is None) == (not self.annotator):
            raise ValueError(
                "give either conditions, a folder of condition images, or annotator, which draws them; "
                f"annotators are: {', '.join(usable_annotators())}"
            )
        if self.annotator in ANNOTATORS and self.annotator not in usable_annotators():
            raise ValueError(
                f"annotator is {self.annotator!r}, which needs a mask for every picture: make its pictures first, in "
                f"ComfyUI by {ANNOTATORS[self.annotator].title}, and give their folder as conditions. A picture keeps "
                "no value below 0, so fill what is masked with black or grey"
            )
        if self.annotator and self.annotator not in usable_annotators():
            raise ValueError(
                f"annotator is {short(repr(self.annotator))}; expected one of {', '.join(usable_annotators())}. "
                "For poses and whatever else a control is to follow make the pictures first, and give their folder as "
                "conditions"
            )
        if self.model and not (self.annotator and ANNOTATORS[self.annotator].task):
            takers = " and ".join(name for name, annotator in ANNOTATORS.items() if annotator.task)
            raise ValueError(f"model is {short(repr(self.model))}; it is of {takers} alone")
        _ = self.drawing, self.share

    @property
    def drawing(self) -> Drawing:
        settings = parse_settings(ANNOTATORS[self.annotator], self.settings) if self.annotator else {}
        return Drawing(size=(self.height, self.width), annotator=self.annotator, settings=settings)

    @property
    def is_share(self) -> bool:
        """Whether this is the work of one machine of several."""
        return self.share[1] > 1

    @property
    def share(self) -> tuple[int, int]:
        """Which share of the work, and of how many."""
        number, slash, count = self.part.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise ValueError(f"part is {short(repr(self.part))}; expected number/count, such as 3/16")
        return int(number), int(count)


def check_colour(name: str, colour: str) -> None:
    """Raises `ValueError` for what is not a colour to Pillow."""
    from PIL import ImageColor

    try:
        ImageColor.getrgb(colour)
    except ValueError:
        raise ValueError(f'{name} is {colour!r}; expected a colour by its name or as "#rrggbb"') from None


def usable_annotators() -> list[str]:
    """Those that need no mask."""
    return [name for name in ANNOTATORS if ANNOTATORS[name].kind != "masked"]
