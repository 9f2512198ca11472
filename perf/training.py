"""Each training stage beside stock TRL's script for its method: seconds, tokens a second, memory, losses.

    PYTHONPATH=. python perf/training.py [--repeats 5] [--limit PAIRS]
    PYTHONPATH=. python perf/training.py --model FOLDER --data FOLDER [--limit 16] [--max-length 512]

Ours and stock take turns, in fresh processes, on the same pairs in the same order from the same weights with
the same settings; which goes first alternates. `train_seconds` is training alone, in both, with our reference
pass where it comes before. `wall_seconds` runs from the model's load to the saved checkpoint; stock tokenises
in it, ours before it. Growth is the kernel's high-water mark of the child process up to the saved checkpoint
above what it was after imports, read alike on both sides; the weights are in it. Padding is no token.

Without a model it trains the embedded one and judges seconds; with `--model` and `--data` (a folder with
train.jsonl and test.jsonl; pairs that fit `--max-length` whole are taken) tokens a second and growth.
`--rehearse` also rehearses. Losses of the embedded model are compared step by step with stock scripts that
run once more, on nobody's clock. Exits 1 where the whole interval of a ratio misses its goal
(`perf/goals.py`), or where losses that both sides define alike differ within the first steps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from harness.measure.environment import device_identity
from harness.measure.gpu_lock import GpuLock
from harness.pipeline.overrides import Overrides
from harness.records import PrepareFacts, RehearseFacts
from perf import goals
from perf.fitting import write_fitting
from perf.losses import Apart, Window, by_step, first_difference, last_difference
from perf.paired import Goal, in_turn
from perf.prepared import Prepared
from perf.ratios import Row, print_rows
from perf.spent import length, training_seconds
from perf.stock.run_all import METHODS, STOCK, ScriptFailed, call, train_arguments

ADDED_TOKENS = 2
"""What TRL's ORPO puts around each sequence, a beginning and an end of its own; the others add nothing."""
TEN_MINUTES = 600.0
PLAIN = argparse.RawDescriptionHelpFormatter
REAL = (
    *("training.epochs=1", "training.batch_size=4", "training.micro_batch_size=2"),
    *("training.precision=float32", "training.gradient_checkpointing=false", "if_too_large=null"),
)


@dataclass(frozen=True)
class Trained:
    """What one side says of one stage."""

    train_seconds: float
    wall_seconds: float
    growth_bytes: float
    tokens: int
    steps: int
    losses: list[Window]

    @property
    def rate(self) -> float:
        """Real tokens a second."""
        return self.tokens / self.train_seconds


@dataclass(frozen=True)
class Outside:
    """Seconds of one of our stages beside training: start-up, load, saving, counting, audit, fingerprints.
    Apart from these its probes, whose number a share of the training bounds."""

    fixed: float
    probes: float

    def __str__(self) -> str:
        share = f"{self.fixed / TEN_MINUTES:.2%} of a stage that trains for ten minutes"
        return f"{self.fixed:.1f} s outside training, {share} (goal at most {goals.OUTSIDE:.0%})"


Pairs = list[tuple[Trained, Trained]]
"""(ours, stock) of every repeat."""


