"""What every stage of a plan should take: as rehearsals foretell, and as finished stages took. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from harness.records import (
    Plan,
    PlannedStage,
    PrepareFacts,
    RehearseEvaluateFacts,
    RehearseFacts,
    StageKind,
    StageResult,
)
from harness.running.overheads import at_equal_starts, overheads
from harness.running.parts import Parts, mean_parts, parts_of

PROBES_SHARE = 0.05
"""What probes may cost of the training that they watch (`training.probe_plan`)."""
COUNTED_AGAIN = 0.15
"""Of a rehearsal's counting, what a stage does again: steps that were counted are kept in the run root, and
only shapes of its own are new. In five embedded runs it was 0.03 to 0.29."""
Results = Mapping[str, StageResult]


@dataclass(frozen=True)
class Expected:
    """What a stage that is not finished should take; `parts` is None where nothing foretells it.

    `rehearsed`: no stage of its kind is finished, so that rehearsals alone foretell it.
    """

    kind: StageKind
    parts: Parts | None
    rehearsed: bool = False


@dataclass(frozen=True)
class Outlook:
    """Every stage of a plan without a result, in the order of execution.

    `complete` says that all that comes before training is done, so that what comes after is foretold.
    `own_ways` are benchmarks that use the model in ways of their own, which no rehearsal foretells, until a
    cell is scored.
    """

    stages: Mapping[str, Expected]
    complete: bool
    own_ways: tuple[str, ...] = ()


def look_ahead(plan: Plan, results: Results, failed: Collection[str] = ()) -> Outlook:
    """What is left of `plan` where `results` are finished or reused; what needs one that `failed` is not.

    A stage that waited for its process to import what stages need tells nothing of others by that.
    """
    ran = {plan.stages[digest].kind for digest in results if digest in plan.stages}
    gone = _gone(plan, failed)
    kinds = {d: plan.stages[d].kind for d in plan.order if d not in results and d not in gone}
    known = _Known(plan, at_equal_starts(results, overheads(results.values()).fork))
    stages = {
        digest: Expected(kind, known.parts(digest), rehearsed=kind not in ran)
        for digest, kind in kinds.items()
    }
    before = [plan.prepare, *plan.rehearsals, *([plan.rehearse_evaluate] if plan.rehearse_evaluate else [])]
    return Outlook(stages, all(digest in results for digest in before), _own_ways(plan, results))


def _gone(plan: Plan, failed: Collection[str]) -> set[str]:
    """The failed stages and what is made from them; the judge compares the cells that are left."""
    gone = set(failed)
    for digest in plan.order:
        stage = plan.stages[digest]
        if stage.kind != "judge" and gone & set(stage.needs.values()):
            gone.add(digest)
    return gone


def _own_ways(plan: Plan, results: Results) -> tuple[str, ...]:
    rehearsal = results.get(plan.rehearse_evaluate or "")
    cells = [digest for digest, stage in plan.stages.items() if stage.kind == "evaluate"]
    if rehearsal is None or any(digest in results for digest in cells):
        return ()
    return tuple(rehearsal.facts_as(RehearseEvaluateFacts).not_foretold)


def rehearsal_of(plan: Plan, stage: PlannedStage) -> str | None:
    """The rehearsal that does a training stage's job, if there is one."""
    for digest in plan.rehearsals:
        job = plan.stages[digest].config["job"]
        if {key: stage.config.get(key) for key in job} == job:
            return digest
    return None


class _Known:
    """What finished stages tell of the others. Stages that differ in their seed alone are foretold alike, so
    that each forecast is made once, however many seeds there are."""

    def __init__(self, plan: Plan, results: Results) -> None:
        self._plan, self._results = plan, results
        self._made: dict[object, Parts | None] = {}
        self._by_kind: dict[StageKind, list[str]] = {}
        for digest in (digest for digest in plan.stages if digest in results):
            self._by_kind.setdefault(plan.stages[digest].kind, []).append(digest)

    def parts(self, digest: str) -> Parts | None:
        """What a stage without a result should take."""
        stage = self._plan.stages[digest]
        if stage.kind == "train":
            return self._once(("train", self._rehearsal(digest)), lambda: self._training(digest))
        if stage.kind == "evaluate":
            alike = ("evaluate", stage.arm, digest == self._plan.base_evaluate, _benchmarks(stage))
            return self._once(alike, lambda: self._scoring(stage))
        return self._once(stage.kind, lambda: mean_parts(self._took(self._by_kind.get(stage.kind, ()))))

    def _once(self, alike: object, make: Callable[[], Parts | None]) -> Parts | None:
        if alike not in self._made:
            self._made[alike] = make()
        return self._made[alike]

    def _took(self, digests: Iterable[str]) -> list[Parts]:
        return [parts_of(self._results[digest]) for digest in digests]

    def _rehearsal(self, digest: str) -> str | None:
        return self._rehearsals.get(digest)

    @cached_property
    def _rehearsals(self) -> dict[str, str | None]:
        """Of every training stage the rehearsal that does its job."""
        stages = self._plan.stages
        return {d: rehearsal_of(self._plan, stage) for d, stage in stages.items() if stage.kind == "train"}

    def _training(self, digest: str) -> Parts | None:
        """As the same stage took at other seeds; else as rehearsed, at the rate of other stages."""
        rehearsal, trained = self._rehearsal(digest), self._by_kind.get("train", [])
        if rehearsal is None or rehearsal not in self._results:
            return None
        if alike := [d for d in trained if self._rehearsal(d) == rehearsal]:
            return mean_parts(self._took(alike))
        found = [(self._results[d], _foretold_parts(self._rehearsal(d), self._results)) for d in trained]
        rates = _rates([(parts_of(took), foretold) for took, foretold in found if foretold is not None])
        mine = _foretold_parts(rehearsal, self._results)
        return None if mine is None else Parts(mine.before, mine.steps * rates[0], mine.after * rates[1])

    def _scoring(self, stage: PlannedStage) -> Parts | None:
        """As other cells took, of the same arm first; else what the rehearsal of scoring foretells."""
        plan, wanted = self._plan, _benchmarks(stage)
        scored = [d for d in self._by_kind.get("evaluate", ()) if _benchmarks(plan.stages[d]) == wanted]
        groups = (
            [d for d in scored if plan.stages[d].arm == stage.arm],
            [d for d in scored if d != plan.base_evaluate],
            scored,
        )
        for group in groups:
            if group:
                return mean_parts(self._took(group))
        rehearsal = self._results.get(plan.rehearse_evaluate or "")
        return None if rehearsal is None else foretold_scoring(rehearsal, self._results.get(plan.prepare))


