"""How long a report of 1,000 cells takes, and what memory: a made store on disk, read and rendered.

Limits: 10 seconds and 1 GiB, imports left out; fails above either.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness import registry
from harness.commands import report as command
from harness.jsonl import write_jsonl
from harness.records import ComparisonRecord, Score
from harness.store.run_dir import RunRoot
from tests.synthetic import make_record

ITEMS, SECONDS, BYTES = 100, 10.0, 2**30
METRICS = ("accuracy", "margin")
SHARES = {"sft": 0.4, "sft_dpo": 0.5, "orpo": 0.6, "sft_dpo_precomputed": 0.5}


def make_store(folder: Path, seeds: int) -> ComparisonRecord:
    """A run root with four arms at `seeds` seeds: items, steps and a record."""
    record = make_record(seeds=tuple(range(seeds)), full=True)
    rng = random.Random(0)
    results: dict[str, Any] = dict(record.results)
    root = RunRoot(folder)
    root.open_for_writing()
    for digest, result in record.results.items():
        stage = root.stage_folder(digest)
        stage.mkdir(parents=True)
        if "steps" in result.outputs:
            rows = [
                {"step": s, "metrics": {"loss": 1.0, "elapsed_seconds": s + 1.0, "elapsed_flops": s * 1e10}}
                for s in range(30)
            ]
            write_jsonl(stage / "steps.jsonl", rows)
        if result.kind == "evaluate":
            share = SHARES[result.name.split("/")[0]]
            items = [
                {
                    "id": f"i{i}",
                    "metrics": {"accuracy": float(rng.random() < share), "margin": rng.gauss(share, 1)},
                }
                for i in range(ITEMS)
            ]
            write_jsonl(stage / "scores" / "preference.jsonl", items)
            scores = [
                Score(
                    benchmark="preference",
                    metric=metric,
                    estimate=sum(i["metrics"][metric] for i in items) / ITEMS,  # type: ignore[index]
                    n=ITEMS,
                    items_file="scores/preference.jsonl",
                )
                for metric in METRICS
            ]
            results[digest] = result.model_copy(update={"scores": scores})
    whole = record.model_copy(update={"results": results})
    root.write_record(whole)
    return whole


def main() -> None:
    """Print seconds and memory, then the same as JSON; exit 1 above a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1000)
    arguments = parser.parse_args()
    import matplotlib.backends.backend_pdf
    import matplotlib.backends.backend_svg  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import scipy.stats  # noqa: F401

    for name in registry.names("formats"):
        registry.load("formats", name)
    with tempfile.TemporaryDirectory() as temporary:
        record = make_store(Path(temporary), arguments.cells // len(SHARES))
        began = time.perf_counter()
        command.run(record.id, out=Path(temporary), format_name=None)
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"cells": len(record.plan.cells), "seconds": round(seconds, 2), "peak_bytes": peak}
    print(f"{found['cells']:,} cells: {seconds:.2f} s, {peak / 2**20:.0f} MiB with imports")
    print(json.dumps(found))
    sys.exit(seconds > SECONDS or peak > BYTES)


if __name__ == "__main__":
    main()
