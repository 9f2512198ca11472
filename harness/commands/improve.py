"""`harness improve`: the next round of a comparison, with an arm's own answers, ranked, as new pairs."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import registry
from harness.commands.export import choose
from harness.commands.view import view_of
from harness.errors import UserError
from harness.jsonl import read_jsonl, write_jsonl
from harness.judges import load_judge
from harness.pipeline.improved import (
    NewPairs,
    best_against_worst,
    next_comparison,
    old_row,
    plain,
    same_pair,
)
from harness.pipeline.load import load_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.pipeline.validate import validate
from harness.records import ComparisonRecord, Round, StageResult
from harness.running.execute import Asked
from harness.running.later import later
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole

COMPARISON, TRAIN, TEST, ROUND = "comparison.yaml", "train.jsonl", "test.jsonl", "round.json"
SOURCE = "on_policy"


@dataclass(frozen=True)
class Wish:
    """Whose answers, how many prompts (None: all of the training split) and samples, and who ranks them."""

    arm: str
    seed: str | None
    judge: str
    judge_config: Mapping[str, Any]
    prompts: int | None
    samples: int
    temperature: float


def run(run_name: str, wish: Wish, *, to: Path, out: Path) -> int:
    """Sample and rank, then write the next round's folder, whole or not at all."""
    _check_judge(wish)
    _check_target(to)
    folder = RunRoot(out).find_run(run_name)
    root, record = RunRoot(folder.parent), read_record(folder)
    cell = choose(view_of(record, root), wish.arm, wish.seed).cell
    spec = validate(ComparisonSpec, record.plan.spec, where=lambda key: record.id)
    resolved = resolve(spec, beside=[("judges", wish.judge)])
    plans = StagePlans(spec, resolved)
    plans.stages = dict(record.plan.stages)
    asked = {
        "judge": wish.judge,
        "judge_config": dict(wish.judge_config),
        "prompts": wish.prompts,
        "samples": wish.samples,
        "temperature": wish.temperature,
    }
    digest = plans.sample(cell.arm, cell.seed, record.plan.prepare, cell.stages[-1], asked)
    plan = record.plan.model_copy(update={"stages": plans.stages, "order": [*record.plan.order, digest]})
    console, made_of = PlainConsole(), Asked(spec, resolved)
    what = f"sampling for the round after {record.id} in {root.path}"
    with later(record, root, plan, [digest], asked=made_of, what=what, console=console) as at_work:
        at_work.execution.run([digest])
    prepared = root.folder_of(record.results[record.plan.prepare])
    rows, test = (_prepared_rows(prepared / f"{split}.parquet") for split in ("train", "test"))
    samples = list(read_jsonl(root.stage_folder(digest) / "samples.jsonl"))
    source = f"{SOURCE}: {cell.arm}@{cell.seed} of {record.id}"
    new = best_against_worst(
        samples, frozenset(plain(row["prompt"]) for row in test), frozenset(map(same_pair, rows)), source
    )
    _write(to, spec, _chain(record, wish, new, at_work.execution.results[digest]), rows, new, test)
    _say(console, new, len(samples), len(rows), to, out)
    return 0


def _check_judge(wish: Wish) -> None:
    registry.check("judges", wish.judge, where="--judge")
    module = load_judge(wish.judge)
    module.check(validate(module.Config, dict(wish.judge_config), where=lambda key: "--judge-config"))


def _check_target(to: Path) -> None:
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise UserError("is there already", where=str(to), remedy="name a new folder by --to")


def _prepared_rows(file: Path) -> list[dict[str, Any]]:
    """Pairs as rows that are read as pairs of the same ids."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file, columns=["id", "prompt", "chosen", "rejected"])
    return [old_row(row) for row in table.to_pylist()]


def _chain(record: ComparisonRecord, wish: Wish, new: NewPairs, sampled: StageResult) -> list[Round]:
    seconds = [
        m.value for name in ("generation_seconds", "evaluation_seconds") if (m := sampled.measured(name))
    ]
    this = Round(
        run=record.id,
        source=SOURCE,
        arm=wish.arm,
        judge=wish.judge,
        pairs_added=len(new.rows),
        seconds=sum(value for value in seconds if value is not None) if seconds else None,
    )
    return [*record.chain, this]


def _write(
    to: Path,
    spec: ComparisonSpec,
    chain: Sequence[Round],
    rows: list[dict[str, Any]],
    new: NewPairs,
    test: list[dict[str, Any]],
) -> None:
    """The folder; its comparison is read as `harness compare` reads it before it takes its place."""
    if not new.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in new.left_out.items())
        raise UserError(
            f"no prompt gave a pair ({reasons})",
            where="improve",
            remedy="draw more --samples at a higher --temperature, or have another judge rank them",
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as place:
        made = Path(place) / "made"
        made.mkdir()
        write_jsonl(made / TRAIN, [*rows, *new.rows])
        write_jsonl(made / TEST, test)
        file = next_comparison(spec, str(to.resolve()), chain)
        (made / COMPARISON).write_text(
            yaml.safe_dump(file, sort_keys=False, allow_unicode=True), encoding="utf-8"
        )
        told = {"chain": file["chain"], "left_out": dict(new.left_out), "pairs_before": len(rows)}
        (made / ROUND).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
        load_comparison(made / COMPARISON)
        if to.exists():
            shutil.rmtree(to)
        os.replace(made, to)


def _say(console: PlainConsole, new: NewPairs, asked: int, before: int, to: Path, out: Path) -> None:
    left_out = "".join(f"; {count} prompts: {reason}" for reason, count in new.left_out.items())
    flag = "" if out == Path("runs") else f" --out {out}"
    for line in (
        f"{len(new.rows)} new pairs from {asked} prompts{left_out}",
        f"{before + len(new.rows)} pairs to train on, {before} before; the test is the same, pair by pair",
        "At the same epochs the next round takes more steps: part of what it gains may be theirs",
        f"Next: harness compare {to / COMPARISON}{flag}",
    ):
        console.print(line, soft_wrap=True)
