"""What the core promises, checked in half precision on the device: to the bit, or to the rounding of the dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.gpu.sizes import Sizes
from benchmarks.random_networks import control_of, control_weights, spec_of, unet_of, unet_weights
from zeroctl_core import ControlNet, ControlStack, ControlUnit, Residuals, Rows, UNet

ROUNDINGS = 4
"""Single roundings that a residual may be away, by its L2 norm: on a CPU full-size nets are 1.2 away."""
BATCH = 4


@dataclass(frozen=True)
class Check:
    """One promise: the largest relative error of all connections, and what it may be at most; 0 is to the bit."""

    name: str
    error: float
    bound: float

    def to_json(self) -> dict[str, Any]:
        holds = self.error <= self.bound  # NaN does not
        return {"check": self.name, "error": float(f"{self.error:.3g}"), "bound": self.bound, "holds": holds}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A ControlNet and a UNet of one dtype, the same control in float32, and one batch of inputs."""

    net: ControlNet
    exact: ControlNet  # the weights of `net`, in float32
    unet: UNet
    x: Tensor  # [B, 4, h, w]
    t: Tensor  # [B]
    context: Tensor  # [B, 77, D]
    y: Tensor | None  # [B, adm]
    image: Tensor  # [1, 3, 8h, 8w]


def equalities(sizes: Sizes, preset: str, dtype: torch.dtype) -> dict[str, Any]:
    """All checks for one family and dtype. `preset` is of the injection, or of the tests' random weights."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    with torch.inference_mode():
        case = _case(sizes, preset, dtype)
        checks = [check.to_json() for check in _checks(case, torch.finfo(dtype).eps)]
    return {"preset": preset, "dtype": str(dtype).removeprefix("torch."), "pixels": sizes.pixels, "checks": checks}


def _case(sizes: Sizes, preset: str, dtype: torch.dtype) -> Case:
    spec, device = spec_of(preset), sizes.torch_device
    unet, weights = unet_of(unet_weights(spec, dtype, device)), control_weights(spec, dtype, device)
    net = control_of(unet.base, weights)
    exact = control_of(unet.base, {key: value.float() for key, value in weights.items()})
    generator, cells = torch.Generator().manual_seed(0), sizes.pixels // 8

    def noise(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    return Case(
        net=net,
        exact=exact,
        unet=unet,
        x=noise(BATCH, 4, cells, cells),
        t=torch.linspace(10, 990, BATCH).to(device),
        context=noise(BATCH, 77, spec.context_dim),
        y=None if spec.adm_in_channels is None else noise(BATCH, spec.adm_in_channels),
        image=torch.rand(1, 3, sizes.pixels, sizes.pixels, generator=generator).to(device, dtype),
    )


def _checks(case: Case, eps: float) -> Iterator[Check]:
    net, x, t, context, y = case.net, case.x, case.t, case.context, case.y
    bound = ROUNDINGS * eps
    feature = net.encode(case.image)
    ours = net(x, t, context, feature=feature, y=y)

    wide_y = None if y is None else y.float()
    wide = case.exact(x.float(), t, context.float(), feature=case.exact.encode(case.image.float()), y=wide_y)
    yield Check("residuals equal those in float32", _error(ours, wide), bound)
    del wide

    single = [net(*_row(r, x, t, context), feature=feature, y=_of(y, slice(r, r + 1))) for r in range(BATCH)]
    items = Residuals.of([torch.cat(maps) for maps in zip(*single, strict=True)])
    yield Check("a batch equals its items", _error(ours, items), bound)

    half = BATCH // 2
    rows = Rows(("uncond",) * half + ("cond",) * half, tuple(range(half)) * 2, (None,) * BATCH)
    stack = ControlStack([ControlUnit(net, case.image, branches="cond")])
    one_side = stack(x, t, context, y, rows=rows)
    assert one_side is not None
    yield Check("the side without control gets zeros", max(float(m[:half].abs().max()) for m in one_side), 0.0)
    cond = Residuals.of([m[half:] for m in one_side])
    yield Check("cond only equals the rows of both", _error(cond, Residuals.of([m[half:] for m in ours])), bound)

    halves = ControlStack([ControlUnit(net, case.image, strength=0.5)] * 2)(x, t, context, y)
    whole = ControlStack([ControlUnit(net, case.image)])(x, t, context, y)
    assert halves is not None and whole is not None
    yield Check("two halves equal a whole", max(_largest(a, b) for a, b in zip(halves, whole, strict=True)), 0.0)

    untrained = ControlNet.trainable_copy(case.unet).eval()
    nothing = untrained(x, t, context, feature=untrained.encode(case.image), y=y)
    plain, controlled = case.unet(x, t, context, y), case.unet(x, t, context, y, residuals=nothing)
    yield Check("an untrained control changes no bit", _largest(plain, controlled), 0.0)


def _of(value: Tensor | None, rows: slice) -> Tensor | None:
    return None if value is None else value[rows]


def _row(r: int, *values: Tensor) -> list[Tensor]:
    return [value[r : r + 1] for value in values]


def _error(ours: Residuals, other: Residuals) -> float:
    """The largest L2 norm of a difference over the norm of the other, of all connections; NaN where one is."""
    errors = [(a.double() - b.double()).norm() / b.double().norm() for a, b in zip(ours, other, strict=True)]
    return float(torch.stack(errors).max())


def _largest(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors; infinite where one holds what is not finite."""
    difference = (one.float() - other.float()).abs().max()
    return float(difference) if torch.isfinite(difference) else float("inf")
