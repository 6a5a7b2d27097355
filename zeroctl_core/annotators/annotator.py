"""What an annotator is, and the names that they register under."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Literal

import torch
from torch import Tensor

from ..files.key_faults import short
from ..registry import Registry
from .params import Choice, Setting, Value
from .pictures.alpha import Transparent
from .pictures.check import check_mask, check_picture
from .pictures.opencv import check_opencv
from .pictures.seen_size import seen_size

Kind = Literal["image", "masked", "model"]


@dataclass(frozen=True)
class Annotator:
    """A pure function from an image to a condition image of the same size.

    [B, 3, H, W] in 0..1  ->  [B, 3, H, W] float32 on the same device, in 0..1 (inpaint: -1..1)

    name: in `ANNOTATORS`. kind: what `fn` gets with any settings besides the image and the settings: `image` nothing,
    `masked` a `mask` [B, 1, H, W], `model` a `net` that the caller has loaded (annotators find no files).
    params: the settings, and what a user may set them to.
    needs: the packages beyond torch and numpy that it uses with any settings (`cv2`).
    networks: the network of `NETWORKS` that is the `net`, by the option of a `Choice` that needs it; "" stands for any.
    task: the task of a transformers model (`depth`) that is the `net`; empty where `networks` says it.

    What only its node asks for:
    title, summary: the name to show, and a sentence or two on what it draws. aliases: other names that people look for,
    beside `name`. node_id: the id of the node.
    own_node: whether that is a node file of its own, because it has more outputs than the condition.
    takes: the name of the picture's input. resizable: whether the picture may be resized before it is read; a map or a
    picture with a hole is not what it was once pixels are mixed.
    transparent: what stands where the picture has alpha.
    reads_mask: whether a mask can be read in place of the picture.
    short_side: the short side in pixels at which the net sees any picture, or the setting that holds it; 0: the
    picture's own.

    union_type: the number of its type in `UNION_TYPES`, for a union ControlNet; None: no union was trained on it.
    net_names: what the files of ControlNets that were trained on such conditions have in their names, the best first;
    small letters and digits.

    finish: what is made of the whole batch of `fn`'s results with these settings; None: they are the conditions.
    doubt: the picture, its condition and the settings -> what a user should hear of them, often nothing.
    """

    name: str
    kind: Kind
    fn: Callable[..., Tensor]
    params: tuple[Setting, ...] = ()
    needs: tuple[str, ...] = ()
    _: KW_ONLY
    networks: Mapping[str, str] = field(default_factory=dict)
    task: str = ""
    title: str = ""
    aliases: tuple[str, ...] = ()
    summary: str = ""
    node_id: str = ""
    own_node: bool = False
    takes: str = "image"
    resizable: bool = True
    transparent: Transparent = "white"
    reads_mask: bool = False
    short_side: int | str = 0
    union_type: int | None = None
    net_names: tuple[str, ...] = ()
    finish: Callable[..., Tensor] | None = None
    doubt: Callable[..., str] | None = None

    def network(self, **params: Value) -> str | None:
        """The name of the network that these settings need, the defaults for all that are not given."""
        if "" in self.networks:
            return self.networks[""]
        options = [str(params.get(param.name, param.default)) for param in self.params if isinstance(param, Choice)]
        return next((self.networks[option] for option in options if option in self.networks), None)

    def seen_pixels(self, height: int, width: int, **params: Value) -> int:
        """How many pixels a picture has for the net with these settings: its own, or more where it is enlarged."""
        settings = self._settings(params)
        short = int(settings[self.short_side] if isinstance(self.short_side, str) else self.short_side)
        seen_height, seen_width = seen_size(height, width, short, 1) if short else (0, 0)
        return max(height * width, seen_height * seen_width)

    def __call__(
        self, image: Tensor, *, mask: Tensor | None = None, net: torch.nn.Module | None = None, **params: Value
    ) -> Tensor:
        """Annotate a batch.

        Raises what `draw` raises.
        """
        return self.finished(self.draw(image, mask=mask, net=net, **params), **params)

    def draw(
        self, image: Tensor, *, mask: Tensor | None = None, net: torch.nn.Module | None = None, **params: Value
    ) -> Tensor:
        """Some pictures of a batch, [b, 3, H, W] -> [b, 3, H, W]; `finished` makes conditions of all together.

        Raises `ValueError` for an image of another shape, type or range, an unknown setting, one that is out of its
        range, for a mask or net that is missing or of no use, and for a net that gives NaN or infinity; `ImportError`
        that says what to install where one of `needs` is missing.
        """
        check_picture(self.name, image)
        self.check(**params)
        inputs: dict[str, Tensor | torch.nn.Module] = {}
        if mask is not None:
            inputs["mask"] = mask
        if net is not None:
            inputs["net"] = net
        self._check_inputs(set(inputs), self.network(**params))
        if mask is not None:
            check_mask(self.name, mask, image)
        if "cv2" in self.needs:
            check_opencv(self.name)
        with torch.no_grad():
            return self.fn(image, **inputs, **self._settings(params))

    def finished(self, parts: Tensor, **params: Value) -> Tensor:
        """The conditions of a batch, from what `draw` made of all its pictures: [B, 3, H, W] -> the same."""
        return parts if self.finish is None else self.finish(parts, **self._settings(params))

    def doubts(self, picture: Tensor, condition: Tensor, **params: Value) -> str:
        """What a user should hear of these conditions, [B, 3, H, W] both; empty where all is well."""
        return "" if self.doubt is None else self.doubt(picture, condition, **self._settings(params))

    def _settings(self, params: Mapping[str, Value]) -> dict[str, Value]:
        """All settings, the defaults for those that are not given."""
        return {**{param.name: param.default for param in self.params}, **params}

    def check(self, **params: Value) -> None:
        """Raises `ValueError` for an unknown setting, and for one that is out of its range."""
        settings = {param.name: param for param in self.params}
        for name, value in params.items():
            if name not in settings:
                raise ValueError(
                    f"{self.name}: no parameter is called {short(repr(name))}; "
                    f"known are: {', '.join(settings) or 'none'}"
                )
            settings[name].check(self.name, value)

    def _check_inputs(self, inputs: set[str], network: str | None) -> None:
        """Raises `ValueError` where a mask or a net is missing or of no use."""
        required = {"mask": self.kind == "masked", "net": self.kind == "model" or network is not None}
        for name, is_required in required.items():
            if is_required == (name in inputs):
                continue
            what = f"needs {name}" if is_required else f"takes no {name}"
            if is_required and name == "net" and network:
                what += f", the network {network!r}: networks.load_network({network!r}, path)"
            elif is_required and name == "net" and self.task:
                what += f", a transformers model: transformers_models.load_model(folder, {self.task!r})"
            raise ValueError(f"{self.name} with these settings {what}")


ANNOTATORS: Registry[Annotator] = Registry("annotator")


def annotator(
    name: str,
    *,
    takes_mask: bool = False,
    params: tuple[Setting, ...] = (),
    needs: tuple[str, ...] = (),
    networks: Mapping[str, str] | None = None,
    task: str = "",
    title: str = "",
    aliases: tuple[str, ...] = (),
    summary: str = "",
    node_id: str = "",
    own_node: bool = False,
    takes: str = "image",
    resizable: bool = True,
    transparent: Transparent = "white",
    reads_mask: bool = False,
    short_side: int | str = 0,
    union_type: int | None = None,
    net_names: tuple[str, ...] = (),
    finish: Callable[..., Tensor] | None = None,
    doubt: Callable[..., str] | None = None,
) -> Callable[[Callable[..., Tensor]], Annotator]:
    """Decorate the function of one annotator file: it becomes an `Annotator` in `ANNOTATORS`.

    Its kind follows from what it takes, and the id of its node from its name: normal_convert is ZeroctlNormalConvert.
    """
    networks = networks or {}
    choices = [set(param.options) for param in params if isinstance(param, Choice)]
    always_needs_net = bool(task) or "" in networks or any(options <= networks.keys() for options in choices)
    kind: Kind = "masked" if takes_mask else "model" if always_needs_net else "image"

    def add(fn: Callable[..., Tensor]) -> Annotator:
        entry = Annotator(
            name,
            kind,
            fn,
            params,
            needs,
            networks=networks,
            task=task,
            title=title,
            aliases=aliases,
            summary=summary,
            node_id=node_id or "Zeroctl" + "".join(part.capitalize() for part in name.split("_")),
            own_node=own_node,
            takes=takes,
            resizable=resizable,
            transparent=transparent,
            reads_mask=reads_mask,
            short_side=short_side,
            union_type=union_type,
            net_names=net_names,
            finish=finish,
            doubt=doubt,
        )
        return ANNOTATORS.register(name)(entry)

    return add