def _benchmarks(stage: PlannedStage) -> str:
    return json.dumps(stage.config.get("benchmarks"), sort_keys=True)


def _rates(pairs: Sequence[tuple[Parts, Parts]]) -> tuple[float, float]:
    """How much longer than foretold steps took, and what came after them."""
    return (
        shared_rate([took.steps / foretold.steps for took, foretold in pairs if foretold.steps]),
        shared_rate([took.after / foretold.after for took, foretold in pairs if foretold.after]),
    )


def shared_rate(rates: Sequence[float]) -> float:
    """What the rates of some stages tell of another one: their geometric mean, drawn towards 1.

    A forecast misses for reasons of its stage (few timed steps) as well as of the machine. One more stage at
    a rate of 1 stands for that, so that a single rate counts by its root.
    """
    known = [rate for rate in rates if rate > 0]
    return math.prod(known) ** (1 / (len(known) + 1))


def _foretold_parts(rehearsal: str | None, results: Results) -> Parts | None:
    """What a rehearsal foretells of its training stage: start-up is as it took it, what follows the steps is
    too but for counts that are kept."""
    result = results.get(rehearsal or "")
    prediction = None if result is None else result.facts_as(RehearseFacts).prediction
    if result is None or prediction is None:
        return None
    parts, took = prediction.seconds_of_parts, parts_of(result)
    start_up = result.measured("start_up_seconds")
    before = (
        parts.get("model_load", 0.0)
        + parts.get("reference", 0.0)
        + (start_up.value or 0.0 if start_up else 0.0)
    )
    save = parts.get("save", 0.0)
    training = prediction.seconds - parts.get("model_load", 0.0) - parts.get("reference", 0.0) - save
    counting = result.measured("counting_seconds")
    kept = 0.0 if counting is None else (1 - COUNTED_AGAIN) * (counting.value or 0.0)
    return Parts(before, training * (1 + PROBES_SHARE), max(0.0, took.after - kept))


def foretold_scoring(rehearsal: StageResult, prepared: StageResult | None) -> Parts | None:
    """A cell's scoring where a batch of answers is as long as the longest chosen answers of the data, and a
    pair as long as the mean; at most what the rehearsal says."""
    facts = rehearsal.facts_as(RehearseEvaluateFacts)
    if facts.out_of_memory:
        return None
    took = parts_of(rehearsal)
    lengths = _lengths(prepared)
    answering = scoring = 0.0
    if (trial := facts.answering) is not None:
        tokens = min(trial.new_tokens, lengths.answer) if lengths else trial.new_tokens
        one_batch = trial.prefill_seconds + tokens * trial.batch * trial.seconds_per_token
        answering = -(-trial.answers // trial.batch) * one_batch
    if facts.pair_scoring is not None:
        share = min(1.0, lengths.pair / facts.pair_scoring.tokens) if lengths else 1.0
        scoring = facts.pair_scoring.most_seconds * share
    return Parts(took.before, answering, scoring)


@dataclass(frozen=True)
class _Lengths:
    """Tokens of the longest chosen answers (95th percentile) and of the mean sequence of held-out pairs."""

    answer: float
    pair: float


def _lengths(prepared: StageResult | None) -> _Lengths | None:
    if prepared is None or not isinstance(prepared.facts, PrepareFacts):
        return None
    test = prepared.facts.statistics.test
    if test.chosen_tokens is None or test.rejected_tokens is None or test.prompt_tokens is None:
        return None
    answer = (test.chosen_tokens.mean + test.rejected_tokens.mean) / 2
    return _Lengths(test.chosen_tokens.p95, test.prompt_tokens.mean + answer)
