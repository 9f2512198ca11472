"""How the cost of a comparison grows with its seeds, arms, test pairs and training pairs.

    PYTHONPATH=. python perf/growth.py [--repeats 2] [--only seeds arms items pairs]

`harness compare` runs whole on small embedded comparisons of which one number alone grows tenfold. The cost
is processor time of the command and all its processes, which neighbours on the machine disturb least. Each
has one thread, since threads that wait for each other count as work. `fixed + each * n^exponent` is fitted to
the cost. The interval of the exponent holds all that the repeats do not rule out at 95% (profile likelihood).
Exits 1 where all of one lies above the goal (`perf/goals.py`).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from perf import goals
from perf.paired import Interval

LEAST, STEPS = 64, (1, 2, 5, 10)
EXPONENTS = np.arange(0.2, 2.001, 0.01)


@dataclass(frozen=True)
class Fit:
    """`fixed + each * n^exponent` seconds; `low` and `high` are the exponent's interval."""

    exponent: float
    low: float
    high: float
    fixed: float
    each: float

    def __str__(self) -> str:
        interval = f"{self.exponent:.2f} ({self.low:.2f} to {self.high:.2f})"
        return f"{self.fixed:.1f} s + {self.each:.3g} s * n^{interval}"


def fit(numbers: Sequence[float], seconds: Sequence[float]) -> Fit:
    """The best exponent on a grid, fixed part and factor by least squares and not below 0."""
    n, y = np.asarray(numbers, float), np.asarray(seconds, float)
    tried = [_given(exponent, n, y) for exponent in EXPONENTS]
    errors = np.array([error for error, _, _ in tried])
    best = int(errors.argmin())
    freedom = max(1, len(n) - 3)
    allowed = errors[best] * (1 + stats.f.ppf(0.95, 1, freedom) / freedom) + 1e-12
    held = EXPONENTS[errors <= allowed]
    _, fixed, each = tried[best]
    return Fit(float(EXPONENTS[best]), float(held.min()), float(held.max()), fixed, each)


def _given(exponent: float, n: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Squared error, fixed part and factor at one exponent. Errors are relative, as times' are."""
    from scipy.optimize import nnls

    columns = np.stack([np.ones_like(n), n**exponent], axis=1) / y[:, None]
    found, norm = nnls(columns, np.ones_like(y))
    return float(norm) ** 2, float(found[0]), float(found[1])


def seeds(n: int, folder: Path) -> list[str]:
    """Two arms at n seeds."""
    return _command(arms="sft_dpo orpo", seeds=n)


def arms(n: int, folder: Path) -> list[str]:
    """n arms of ORPO that differ in weight decay, at one seed."""
    files = []
    for number in range(1, n + 1):
        files.append(folder / f"orpo_{number}.yaml")
        stage = {"method": "orpo", "config": {"weight_decay": number / 1000}}
        files[-1].write_text(json.dumps({"kind": "arm", "name": f"orpo_{number}", "stages": [stage]}))
    sets = (f"baseline=orpo_{n}", f"cost_reference=orpo_{n}", "allow_unequal=[optimizer]")
    return [*_command(arms=" ".join(map(str, files)), seeds=1), *(f"--set={one}" for one in sets)]


def items(n: int, folder: Path) -> list[str]:
    """Two arms that are scored on 32 n pairs and prompts."""
    return _command(arms="sft_dpo orpo", seeds=1, items=LEAST // 2 * n)


def pairs(n: int, folder: Path) -> list[str]:
    """Two arms that are trained on 64 n pairs."""
    return _command(arms="sft_dpo orpo", seeds=1, pairs=LEAST * n)


def _command(*, arms: str, seeds: int, items: int = LEAST // 2, pairs: int = LEAST) -> list[str]:
    sets = (f"data.limit={pairs}", f"data.test_limit={items}", "questions=[]")
    command = [sys.executable, "-m", "harness", "compare", "embedded", "--arms", arms, "--seeds", str(seeds)]
    return [*command, "--score", "preference rubric", *(f"--set={one}" for one in sets)]


GROWING: dict[str, Callable[[int, Path], list[str]]] = {
    "seeds": seeds,
    "arms": arms,
    "items": items,
    "pairs": pairs,
}


def cost(command: Sequence[str], folder: Path) -> float:
    """Processor seconds of the command with all that it started; ends the program where it fails."""
    before = _used()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*command, "--out", str(folder / "runs")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return _used() - before


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(growing: str, repeats: int) -> tuple[list[float], list[float]]:
    """Numbers and seconds, every number once a repeat."""
    numbers, seconds = list[float](), list[float]()
    for _ in range(repeats):
        for n in STEPS:
            with tempfile.TemporaryDirectory() as folder:
                seconds.append(cost(GROWING[growing](n, Path(folder)), Path(folder)))
            numbers.append(n)
            print(f"{growing} x {n}: {seconds[-1]:.1f} s of processor time", flush=True)
    return numbers, seconds


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=list(GROWING), default=list(GROWING))
    given = parser.parse_args()
    found, missed = {}, False
    for growing in given.only:
        one = fit(*measure(growing, given.repeats))
        held = Interval(one.exponent, one.low, one.high)
        missed |= goals.EXPONENT.missed(held)
        found[growing] = {**asdict(one), "verdict": goals.EXPONENT.verdict(held)}
        print(f"{growing}: {one}, goal {goals.EXPONENT}, {found[growing]['verdict']}", flush=True)
    print(json.dumps({"benchmark": "growth", "repeats": given.repeats, "steps": STEPS, "fits": found}))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
