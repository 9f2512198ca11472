"""`load.json`: load figures with where they were measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.measure.environment import collect
from harness.records import LoadLevel, LoadRecord
from harness.sealed import write_sealed
from harness.serving.chosen import Chosen
from harness.serving.engines import Engine, device_kind
from harness.serving.load import LoadPlan

FILE = "load.json"


@dataclass(frozen=True)
class Setting:
    """What a server was started with and asked: its program and how that was called, whose prompts and how
    many, and the machine's load average before."""

    engine: Engine
    arguments: Sequence[str]
    prompts_of: str
    prompts: int
    busy_before: float


def load_record(chosen: Chosen, levels: Sequence[LoadLevel], plan: LoadPlan, how: Setting) -> LoadRecord:
    """The record of what was measured, on this machine."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return LoadRecord(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=chosen.served,
        engine=how.engine.name,
        engine_version=how.engine.version,
        settings=list(how.arguments),
        dtype=chosen.dtype,
        environment=collect(device_kind(), how.engine.needs),
        threads=int(threads) if threads.isdigit() else None,
        busy_before=how.busy_before,
        prompts_of=how.prompts_of,
        prompts=how.prompts,
        max_tokens=plan.max_tokens,
        levels=list(levels),
    )


def write_load(folder: Path, record: LoadRecord) -> Path:
    """Write it sealed, whole or not at all; returns the file."""
    write_sealed(folder / FILE, record)
    return folder / FILE
