"""The smallest records: a measured figure, a score, and where a stage ran."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Unit = Literal["s", "B", "FLOP", "J", "1", "token", "pair", "step"]
DeviceKind = Literal["cpu", "cuda", "xpu", "mps"]
"""As torch calls them; AMD's GPUs are torch's `cuda`."""
HAS_VRAM: tuple[DeviceKind, ...] = ("cuda", "xpu")
"""Devices with memory of their own, whose allocator tells its peaks."""
StageKind = Literal[
    "prepare",
    "check",
    "rehearse",
    "rehearse_evaluate",
    "train",
    "evaluate",
    "judge",
    "export",
    "speed",
    "sample",
]


def inside(path: str) -> str:
    """A path below a folder; raises ValueError for one that leads elsewhere."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
        raise ValueError(f"{path[:60]!r} leads out of the stage's folder")
    return path


Inside = Annotated[str, AfterValidator(inside)]


class Record(BaseModel):
    """Base of all records: immutable, no unknown fields. JSON knows no infinity, so it stands as a string."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Measurement(Record):
    """One measured figure. `value` is None exactly when `reason` says why it is absent."""

    quantity: str
    value: float | int | None
    unit: Unit
    scope: str
    source: str
    reason: str | None = None

    @model_validator(mode="after")
    def _absent_needs_a_reason(self) -> Measurement:
        if (self.value is None) != (self.reason is not None):
            raise ValueError(f"{self.quantity}: a value or a reason for its absence, not both or none")
        return self


class Score(Record):
    """One metric of one benchmark for one cell.

    `items_file` is relative to the stage's folder and holds one JSON object a line with `id` and
    `metrics` (name -> number); `estimate` is the mean over its items unless `settings` says else.
    `higher_is_better` is None where neither direction is better.
    """

    benchmark: str
    metric: str
    estimate: float | None
    n: int
    higher_is_better: bool | None = True
    items_file: Inside | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    reason: str | None = None


class Environment(Record):
    """Where a stage ran. Absent facts are None. `other_gpus` were visible to the run and not to the stage.

    `node` is the machine's name on its network, `cores` the processors that the stage could use (`0-3`).
    """

    device: DeviceKind
    device_name: str
    gpu_uuid: str | None = None
    other_gpus: int | None = None
    driver: str | None = None
    node: str | None = None
    cores: str | None = None
    cpu_count: int
    host_memory_bytes: int
    python: str
    versions: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None
    lock_digest: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)

    @property
    def kind_of_device(self) -> str:
        """What devices of equal speed share: a GPU's name, or a processor's with how many cores it gave."""
        if self.device != "cpu":
            return self.device_name
        count = self.cpu_count if self.cores is None else count_of_cores(self.cores)
        return f"{self.device_name}, {count} core{'' if count == 1 else 's'}"

    @property
    def place(self) -> str | None:
        """One device and no other: a GPU by its UUID, a processor by its cores and node. None for a GPU that
        nobody names: two of one name are not one device."""
        if self.device != "cpu":
            return self.gpu_uuid and f"{self.device_name} {self.gpu_uuid}"
        cores = "" if self.cores is None else f", cores {self.cores}"
        return f"{self.device_name}{cores}" + ("" if self.node is None else f" of {self.node}")


def count_of_cores(cores: str) -> int:
    """How many processors `0-3,8` names."""
    spans = [span.partition("-") for span in cores.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _, last in spans)