class Duel:
    """A comparison's training stages at one seed, each to be run by us and by stock."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared, self.plan = prepared, prepared.plan
        self.outside: dict[str, Outside] = {}
        """By method, of the last of our stages that ran."""

    def stages(self, repeat: int) -> list[str]:
        """Digests of one repeat's training stages: SFT before the DPO that starts from it."""
        cells = [cell for cell in self.plan.cells if cell.repeat == repeat]
        return list(dict.fromkeys(digest for cell in cells for digest in cell.stages))

    def method(self, digest: str) -> str:
        """What a stage optimises."""
        return str(self.plan.stages[digest].config["method"])

    def sequences(self, digest: str) -> int:
        """Sequences of one epoch of a stage."""
        facts = self.prepared.execution.results[self.plan.prepare].facts_as(PrepareFacts)
        return facts.train_pairs * (1 if self.method(digest) == "sft" else 2)

    def ours(self, digest: str) -> Trained:
        """Run our stage; its ledger's figures."""
        self.prepared.execution.run([digest])
        result = self.prepared.execution.results[digest]
        ledger = {m.quantity: float(m.value) for m in result.ledger if m.value is not None}
        trained = training_seconds(result)
        whole = ledger["start_up_seconds"] + length(result)
        probes = ledger.get("evaluation_seconds", 0.0)
        self.outside[self.method(digest)] = Outside(whole - trained - probes, probes)
        return Trained(
            train_seconds=trained,
            wall_seconds=ledger["wall_seconds"],
            growth_bytes=ledger["host_growth_bytes"],
            tokens=int(ledger["tokens_real"]),
            steps=int(ledger["steps"]),
            losses=by_step(self.prepared.root.stage_folder(digest) / "steps.jsonl"),
        )

    def stock(self, digest: str, *, by_step: bool = False, halved: bool = False) -> Trained:
        """Run stock TRL's script for the stage's method, in a folder and with a cache of its own.

        `by_step` logs every loss, `halved` takes micro-batches of half the size.
        """
        stage = self.plan.stages[digest]
        settings = dict(stage.config["config"])
        settings["micro_batch_size"] //= 2 if halved else 1
        with tempfile.TemporaryDirectory(dir=self.prepared.folder) as temporary:
            given = train_arguments(
                model=str(self.prepared.start(stage, Path(temporary))),
                pairs=str(self.prepared.train_file(stage.seed)),
                out=Path(temporary) / "out",
                settings=settings,
                max_length=self.prepared.spec.data.max_length,
                seed=stage.seed,
                in_order=True,
                log_every=1 if by_step else None,
            )
            _, said = call(self.method(digest), given, Path(temporary) / "cache")
        return Trained(**{name: said[name] for name in Trained.__dataclass_fields__})

    def apart(self, digest: str, ours: Trained) -> Apart:
        """How far our training and stock's are apart, step by step; on nobody's clock."""
        stock = self.stock(digest, by_step=True)
        halves = self.plan.stages[digest].config["config"]["micro_batch_size"] > 1
        halved = self.stock(digest, by_step=True, halved=True) if halves else None
        rounding = None if halved is None else last_difference(halved.losses, stock.losses)
        return Apart(
            first=first_difference(ours.losses, stock.losses),
            last=last_difference(ours.losses, stock.losses),
            rounding=rounding,
        )

    def foretold(self) -> dict[str, tuple[float, float]]:
        """Rehearse every stage: seconds that it took, and those that it foretells, by method."""
        found = {}
        for digest in self.plan.rehearsals:
            self.prepared.execution.run([digest])
            facts = self.prepared.execution.results[digest].facts_as(RehearseFacts)
            assert facts.seconds is not None, "a rehearsal says what it took"
            assert facts.prediction is not None, "a rehearsal did not fit"
            method = self.plan.stages[digest].config["job"]["method"]
            found[str(method)] = (facts.seconds, facts.prediction.seconds)
        return found


def same_work(ours: Trained, stock: Trained, sequences: int) -> bool:
    """Whether both took the same steps over the same tokens, but for those that TRL adds to a sequence."""
    return ours.steps == stock.steps and 0 <= stock.tokens - ours.tokens <= ADDED_TOKENS * sequences


def measure(duel: Duel, repeats: int) -> dict[str, Pairs]:
    """By method, both sides of every repeat; ends the program where they did not do the same work."""
    found: dict[str, Pairs] = {}
    for repeat in range(repeats):
        for digest in duel.stages(repeat):
            ours, stock = in_turn(repeat, partial(duel.ours, digest), partial(duel.stock, digest))
            if not same_work(ours, stock, duel.sequences(digest)):
                sys.exit(
                    f"{duel.plan.stages[digest].name}: not the same work. Ours took {ours.steps} steps over "
                    f"{ours.tokens} tokens, stock {stock.steps} over {stock.tokens}"
                )
            found.setdefault(duel.method(digest), []).append((ours, stock))
    return found


def rows_of(measured: Mapping[str, Pairs], *, real: bool) -> list[Row]:
    """Ratios of each method; goals are those of a real model, or of the embedded one."""
    rows = []
    for method, pairs in measured.items():
        held = (None if real else goals.STAGE, goals.RATE[method] if real else None)
        grown = goals.GROWTH.get(method) if real else None
        rows += [
            _row(f"{method} train_seconds", [(a.train_seconds, b.train_seconds) for a, b in pairs], held[0]),
            _row(f"{method} wall_seconds", [(a.wall_seconds, b.wall_seconds) for a, b in pairs], None),
            _row(f"{method} tokens/s", [(a.rate, b.rate) for a, b in pairs], held[1]),
            _row(f"{method} growth MiB", [(a.growth_bytes, b.growth_bytes) for a, b in pairs], grown, 2**20),
        ]
    return rows


