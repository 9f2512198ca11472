"""Everything before the first long stage: data, checks, rehearsals, budget, parity.

What stops here stops within minutes: a stage that does not fit, a key that is missing, arms that
would be compared on unequal terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from harness.errors import UserError
from harness.executors import Executor
from harness.pipeline.budget import matched, needs_matching
from harness.pipeline.halving import halved
from harness.pipeline.load import load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.parity import audit_before, audit_planned, violations
from harness.pipeline.plan import plan_comparison
from harness.pipeline.spec import ComparisonSpec
from harness.records import ParityCheck, Plan, Prediction, RehearseEvaluateFacts, RehearseFacts
from harness.running.again import Again
from harness.running.execute import Asked, Execution
from harness.running.resolve import is_local, resolve
from harness.running.spread import Spread
from harness.running.watch import Watcher
from harness.stages.starting import Starter
from harness.store.run_dir import RunRoot

MEMORY_SHARE = 0.97
Watch = Callable[[Plan], Sequence[Watcher]]
"""The watchers of a plan, made when its stages are about to run."""


def unwatched(plan: Plan) -> Sequence[Watcher]:
    """Nobody."""
    return ()


def make_ready(
    path: Path,
    overrides: Overrides,
    root: RunRoot,
    console: Console,
    *,
    checks: bool = True,
    again: Again | None = None,
    watch: Watch = unwatched,
    halvings: int = 0,
    starter: Starter | None = None,
    executor: Executor | None = None,
) -> Execution:
    """The comparison with data prepared and stages rehearsed, at the settings that will run.

    Falls back to `if_too_large` where a stage does not fit, and turns a budget into steps. `again` sets
    aside what each of these plans is to run again; `watch` makes the watchers of each. `halvings` is how
    often micro-batches were halved, since memory ran out later than a rehearsal can see. `starter` makes
    the stages' processes, `executor` has the devices on which units run side by side.
    """
    rehearsed_at = partial(
        _rehearsed,
        root=root,
        console=console,
        checks=checks,
        again=again,
        tried=set[str](),
        watch=watch,
        starter=starter,
        executor=executor,
    )
    spec = _load(path, overrides, halvings)
    execution = rehearsed_at(spec)
    if spec.if_too_large is not None and too_large(execution):
        console.print(
            "This does not fit the GPU: every arm trains by if_too_large instead "
            f"({path.name}). Rehearsing again.",
            highlight=False,
        )
        spec = _load(path, overrides, halvings, too_large=True)
        execution = rehearsed_at(spec)
    if needs_matching(spec) and not too_large(execution):
        spec = matched(spec, execution.plan, predictions(execution))
        console.print(
            f"Budget: every arm gets the {spec.budget.axis} of {spec.budget.of}. "
            "Rehearsing at the steps that follow.",
            highlight=False,
        )
        execution = rehearsed_at(spec)
    return execution


def _load(path: Path, overrides: Overrides, halvings: int, *, too_large: bool = False) -> ComparisonSpec:
    spec = load_comparison(path, overrides, too_large=too_large)
    for _ in range(halvings):
        spec = halved(spec) or spec
    return spec


def check_parity(checks: Sequence[ParityCheck]) -> None:
    """Raise UserError for what is unequal and not allowed to be."""
    broken = violations(checks)
    if not broken:
        return
    facts = "; ".join(f"{c.check}: {c.detail}" for c in broken)
    remedies = " ".join(dict.fromkeys(f"{c.check}: {c.remedy}." for c in broken if c.remedy))
    names = ", ".join(c.check for c in broken)
    raise UserError(
        f"arms would be compared on unequal terms ({facts})",
        where="parity audit",
        remedy=f"{remedies} Or name it in the comparison: allow_unequal: [{names}], and every "
        "figure that it touches is labelled",
    )


def audit_now(execution: Execution) -> list[ParityCheck]:
    """The audit before training."""
    return audit_before(execution.plan, execution.results)


def predictions(execution: Execution) -> dict[str, Prediction]:
    """What each rehearsal foretold, by its digest; those that did not fit are missing."""
    by_digest = {digest: facts.prediction for digest, facts in rehearsed(execution).items()}
    return {digest: prediction for digest, prediction in by_digest.items() if prediction is not None}


def too_large(execution: Execution) -> bool:
    """Whether some rehearsal did not fit the GPU."""
    return any(does_not_fit(facts) for facts in rehearsed(execution).values())


def rehearsed(execution: Execution) -> dict[str, RehearseFacts]:
    """What each rehearsal found; those left out, since the one before did not fit, are missing."""
    results = execution.results
    return {d: results[d].facts_as(RehearseFacts) for d in execution.plan.rehearsals if d in results}


def rehearsed_scoring(execution: Execution) -> RehearseEvaluateFacts | None:
    """What the rehearsal of scoring found, where there is one."""
    result = execution.results.get(execution.plan.rehearse_evaluate or "")
    return None if result is None else result.facts_as(RehearseEvaluateFacts)


def does_not_fit(facts: RehearseFacts) -> bool:
    """Whether a rehearsal ran out of the GPU's memory, or left none to spare."""
    if facts.prediction is None:
        return True
    peak, device = facts.prediction.peak_memory_bytes, facts.prediction.device_bytes
    return peak is not None and device is not None and peak > MEMORY_SHARE * device


def _rehearsed(
    spec: ComparisonSpec,
    *,
    root: RunRoot,
    console: Console,
    checks: bool,
    again: Again | None,
    tried: set[str],
    watch: Watch,
    starter: Starter | None,
    executor: Executor | None,
) -> Execution:
    resolved = resolve(spec)
    plan = plan_comparison(spec, resolved)
    console.print(_title(plan, spec, root), highlight=False)
    check_parity(audit_planned(plan))
    if again is not None:
        again.set_aside(plan)
    asked = Asked(spec, resolved)
    kind = Execution if executor is None else partial(Spread, executor=executor)
    execution = kind(
        plan,
        root,
        watch(plan),
        offline=is_local(spec),
        tried=tried,
        asked=asked,
        starter=starter,
        anew=again.chosen if again is not None else (),
    )
    check = [plan.check] if checks and plan.check else []
    scoring = [plan.rehearse_evaluate] if plan.rehearse_evaluate else []
    execution.run([plan.prepare, *check, *plan.rehearsals, *scoring])
    return execution


def _title(plan: Plan, spec: ComparisonSpec, root: RunRoot) -> str:
    arms = ", ".join(arm.name for arm in spec.arms)
    seeds = ", ".join(map(str, spec.seeds))
    return f"{plan.id}: arms {arms}; seeds {seeds}; {len(plan.order)} stages in {root.path}"
