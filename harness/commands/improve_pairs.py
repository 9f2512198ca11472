"""Where a next round's pairs come from: an arm's own answers that a judge ranked, or people's votes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import registry
from harness.arena.pairs import pairs_of
from harness.commands.export import choose
from harness.commands.view import view_of
from harness.errors import UserError
from harness.evidence.people import HUMAN
from harness.jsonl import read_jsonl
from harness.judges import grading, load_judge
from harness.pipeline.improved import NewPairs, best_against_worst, of_people, old_row, plain, same_pair
from harness.pipeline.spec import ComparisonSpec
from harness.pipeline.stage_plans import StagePlans
from harness.pipeline.validate import validate
from harness.records import ComparisonRecord, Round, StageResult
from harness.running.execute import Asked
from harness.running.later import later
from harness.running.resolve import resolve
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole
from harness.votes import read_votes, votes_path

ON_POLICY, ARENA = "on_policy", "arena"
ANOTHER = "name one that grades by --judge: embedded, openai, reward_model"


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


@dataclass(frozen=True)
class Known:
    """The run's prepared pairs as rows: what a next round keeps, and what it is tested on."""

    rows: list[dict[str, Any]]
    test: list[dict[str, Any]]

    @property
    def prompts_of_the_test(self) -> frozenset[str]:
        return frozenset(plain(row["prompt"]) for row in self.test)


@dataclass(frozen=True)
class Made:
    """New pairs of `asked` prompts, the round as later ones tell of it, what to do where there are none."""

    new: NewPairs
    asked: int
    round: Round
    remedy: str


def known_pairs(root: RunRoot, record: ComparisonRecord) -> Known:
    """Those that the run's preparing stage wrote."""
    prepared = root.folder_of(record.results[record.plan.prepare])
    rows, test = (_prepared_rows(prepared / f"{split}.parquet") for split in ("train", "test"))
    return Known(rows, test)


def of_votes(folder: Path, root: RunRoot, record: ComparisonRecord) -> Made:
    """Pairs of the run's votes; raises UserError where nobody voted."""
    known = known_pairs(root, record)
    remedy = f"vote on others first: `harness arena {record.id} --prompts train`, or a file of prompts"
    votes = read_votes(votes_path(folder))
    voted = pairs_of(votes, record.id)
    if not voted:
        raise UserError("nobody preferred an answer yet", where=str(votes_path(folder)), remedy=remedy)
    old = frozenset(map(same_pair, known.rows))
    new = of_people(voted, known.prompts_of_the_test, old, f"{ARENA}: {record.id}")
    arms = sorted({row["arm_chosen"] for row in voted} | {row["arm_rejected"] for row in voted})
    this = Round(
        run=record.id,
        source=ARENA,
        arm=", ".join(arms),
        judge=HUMAN,
        pairs_added=len(new.rows),
        seconds=sum(vote.milliseconds for vote in votes) / 1000,
    )
    return Made(new, len({plain(vote.messages) for vote in votes}), this, remedy)


def sampled(root: RunRoot, record: ComparisonRecord, spec: ComparisonSpec, wish: Wish) -> Made:
    """Have the arm answer training prompts and the judge rank them: the best against the worst of each."""
    result = _samples(root, record, spec, wish)
    answers = list(read_jsonl(root.folder_of(result) / "samples.jsonl"))
    known = known_pairs(root, record)
    old = frozenset(map(same_pair, known.rows))
    source = f"{ON_POLICY}: {result.name} of {record.id}"
    new = best_against_worst(answers, known.prompts_of_the_test, old, source)
    seconds = [
        m.value for name in ("generation_seconds", "evaluation_seconds") if (m := result.measured(name))
    ]
    this = Round(
        run=record.id,
        source=ON_POLICY,
        arm=wish.arm,
        judge=wish.judge,
        pairs_added=len(new.rows),
        seconds=sum(value for value in seconds if value is not None) if seconds else None,
    )
    return Made(
        new,
        len(answers),
        this,
        "draw more --samples at a higher --temperature, or have another judge rank them",
    )


def _samples(root: RunRoot, record: ComparisonRecord, spec: ComparisonSpec, wish: Wish) -> StageResult:
    """The stage in which the arm answered and the judge graded."""
    cell = choose(view_of(record, root), wish.arm, wish.seed).cell
    resolved = resolve(spec, beside=[("judges", wish.judge)], judge=(wish.judge, wish.judge_config))
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
    return at_work.execution.results[digest]


def check_judge(wish: Wish) -> None:
    """Raise UserError for a judge that is not there or cannot grade, or settings that it does not take."""
    registry.check("judges", wish.judge, where="--judge")
    module = load_judge(wish.judge)
    config = validate(module.Config, dict(wish.judge_config), where=lambda key: "--judge-config")
    grading(module.make(config), wish.judge, remedy=ANOTHER)
    module.check(config)


def _prepared_rows(file: Path) -> list[dict[str, Any]]:
    """Pairs as rows that are read as pairs of the same ids."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file, columns=["id", "prompt", "chosen", "rejected"])
    return [old_row(row) for row in table.to_pylist()]
