"""The first hour on a GPU: a checklist, one JSON and one table, resumable.

    python perf/gpu.py [--out runs-gpu] [--minutes 25] [--items nvml kernels ...] [--toy]

Every item ends in pass, fail or not available. It needs no network: models have random weights, texts are
made. What is done is kept, so a call that runs out of minutes goes on where it stopped. `--toy` tries the
checklist at small sizes, where no GPU is.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness.measure import device
from harness.records import DeviceKind
from perf.checklist.bench import Bench, Outcome, OutOfTime
from perf.checklist.items import ITEMS


def main() -> int:
    """Run what time allows, and write what there is; 1 where an item failed."""
    arguments = _arguments()
    kind = device.kind()
    if kind == "cpu" and not arguments.toy:
        print("perf/gpu.py: no GPU here; run it where one is, or try it with --toy", file=sys.stderr)
        return 2
    out = arguments.out.resolve()
    file = out / "gpu.json"
    report = _earlier(file, _environment(kind))
    bench = Bench(out, arguments.toy, time.monotonic() + 60 * arguments.minutes)
    for name in arguments.items:
        if name in report["items"] and report["items"][name]["status"] == "pass":
            continue
        outcome = _tried(name, bench)
        if outcome is None:
            break
        report["items"][name] = asdict(outcome)
        out.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(report, indent=1))
    _print(report, file)
    return int(any(item["status"] == "fail" for item in report["items"].values()))


def _tried(name: str, bench: Bench) -> Outcome | None:
    """What the item found; None where time ran out. An error is a failure, with its last line."""
    try:
        return ITEMS[name].run(bench)
    except OutOfTime:
        return None
    except Exception as error:
        traceback.print_exc()
        return Outcome("fail", {}, f"{type(error).__name__}: {error}")


def _earlier(file: Path, environment: dict[str, Any]) -> dict[str, Any]:
    """What an earlier call found on the same device and commit; nothing of another's."""
    found: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
    same = ("device_name", "gpu_uuid", "git_commit", "lock_digest")
    before = found.get("environment") or {}
    kept = found.get("items", {}) if all(before.get(k) == environment[k] for k in same) else {}
    return {"environment": environment, "items": kept}


def _environment(kind: DeviceKind) -> dict[str, Any]:
    from harness.measure.environment import collect

    return collect(kind).model_dump()


def _print(report: dict[str, Any], file: Path) -> None:
    table = Table(
        title=f"Checklist on {report['environment']['device_name']}", box=None, title_justify="left"
    )
    for heading in ("item", "what has to hold", "outcome", "why"):
        table.add_column(heading)
    for name, item in ITEMS.items():
        done = report["items"].get(name, {"status": "not run yet", "why": ""})
        table.add_row(name, item.claim, done["status"], done["why"])
    Console().print(table)
    print(file)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs-gpu"))
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--items", nargs="+", default=list(ITEMS), choices=list(ITEMS))
    parser.add_argument("--toy", action="store_true", help="small stand-ins, to try it without a GPU")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
