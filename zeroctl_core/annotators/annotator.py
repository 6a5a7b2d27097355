"""What an annotator is, and the names that they register under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..registry import Registry
from .params import Choice, Setting, Value
from .pictures.check import check_mask, check_picture
from .pictures.opencv import check_opencv


@dataclass(frozen=True)
class Annotator:
    """A pure function from an image to a condition image of the same size.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 on the same device, in 0..1 (inpaint: -1..1)

    `kind` says what `fn` gets besides the image and its settings: `image` nothing, `masked` a `mask` [B, 1, H, W],
    `model` a `net` that the caller has loaded (the core finds no files).
    `needs` names the packages beyond torch and numpy that it needs with any settings (`cv2`); what only some settings
    need, `fn` asks for itself.
    `networks` says which network of `NETWORKS` is the `net`: the option of a `Choice` -> its name, or "" -> the name of
    the one that every setting needs. An annotator of kind `image` may have options that need none.
    `task`, where it is not empty, says that the `net` is a folder of a transformers model for it (`depth`).
    `takes` is what the node calls its picture.
    `title` and `summary` are for people: the name to show, and a sentence or two on what it draws.
    """

    name: str
    kind: Literal["image", "masked", "model"]
    fn: Callable[..., Tensor]
    params: tuple[Setting, ...] = ()
    needs: tuple[str, ...] = ()
    networks: Mapping[str, str] = field(default_factory=dict)
    task: str = ""
    takes: str = "image"
    title: str = ""
    summary: str = ""

    def network(self, **params: Value) -> str | None:
        """The name of the network that these settings need, the defaults for all that are not given."""
        if "" in self.networks:
            return self.networks[""]
        chosen = [str(params.get(param.name, param.default)) for param in self.params if isinstance(param, Choice)]
        return next((self.networks[option] for option in chosen if option in self.networks), None)

    def __call__(
        self, image: Tensor, *, mask: Tensor | None = None, net: torch.nn.Module | None = None, **params: Value
    ) -> Tensor:
        """Annotate a batch.

        Raises `ValueError` for an image of another shape, type or range, an unknown setting, one that is out of its
        range, for a mask or net that is missing or of no use, and for a net that gives NaN or infinity; `ImportError`
        that says what to install where one of `needs` is missing.
        """
        check_picture(self.name, image)
        self.check(**params)
        network = self.network(**params)
        extra: dict[str, Tensor | torch.nn.Module] = {}
        for word, given, required in (("mask", mask, self.kind == "masked"), ("net", net, bool(network or self.task))):
            if (given is None) == required:
                what = f"needs {word}" if required else f"takes no {word}"
                if word == "net" and network:
                    what += f", the network {network!r}: networks.load_network({network!r}, path)"
                elif word == "net" and required:
                    what += f", a transformers model: transformers_models.load_model(folder, {self.task!r})"
                raise ValueError(f"{self.name} with these settings {what}")
            if given is not None:
                extra[word] = given
        if mask is not None:
            check_mask(self.name, mask, image)
        if "cv2" in self.needs:
            check_opencv(self.name)
        defaults = {param.name: param.default for param in self.params}
        with torch.no_grad():
            return self.fn(image, **extra, **{**defaults, **params})

    def check(self, **params: Value) -> None:
        """Raises `ValueError` for an unknown setting, and for one that is out of its range."""
        known = {param.name: param for param in self.params}
        for name, value in params.items():
            if name not in known:
                raise ValueError(
                    f"{self.name}: no parameter is called {name!r}; known are: {', '.join(known) or 'none'}"
                )
            known[name].check(self.name, value)


ANNOTATORS: Registry[Annotator] = Registry("annotator")


def annotator(
    name: str,
    kind: Literal["image", "masked", "model"] = "image",
    params: tuple[Setting, ...] = (),
    needs: tuple[str, ...] = (),
    networks: Mapping[str, str] | None = None,
    task: str = "",
    takes: str = "image",
    title: str = "",
    summary: str = "",
) -> Callable[[Callable[..., Tensor]], Annotator]:
    """Decorate the function of one annotator file: it becomes an `Annotator` in `ANNOTATORS`."""

    def add(fn: Callable[..., Tensor]) -> Annotator:
        made = Annotator(name, kind, fn, params, needs, networks or {}, task, takes, title, summary)
        return ANNOTATORS.register(name)(made)

    return add
