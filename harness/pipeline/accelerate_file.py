"""An accelerate config file, read for what it says of one stage's devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.pipeline.yaml_file import KeyPath, read

KEY = "accelerate"
PLAIN = ("NO", "MULTI_GPU", "MULTI_CPU", "MULTI_XPU")
PRECISIONS = {"no": None, "bf16": "mixed"}


def take_up(data: dict[str, Any], where: Callable[[KeyPath], str | None]) -> None:
    """Put what the file that `training.accelerate` names says into `training` of a comparison's `data`.

    Raises UserError where both say something else, and for what is not built.
    """
    training = data.get("training")
    if not isinstance(training, dict) or KEY not in training:
        return
    file = training.pop(KEY)
    place = where(("training", KEY))
    if not isinstance(file, str):
        raise UserError(
            "training.accelerate is no file", where=place, remedy="give an accelerate config file"
        )
    for key, value in settings_of(Path(file)).items():
        if training.setdefault(key, value) != value:
            raise UserError(
                f"training.{key} is {training[key]!r}, and {file} says {value!r}",
                where=where(("training", key)),
                remedy="leave it out, or change one of the two",
            )


def settings_of(file: Path) -> dict[str, Any]:
    """The settings of `training` that an accelerate config stands for."""
    config = read(file).data

    def refuse(fact: str, remedy: str) -> UserError:
        return UserError(fact, where=str(file), remedy=remedy)

    if config.get("num_machines", 1) != 1:
        raise refuse("num_machines is above 1", "a stage runs on the devices of one machine")
    precision = config.get("mixed_precision") or "no"
    if precision not in PRECISIONS:
        raise refuse(f"mixed_precision: {precision} is not built", "give bf16 or no")
    found = {"devices": config.get("num_processes", 1), "parallel": _parallel(config, refuse)}
    return found if PRECISIONS[precision] is None else {**found, "precision": PRECISIONS[precision]}


def _parallel(config: Mapping[str, Any], refuse: Callable[[str, str], UserError]) -> str:
    kind = str(config.get("distributed_type") or "NO")
    if kind in PLAIN:
        return "ddp"
    if kind == "DEEPSPEED":
        return f"deepspeed_zero{(config.get('deepspeed_config') or {}).get('zero_stage', 2)}"
    if kind != "FSDP":
        raise refuse(f"distributed_type: {kind} is not built", f"give one of {', '.join(PLAIN)} and FSDP")
    fsdp = config.get("fsdp_config") or {}
    if int(fsdp.get("fsdp_version", 1)) != 2:
        raise refuse("fsdp_version is 1", "set fsdp_version: 2 (accelerate to-fsdp2 converts the file)")
    if fsdp.get("fsdp_offload_params"):
        raise refuse("fsdp_offload_params is not built", "set it to false")
    return "fsdp2"
