"""Which answers a person compares: those of two arms at one seed to the same prompts, where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.errors import UserError, unknown_name
from harness.evidence.primary import primary
from harness.evidence.view import ComparisonView
from harness.generate import Prompt
from harness.generate.answer import digest_of_messages
from harness.jsonl import read_jsonl
from harness.pipeline.improved import plain
from harness.records import ComparisonRecord, PlannedCell, StageResult
from harness.store.items import read_test_pairs
from harness.store.run_dir import RunRoot
from harness.votes import Message, Split


@dataclass(frozen=True)
class Duel:
    """A conversation that two arms answered; `split` says whether it is a test prompt of the run."""

    prompt_id: str
    split: Split
    messages: list[Message]
    answer_a: str
    answer_b: str


@dataclass(frozen=True)
class Duels:
    """What can be asked; `equal` pairs of answers are the same letter by letter, and are shown to nobody."""

    asked: list[Duel]
    equal: int


@dataclass(frozen=True)
class Sides:
    """The two arms' cells at one seed, the first one's wins counted."""

    a: PlannedCell
    b: PlannedCell


def sides_of(view: ComparisonView, arms: Sequence[str] | None, seed: int | None) -> Sides:
    """The cells of two arms, those of the first question by default, at the first seed that both have.

    Raises UserError for arms or a seed that the run has not, and for published results.
    """
    if view.replayed:
        raise UserError(
            "was read from published results, whose prompts were not answered here",
            where=view.record.id,
            remedy="give a run of harness compare",
        )
    first, second = _two_arms(view, arms)
    cells = {(cell.arm, cell.seed): cell for arm in (first, second) for cell in view.cells_of(arm)}
    shared = [cell.seed for cell in view.cells_of(first) if (second, cell.seed) in cells]
    if seed is None and shared:
        seed = shared[0]
    if seed not in shared:
        known = ", ".join(map(str, shared)) or "none"
        raise UserError(
            f"the run has no seed {seed} of {first} and {second}", where="--seed", remedy=f"known: {known}"
        )
    return Sides(cells[first, seed], cells[second, seed])


def _two_arms(view: ComparisonView, arms: Sequence[str] | None) -> tuple[str, str]:
    """Two arms, in one order however they were given, so that all votes on them count the same one's wins."""
    pair = primary(view)
    if arms is None:
        if pair is None:
            raise UserError(
                "has one arm alone, and it takes two to compare",
                where=view.record.id,
                remedy="compare two arms first",
            )
        return pair.a, pair.b
    for arm in arms:
        if arm not in view.arms:
            raise unknown_name("arm", arm, view.arms, where="--arms")
    if len(arms) != 2 or arms[0] == arms[1]:
        raise UserError(
            f"names {len(arms)} arm(s), not two different ones", where="--arms", remedy="give two"
        )
    if pair is not None and {pair.a, pair.b} == set(arms):
        return pair.a, pair.b
    earlier, later = sorted(arms, key=view.arms.index)
    return later, earlier


def of_run(root: RunRoot, record: ComparisonRecord, sides: Sides) -> Duels:
    """What the run's own scoring answered of its test split; raises UserError where that is nothing."""
    answered = [_answers(root, record, cell) for cell in (sides.a, sides.b)]
    prompts = {pair.id: pair.prompt for pair in read_test_pairs(root, record).values()}
    found = duels(prompts.items(), answered[0], answered[1], test=prompts.values())
    if not found.asked and not found.equal:
        raise UserError(
            f"{sides.a.arm} and {sides.b.arm} answered no test prompts that are still there",
            where=record.id,
            remedy="run `harness score RUN --benchmark rubric`, or give --prompts FILE.jsonl",
        )
    return found


def _answers(root: RunRoot, record: ComparisonRecord, cell: PlannedCell) -> dict[str, str]:
    """A cell's answers by the digest of what was asked."""
    texts: dict[str, str] = {}
    for digest in (cell.evaluate, *cell.more):
        if digest is not None and digest in record.results:
            texts = {**answers_of(root, record.results[digest]), **texts}
    return texts


def answers_of(root: RunRoot, result: StageResult) -> dict[str, str]:
    """A scoring stage's answers by the digest of what was asked; none where it kept none."""
    file = root.folder_of(result) / result.outputs.get("answers", "answers.jsonl")
    rows = read_jsonl(file) if file.is_file() else []
    return {row["asked"]: row["text"] for row in rows if row.get("asked")}


def duels(
    prompts: Iterable[tuple[str, list[Message]]],
    of_a: dict[str, str],
    of_b: dict[str, str],
    *,
    test: Iterable[list[Message]],
) -> Duels:
    """Every conversation once that both answered; one that a test prompt asks as well is a test prompt."""
    tested, seen, asked, equal = {plain(one) for one in test}, set(), [], 0
    for prompt_id, messages in prompts:
        key = digest_of_messages(Prompt(prompt_id, "", messages))
        if key in seen or key not in of_a or key not in of_b:
            continue
        seen.add(key)
        if of_a[key] == of_b[key]:
            equal += 1
            continue
        split: Split = "test" if plain(messages) in tested else "new"
        asked.append(Duel(prompt_id, split, messages, of_a[key], of_b[key]))
    return Duels(asked, equal)
