"""`python -m zeroctl_core.train.prepare`: encode pictures, conditions and captions for training, once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...annotator_files.annotator_net import AnnotatorFolder, default_folder
from ...annotators import ANNOTATORS
from ...command_line import read_options, run_command
from ...files.plural import plural
from ...files.written_whole import check_writable
from ..source import WORLD, NamesLosses, load_source
from .checking import check_samples
from .config import PrepareConfig
from .contact_sheet import tiles_of, write_contact_sheet
from .fault import lines_of
from .looks import looks_of_part
from .pairs import find_samples, read_leave_out
from .preparing import Drawing, prepare, prepare_share, share_of
from .progress import shown_progress


@dataclass(frozen=True, kw_only=True)
class Options(PrepareConfig):
    """Encode a folder of pictures with conditions and captions for training, once.

    Raises `ValueError` for a value out of its range.
    """

    source: str = WORLD
    """Whose encoders: the dotted name of a module with a function `source(weights)`, as for training."""

    weights: Path | None = None
    """Folder of the base's weights. `None`: those that come with the source."""

    skip_faults: bool = False
    """Go on without the pictures that cannot be used, once they are named. By default they stop the preparation."""

    leave_out: Path | None = None
    """Text file of names to leave out, one a line, as the contact sheet shows them."""

    annotators: Path | None = None
    """Folder with the files of the annotators' networks, subfolders too, beside which Hugging Face's cache is looked
    into. `None`: ComfyUI's models/annotators where this is one of its custom nodes, else models/annotators."""

    download: bool = False
    """Fetch the files of the annotator's network into that folder when they are nowhere. By default nothing is ever
    fetched, and what is missing is an error that says where it belongs."""

    sheet: Path | None = None
    """PNG for the contact sheet: every picture beside its condition, numbered and named, marked where something is
    wrong; of more than 400 the faulty ones and a choice. `None`: sheet.png in the output folder, of a share
    sheet-3-of-16.png."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sheet is not None and self.sheet.suffix.lower() != ".png":
            raise ValueError(f"sheet is {self.sheet}; expected the name of a file that ends in .png")

    @property
    def sheet_file(self) -> Path:
        number, count = self.share
        return self.sheet or self.output / (f"sheet-{number}-of-{count}.png" if self.is_share else "sheet.png")


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_options(Options, "train.prepare", Options.__doc__, arguments)

    def run() -> int:
        base = load_source(options.source, options.weights)
        check_writable(options.sheet_file)
        drawing = _with_net(options)
        leave_out = read_leave_out(options.leave_out) if options.leave_out is not None else ()
        folder = find_samples(options.pictures, options.conditions, background=options.background, leave_out=leave_out)
        if options.is_share:
            folder = replace(folder, samples=share_of(folder.samples, options.share))
        losses = base.left_out if isinstance(base, NamesLosses) else None
        with shown_progress("picture") as report:
            samples, faults = check_samples(
                folder.samples,
                drawing,
                losses,
                report,
                folder=options.output,
                file=looks_of_part(options.share),
            )
        faults = [*folder.faults, *faults]
        print("\n".join(lines_of(faults)) or "nothing is wrong")
        tiles, n_pictures = tiles_of(folder, faults)
        write_contact_sheet(options.sheet_file, tiles, drawing)
        print(f"{options.sheet_file} shows {len(tiles)} of {plural(n_pictures, 'picture')}")
        if any(fault.is_unusable for fault in faults) and not options.skip_faults:
            raise ValueError("correct what cannot be used, or go on without it with --skip-faults or --leave-out")
        with shown_progress() as report:
            if options.is_share:
                prepare_share(samples, drawing, base, options.output, report)
                print(f"part {options.part} is in {options.output}")
                return 0
            index = prepare(samples, drawing, base, options.output, held_out=options.held_out, report=report, say=print)
        print(
            f"{len(index.names)} samples are in {options.output}, {options.held_out} of them for scores. Train with: "
            f"python -m zeroctl_core.train --data {options.output}"
            + (f" --annotators {options.annotators}" if index.network and options.annotators else "")
        )
        return 0

    return run_command(run)


def _with_net(options: Options) -> Drawing:
    """The drawing of a preparation with the network that its annotator needs, if any; found before anything is read.

    Raises what `AnnotatorFolder.net` raises.
    """
    drawing = options.drawing
    if not drawing.annotator:
        return drawing
    files = AnnotatorFolder(options.annotators or default_folder(), options.download)
    net = files.net(ANNOTATORS[drawing.annotator], drawing.settings, options.model)
    if net is not None:
        print(f"{drawing.annotator} draws with {net.name}")
    return replace(drawing, net=net)


if __name__ == "__main__":
    sys.exit(main())
