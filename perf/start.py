"""How long the command line takes to answer, beside an empty python, in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time

EMPTY = "python -c pass"
COMMANDS = {
    EMPTY: [sys.executable, "-c", "pass"],
    "harness --help": [sys.executable, "-m", "harness", "--help"],
    "harness list": [sys.executable, "-m", "harness", "list"],
}
ROUNDS = 5


def main() -> None:
    """Print a table of medians, then the same as one line of JSON."""
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(ROUNDS + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.perf_counter() - began)
    # The first round fills the disk's cache and stands for no later one.
    medians = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    print(f"{'command':16} {'median s':>8} {'x empty python':>15}")
    for name, median in medians.items():
        print(f"{name:16} {median:8.3f} {median / medians[EMPTY]:15.1f}")
    rows = {n: {"median_seconds": m, "ratio": m / medians[EMPTY]} for n, m in medians.items()}
    print(json.dumps({"benchmark": "start", "rounds": ROUNDS, "commands": rows}))


if __name__ == "__main__":
    main()
