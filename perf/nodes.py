"""How much faster a Ray cluster of two nodes is than one node, and whether all score the same.

    PYTHONPATH=. python perf/nodes.py [--seeds 4] [--limit 2000] [--out DIR]

Clusters of one and of two nodes with one core each are made on this machine; `harness compare` runs the same
small embedded comparison on each, and on this machine's cores in groups of one. It asks for a quiet machine
with at least two cores: what else runs counts as time. Exits 1 where the speed-up is below `LEAST` or a
score differs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LEAST = 1.7
STORE_BYTES = 80 * 2**20


@dataclass(frozen=True)
class Ran:
    """One comparison: its wall time, and every score by cell and metric."""

    seconds: float
    scores: dict[str, float | None]


@contextlib.contextmanager
def cluster(nodes: int) -> Iterator[str]:
    """The address of a cluster whose nodes have one core each."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    made = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            made.add_node(**node)
        yield made.address
    finally:
        made.shutdown()


def compare(out: Path, executor: str, seeds: int, limit: int) -> Ran:
    """Run the comparison in a root of its own; raises RuntimeError where it fails."""
    settings = [f"executor={executor}", f"data.limit={limit}", "score=[preference]"]
    words = ["compare", "embedded", "--out", str(out), "--no-mlflow", "--seeds", str(seeds)]
    words += [word for text in settings for word in ("--set", text)]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{executor}: {done.stdout}\n{done.stderr}")
    return Ran(time.monotonic() - began, scores_in(out / "latest" / "record.json"))


def scores_in(record: Path) -> dict[str, float | None]:
    """`cell benchmark.metric` -> estimate, of a run's record."""
    data = json.loads(record.read_bytes())
    results = data["results"].values()
    return {
        f"{result['name']} {score['benchmark']}.{score['metric']}": score["estimate"]
        for result in results
        for score in result["scores"]
    }


def main() -> int:
    """Run all three and print what they took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--limit", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        out, ran = asked.out or Path(made), dict[str, Ran]()
        ran["local"] = compare(out / "local", "{name: local, devices: 2}", asked.seeds, asked.limit)
        for nodes in (1, 2):
            with cluster(nodes) as address:
                executor = f"{{name: ray, address: '{address}'}}"
                ran[f"{nodes} node(s)"] = compare(out / f"ray{nodes}", executor, asked.seeds, asked.limit)
            print(f"{nodes} node(s): {ran[f'{nodes} node(s)'].seconds:.1f} s, load {os.getloadavg()[0]:.1f}")
    speed_up = ran["1 node(s)"].seconds / ran["2 node(s)"].seconds
    same = all(one.scores == ran["local"].scores for one in ran.values())
    print(f"speed-up {speed_up:.2f}; scores {'equal bit for bit' if same else 'differ'}")
    return 0 if same and speed_up >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
