"""`harness improve`: the next round of a comparison, with new pairs and the same test."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from harness.commands.improve_pairs import Known, Made, Wish, check_judge, known_pairs, of_votes, sampled
from harness.errors import UserError
from harness.jsonl import write_jsonl
from harness.pipeline.improved import next_comparison
from harness.pipeline.load import load_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.validate import validate
from harness.records import Round
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole

COMPARISON, TRAIN, TEST, ROUND = "comparison.yaml", "train.jsonl", "test.jsonl", "round.json"


def run(run_name: str, wish: Wish | None, *, to: Path, out: Path) -> int:
    """Write the next round's folder, whole or not at all; `wish` None makes its pairs of people's votes."""
    if wish is not None:
        check_judge(wish)
    _check_target(to)
    folder = RunRoot(out).find_run(run_name)
    root, record = RunRoot(folder.parent), read_record(folder)
    spec = validate(ComparisonSpec, record.plan.spec, where=lambda key: record.id)
    made = of_votes(folder, root, record) if wish is None else sampled(root, record, spec, wish)
    known = known_pairs(root, record)
    _write(to, spec, [*record.chain, made.round], known, made)
    _say(made, len(known.rows), to, out)
    return 0


def _check_target(to: Path) -> None:
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise UserError("is there already", where=str(to), remedy="name a new folder by --to")


def _write(
    to: Path,
    spec: ComparisonSpec,
    chain: Sequence[Round],
    known: Known,
    made_pairs: Made,
) -> None:
    """The folder; its comparison is read as `harness compare` reads it before it takes its place."""
    new, rows = made_pairs.new, known.rows
    if not new.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in new.left_out.items())
        raise UserError(
            f"no prompt gave a pair ({reasons})",
            where="improve",
            remedy=made_pairs.remedy,
        )
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as place:
        made = Path(place) / "made"
        made.mkdir()
        write_jsonl(made / TRAIN, [*rows, *new.rows])
        write_jsonl(made / TEST, known.test)
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


def _say(made: Made, before: int, to: Path, out: Path) -> None:
    new, console = made.new, PlainConsole()
    left_out = "".join(f"; {count} prompts: {reason}" for reason, count in new.left_out.items())
    flag = "" if out == Path("runs") else f" --out {out}"
    for line in (
        f"{len(new.rows)} new pairs from {made.asked} prompts{left_out}",
        f"{before + len(new.rows)} pairs to train on, {before} before; the test is the same, pair by pair",
        "At the same epochs the next round takes more steps: part of what it gains may be theirs",
        f"Next: harness compare {to / COMPARISON}{flag}",
    ):
        console.print(line, soft_wrap=True)
