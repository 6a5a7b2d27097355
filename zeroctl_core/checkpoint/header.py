"""The metadata in the header of a file that this package writes."""

from __future__ import annotations

import json
from dataclasses import asdict

from ..files.key_faults import short
from ..files.weight_file import CheckpointError, WeightFile
from ..network.base import Base

HEADER = "zeroctl."
POOLING_KEY = HEADER + "global_average_pooling"
BASE_KEY = HEADER + "base"
SPEC_KEY = HEADER + "spec"
CONTROL_LORA_KEY = HEADER + "control_lora"
"""The rank of a Control-LoRA, and what it costs, as JSON."""
NOT_OF_A_CONTROL = ("out_channels", "decoder_depth")
"""Numbers of a spec that a control's file cannot show."""


def check_header(file: WeightFile, base: Base) -> None:
    """Refuse a file whose header describes another network than its shapes.

    Raises `CheckpointError` with what each of them says.
    """
    name = short(file.path.name)
    remedy = "its weights were changed after it was written, or its header comes from another file. Get another copy"
    value = file.metadata.get(BASE_KEY, base.name)
    if value != base.name:
        raise CheckpointError(
            f"{name} contradicts itself: its header says the base {short(value)}, its shapes are those of {base.name}; "
            f"{remedy}"
        )
    try:
        spec = json.loads(file.metadata.get(SPEC_KEY, "{}"))
    except (ValueError, RecursionError):
        spec = None
    if not isinstance(spec, dict):
        raise CheckpointError(f"{name}: its header holds {SPEC_KEY} that cannot be read; {remedy}")
    own = json.loads(json.dumps(asdict(base.spec)))
    for key, number in own.items():
        if key not in NOT_OF_A_CONTROL and key in spec and spec[key] != number:
            raise CheckpointError(
                f"{name} contradicts itself: its header says {key} {short(str(spec[key]))}, its shapes say {number}; "
                f"{remedy}"
            )
