"""The hook: controls in the MODEL.

`with_controls` returns a clone whose keyed wrappers compute the control of every UNet call and hand it to the host's
own UNet, which does the addition. APPLY_MODEL is where the arguments are the same for every architecture. Where the
call carries DIFFUSION_MODEL wrappers (EasyCache and its like may skip the UNet) the work moves behind them, so a
skipped step is free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from zeroctl_core.control.steps import Steps
from zeroctl_core.files.plural import plural

from ..family import halving_blocks
from ..idle import NeverApplied, idle_cause, idle_text
from ..inputs import naming
from ..network_control import adds_control
from ..notices import beginning, notice
from ..of_model import merging_of, with_weights
from ..preflight import net_name
from ..report import never_acts
from ..units import Unit, UnitStack
from .areas import conds_of_call
from .call import Call
from .calls import Calls
from .graph import WHOLE, place_of_run
from .late import Late, with_innermost
from .lists import Control, Shapes, WatchedControl, add_control, recording, resizing
from .memory import KEY, activation_factor, extended_models
from .never_acted import why_never_acted
from .parts import acts_elsewhere, check_steps, reporting, steps_of_run
from .run import SamplingRun

__all__ = ["NEVER_ACTED", "next_number", "with_controls"]

CALLS, CONDS = "zeroctl_calls", "zeroctl_conds"  # in transformer_options: of a run, of one calc_cond_batch
NEVER_ACTED = "Control never acted"
"""Title of the notice."""


def with_controls(model: Any, stack: UnitStack, if_never_applied: str = "warn") -> Any:
    """A clone of the host's MODEL with the active units of a numbered `stack` added to those it already carries.

    The given MODEL is not changed. When no unit can act and nothing is to be said of it in a run, it is returned as it
    is.

    Raises `NeverApplied` for a unit whose factor is 0 in every run, where `if_never_applied` asks for an error, and
    `ValueError` for weights that do not fit the net.
    """
    causes = [(unit, idle_cause(unit, model)) for unit in stack if unit.active]
    active = tuple(unit for unit, cause in causes if not cause)
    idle = tuple(
        (idle_text(unit, cause), unit.node) for unit, cause in causes if cause and if_never_applied != "ignore"
    )
    if idle and if_never_applied == "error":
        raise NeverApplied(f"{idle[0][0]} Or set if_never_applied to warn.")
    if not active and not idle:
        return model
    clone = model.clone()
    before: Hook | None = clone.get_attachment(KEY)
    hook = (before or Hook()).extended(active, if_never_applied, last=stack[-1].number, idle=idle)
    clone.set_attachments(KEY, hook)
    clone.set_additional_models(KEY, extended_models(clone.get_additional_models_with_key(KEY), active))
    for kind, wrapper in hook.wrappers():
        clone.remove_wrappers_with_key(kind, KEY)
        clone.add_wrapper_with_key(kind, KEY, wrapper)
    return clone


def next_number(model: Any) -> int:
    """The number of the next control of the MODEL. A second Apply in a row counts on, past controls that are off.

    An Apply of which nothing can act leaves the MODEL as it is, so the next one takes its numbers again.
    """
    hook: Hook | None = model.get_attachment(KEY)
    return 1 if hook is None else hook.last + 1


@dataclass(frozen=True)
class Hook:
    """All active units of a MODEL, each with what its node wants when it never acts. Holds nothing of a run.

    last: the highest number of a control, active or not. idle: what every run says of controls that can never act, and
    of which node of the canvas.
    """

    applied: tuple[tuple[Unit, str], ...] = ()
    last: int = 0
    idle: tuple[tuple[str, str], ...] = ()

    @property
    def units(self) -> tuple[Unit, ...]:
        return tuple(unit for unit, _ in self.applied)

    def extended(
        self, units: UnitStack, if_never_applied: str, *, last: int, idle: tuple[tuple[str, str], ...] = ()
    ) -> Hook:
        return Hook((*self.applied, *((unit, if_never_applied) for unit in units)), last, (*self.idle, *idle))

    def wrappers(self) -> list[tuple[str, Callable[..., Any]]]:
        outer = (WrappersMP.OUTER_SAMPLE, self.outer_sample)
        if not self.applied:  # there is something to say, and nothing to compute
            return [outer]
        return [
            outer,
            (WrappersMP.PREPARE_SAMPLING, self.prepare_sampling),
            (WrappersMP.CALC_COND_BATCH, self.calc_cond_batch),
            (WrappersMP.APPLY_MODEL, self.apply_model),
        ]

    def outer_sample(
        self,
        executor: Any,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """One sampling run: its state is made here and dropped here, also after an interrupt or an error."""
        guider = executor.class_obj
        levels = sigmas.tolist()
        # asked only where a window or a curve depends on it: it reads a number from the device
        is_asked = any(not unit.schedule.open_throughout for unit in self.units)
        place = place_of_run(guider.model_patcher, levels) if is_asked else WHOLE
        steps = steps_of_run(levels, place, sampler)
        run = SamplingRun(
            units=with_weights(self.units, guider.model_patcher),
            guider=guider,
            canvas=(noise.shape[-2], noise.shape[-1]),
            batch=noise.shape[0],
            steps=steps,
            place=place,
        )
        sampling = guider.model_patcher.get_model_object("model_sampling")
        self._check_before(run, steps, sampling)
        if steps.by_order:
            args, kwargs = reporting(steps, args, kwargs)
        calls = Calls(run)
        options = guider.model_options.setdefault("transformer_options", {})
        options[CALLS] = calls
        try:
            samples = executor(noise, latent_image, sampler, sigmas, *args, **kwargs)
            calls.say_overflow()
        finally:
            options.pop(CALLS, None)
            calls.close()
        self._check_after(run, sampling)
        return samples

    def prepare_sampling(
        self, executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Both of the host's memory estimates start from the batch, so room for ours is asked for there."""
        factor = activation_factor(self.units, model, noise_shape)
        merged = [unit for unit in self.units if merging_of(unit.control_net) is not None]
        if merged:  # a copy for this run: the given MODEL is not changed
            model = model.clone()
            models = extended_models(model.get_additional_models_with_key(KEY), with_weights(merged, model.parent))
            model.set_additional_models(KEY, models)
        return executor(model, [noise_shape[0] * factor, *noise_shape[1:]], conds, *args, **kwargs)

    def calc_cond_batch(
        self, executor: Any, model: Any, conds: Any, x_in: Tensor, timestep: Tensor, model_options: dict[str, Any]
    ) -> Any:
        """Leave in this call's options which list is which, and where its areas are."""
        options = model_options.get("transformer_options", {})
        calls: Calls | None = options.get(CALLS)
        if calls is not None:
            conds_here = conds_of_call(conds, (x_in.shape[-2], x_in.shape[-1]), calls.run.conds)
            model_options = {**model_options, "transformer_options": {**options, CONDS: conds_here}}
        return executor(model, conds, x_in, timestep, model_options)

    def apply_model(
        self,
        executor: Any,
        x: Tensor,
        t: Tensor,
        c_concat: Tensor | None = None,
        c_crossattn: Tensor | None = None,
        control: Control | None = None,
        transformer_options: dict[str, Any] | None = None,
        **extra: Any,
    ) -> Tensor:
        """Compute the control for the rows of this call and add it to what the call already carries."""
        options = transformer_options or {}
        model = executor.class_obj
        call = Call(
            model=model,
            x=x,
            sigma=t,
            cond={**extra, "c_crossattn": c_crossattn, "c_concat": c_concat},
            options=options,
            conds=options.get(CONDS),
        )
        calls: Calls | None = options.get(CALLS)
        own_run = calls is None
        if calls is None:  # somebody calls the model outside a sampling run
            units = with_weights(self.units, model.current_patcher)
            calls = Calls(SamplingRun(units=units, guider=None, canvas=call.size, batch=x.shape[0]))
        run = calls.run
        shapes = Shapes(halving_blocks(model))
        arguments = (x, t, c_concat, c_crossattn)  # and two more, by position: other packs' wrappers may count them

        # a network of another pack may drop the control, which its code does not show
        unknown = adds_control(model.diffusion_model) is None
        late: Control = (WatchedControl if unknown else dict)(control or {})

        def compute() -> Control | None:
            return calls.control(call)

        def merge(ours: Control) -> Control:
            both = add_control(control, ours)
            assert both is not None
            if not hasattr(model.diffusion_model, "input_blocks"):
                return both
            return resizing(
                both,
                shapes,
                lambda have, want: run.say_once(
                    "Control resized",
                    f"another node changes the size of the UNet's feature maps; residuals of {have[0]}x{have[1]} "
                    f"are resized to {want[0]}x{want[1]} and so on",
                    "info",
                    key="Control resized",
                ),
            )

        try:
            if options.get("wrappers", {}).get(WrappersMP.DIFFUSION_MODEL):
                innermost = Late(late, compute, merge, shapes)
                options = with_innermost(recording(options, shapes), innermost)
                call = replace(call, options=options)  # where a net may put patches of the network
                output = executor(*arguments, late, options, **extra)
                acts = innermost.acts
            else:
                ours = compute()
                if ours is None:  # nothing acts: the call as it came, to the bit
                    return executor(*arguments, control, transformer_options, **extra)
                acts = any(ours.values())
                late.update(merge(ours))
                output = executor(*arguments, late, recording(options, shapes), **extra)
            if acts and isinstance(late, WatchedControl) and not late.is_read:
                raise ValueError(
                    f"the MODEL's network ({type(model.diffusion_model).__name__}) did not look at the control that it "
                    "was handed: no control can act on it. Remove the controls."
                )
            return output
        finally:
            if own_run:
                calls.close()

    def _check_before(self, run: SamplingRun, steps: Steps, sampling: Any) -> None:
        beginning(sorted({*(unit.node for unit in self.units), *(node for _, node in self.idle)}))
        for text, node in self.idle:
            run.say_once(NEVER_ACTED, text, node=node)
        for unit, policy in self.applied:
            check_steps(run, unit, sampling)
            if policy != "ignore":
                self._check_mask(run, unit, policy)
            for image in unit.images:
                if _same_proportions(image.shape[-2:], run.canvas):
                    continue
                with naming(unit.title):
                    note = run.placed(replace(unit, image=image), run.canvas).note
                run.say_once(
                    "Condition image",
                    f"{unit.title} was made for other proportions than this run's latent "
                    f"({run.canvas[1]}x{run.canvas[0]} cells): {note}",
                    node=unit.node,
                )
            if policy == "error" and not run.place.part and never_acts(unit, sampling, steps):
                _refuse(
                    unit,
                    f"{unit.title} ({net_name(unit)}) cannot act in this run: its window, {unit.schedule}, holds no "
                    f"step of the run, which has {steps.n}. Widen start and end, or set if_never_applied "
                    "to warn.",
                )
            for kind, n in (
                *(("condition image", image.shape[0]) for image in unit.images),
                ("mask", 0 if unit.mask is None else len(unit.mask)),
                ("image strength", 0 if unit.image_strengths is None else len(unit.image_strengths.numbers)),
            ):
                if n > run.batch or (n and run.batch % n):
                    run.say_once(
                        "Batch",
                        f"{unit.title} has {plural(n, kind)} for {plural(run.batch, 'latent')}: latent r uses "
                        f"{kind.split()[-1]} r mod {n}",
                        node=unit.node,
                    )

    def _check_mask(self, run: SamplingRun, unit: Unit, policy: str) -> None:
        with naming(unit.title):
            cause = run.idle_cause(unit)
        if cause and policy == "error":
            _refuse(unit, f"{idle_text(unit, cause)} Or set if_never_applied to warn.")
        if cause:
            run.say_once(NEVER_ACTED, idle_text(unit, cause), key=f"{NEVER_ACTED} {unit.number}", node=unit.node)

    def _check_after(self, run: SamplingRun, sampling: Any) -> None:
        for index, (unit, policy) in enumerate(self.applied):
            if index in run.acted or policy == "ignore" or acts_elsewhere(run, unit, sampling):
                continue
            text = f"{unit.title} ({net_name(unit)}) never acted in this run: {why_never_acted(unit, run, sampling)}"
            if policy == "error" and not run.place.part:  # whether other parts had control, nobody knows here
                _refuse(unit, text)
            run.say_once(NEVER_ACTED, text, key=f"{NEVER_ACTED} {unit.number}", node=unit.node)


def _refuse(unit: Unit, text: str) -> NoReturn:
    """Stop the run of a sampler, whose error is shown there, and say it at the node of the control."""
    notice(NEVER_ACTED, text, "error", unit.node)
    raise NeverApplied(text)


def _same_proportions(one: Sequence[int], other: Sequence[int]) -> bool:
    """Whether two sizes (height, width) differ by less than one percent in proportions."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1) < 0.01
