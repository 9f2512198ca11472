"""`load.json`: load figures with where they were measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from harness.measure.environment import collect
from harness.records import LoadLevel, LoadRecord
from harness.sealed import write_sealed
from harness.serving.chosen import Chosen
from harness.serving.engines import Engine, device_kind

FILE = "load.json"


def load_record(
    chosen: Chosen,
    levels: Sequence[LoadLevel],
    *,
    engine: Engine,
    settings: Sequence[str],
    prompts_of: str,
    prompts: int,
    max_tokens: int,
    busy: float,
) -> LoadRecord:
    """The record of a server that was started with `settings` when the machine was as `busy`."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return LoadRecord(
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        model=chosen.served,
        engine=engine.name,
        engine_version=engine.version,
        settings=list(settings),
        dtype=chosen.dtype,
        environment=collect(device_kind(), engine.needs),
        threads=int(threads) if threads.isdigit() else None,
        busy_before=busy,
        prompts_of=prompts_of,
        prompts=prompts,
        max_tokens=max_tokens,
        levels=list(levels),
    )


def write_load(folder: Path, record: LoadRecord) -> Path:
    """Write it sealed, whole or not at all; returns the file."""
    write_sealed(folder / FILE, record)
    return folder / FILE