def _row(name: str, pairs: Sequence[tuple[float, float]], goal: Goal | None, unit: float = 1.0) -> Row:
    return Row(name, [ours / unit for ours, _ in pairs], [stock / unit for _, stock in pairs], goal)


def compare_losses(duel: Duel, measured: Mapping[str, Pairs], *, real: bool) -> dict[str, Apart]:
    """By method, the first repeat's losses beside stock's.

    A `real` model takes few steps and minutes for them, so that the mean that was logged on the clock does.
    """
    found = {}
    for digest in duel.stages(0):
        ours, stock = measured[duel.method(digest)][0]
        mean = last_difference(ours.losses, stock.losses)
        apart = Apart(mean, mean, None) if real else duel.apart(digest, ours)
        found[duel.method(digest)] = replace(apart, same_tokens=ours.tokens == stock.tokens)
    return found


def report(
    measured: Mapping[str, Pairs],
    *,
    real: bool,
    rehearsed: Mapping[str, tuple[float, float]],
    losses: Mapping[str, Apart],
    outside: Mapping[str, Outside],
) -> int:
    """Print a table and the same as one line of JSON; 1 where a goal is missed or losses begin elsewhere."""
    rows = rows_of(measured, real=real)
    print_rows(rows)
    goals.print_losses(losses)
    for method, (took, foretold) in rehearsed.items():
        share = f"{took / foretold:.1%} of the {foretold:.1f} s that it foretells"
        print(f"rehearsal of {method}: {took:.1f} s, {share} (goal at most {goals.REHEARSAL:.0%})")
    for method, seconds in outside.items():
        print(f"{method}: {seconds}; probes {seconds.probes:.1f} s")
    apart = {method: asdict(one) for method, one in losses.items()}
    figures = {"rows": [row.as_json() for row in rows], "losses": apart, "rehearsed": rehearsed}
    figures |= {"outside": {method: asdict(seconds) for method, seconds in outside.items()}}
    print(json.dumps({"benchmark": "training", "real": real, **figures}))
    return int(goals.astray(losses) or any(row.missed for row in rows))


def _overrides(given: argparse.Namespace, folder: Path) -> tuple[str, Overrides]:
    """The comparison and what is set over its file: a seed, repeats, nothing to score."""
    sets = [f"repeats={given.repeats}", "score=[]", "questions=[]"]
    arms = ["sft_dpo", "orpo"]
    if given.model is None:
        sets += [f"data.limit={given.limit}"] if given.limit else []
        return "embedded", Overrides(arms=arms, seeds="1", sets=sets)
    data = folder / "data"
    write_fitting(given.model, given.data, data, pairs=given.limit or 16, max_length=given.max_length)
    sets += [*REAL, f"data.max_length={given.max_length}"]
    return "ultrafeedback", Overrides(str(given.model), str(data), arms, "1", sets=sets)


def _warm_disk() -> None:
    """Import what both sides import once, so that no measured process reads it from the disk first."""
    for method in METHODS:
        script = str(STOCK / f"{method}.py")
        subprocess.run([sys.executable, script, "--help"], capture_output=True, check=True)
    subprocess.run([sys.executable, "-c", "import harness.training.run"], check=True)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=PLAIN)
    parser.add_argument("--repeats", type=int, default=5, help="paired repeats")
    parser.add_argument("--limit", type=int, help="pairs to train on (with --model 16)")
    parser.add_argument("--model", type=Path, help="folder of a real model")
    parser.add_argument("--data", type=Path, help="folder with its train and test pairs")
    parser.add_argument("--max-length", type=int, default=512, help="tokens of a sequence, with --model")
    parser.add_argument("--rehearse", action="store_true", help="also rehearse each stage, and say its share")
    given = parser.parse_args()
    if (given.model is None) != (given.data is None):
        parser.error("--model and --data go together")
    with (
        tempfile.TemporaryDirectory() as temporary,
        GpuLock(device_identity(), what="perf/training.py"),
    ):
        folder = Path(temporary).resolve()
        duel = Duel(Prepared(folder, *_overrides(given, folder)))
        _warm_disk()
        try:
            # As in a comparison, where stages take the counts of their rehearsals.
            rehearsed = duel.foretold() if given.rehearse else {}
            measured = measure(duel, given.repeats)
            losses = compare_losses(duel, measured, real=given.model is not None)
        except ScriptFailed as failure:
            sys.exit(str(failure))
    return report(
        measured, real=given.model is not None, rehearsed=rehearsed, losses=losses, outside=duel.outside
    )


if __name__ == "__main__":
    sys.exit(main())
