"""The parity checks that are more than one value being the same everywhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.pipeline._parity_packages import installed_packages
from harness.pipeline._parity_weights import (
    Seen,
    base_weights,
    check_of,
    hand_over,
    lacks,
    reference_is_start,
    training_facts,
    weights_moved,
)
from harness.records import (
    CheckFacts,
    ParityCheck,
    Plan,
    PrepareFacts,
    RehearseFacts,
    StageResult,
    TrainFacts,
)

BUDGET_TOLERANCE = 0.02
BUDGET_TOLERANCE_OF_SECONDS = 0.10
AXIS_QUANTITY = {"tokens": "tokens_real", "flops": "flops", "seconds": "wall_seconds"}


def special_checks(
    plan: Plan, results: Mapping[str, StageResult], seen: Sequence[Seen], *, trained: bool
) -> dict[str, ParityCheck]:
    """By name; what can only be known after training is absent before it."""
    prepared = results[plan.prepare].facts_as(PrepareFacts)
    checks = [
        base_weights(plan, results, trained=trained),
        reference_is_start(seen),
        _template(prepared, seen),
        _shares(seen, "stop_token_learned", "stop_learned", good=1.0),
        _shares(seen, "doubled_bos", "doubled_bos", good=0),
        _dropped(prepared, seen),
        _sft_source(prepared),
        _budget(plan, results, seen, trained=trained),
        *stated_tuning(plan),
        _every(seen, "learning_rate_source", "config"),
        _seeds(plan, results),
        _git_clean(seen),
        installed_packages(plan, results, trained=trained),
        _test_prompts(prepared),
        _benchmark_prompts(plan, results),
        *([hand_over(plan, results), weights_moved(seen)] if trained else []),
    ]
    return {check.check: check for check in checks}


def _template(facts: PrepareFacts, seen: Sequence[Seen]) -> ParityCheck:
    """Every stage reads and writes with the tokenizer and the template of one preparation."""
    name = "tokenizer_and_template"
    wanted = (facts.tokenizer_digest, facts.chat_template_digest)
    values = {one.name: (one.facts.tokenizer_digest, one.facts.chat_template_digest) for one in seen}
    shown = {stage: f"tokenizer {tok}, template {tpl}" for stage, (tok, tpl) in values.items()}
    other = {
        s: v
        for s, v in values.items()
        if any(a != b and None not in (a, b) for a, b in zip(v, wanted, strict=True))
    }
    if other:
        detail = f"prepared with tokenizer {wanted[0]}, template {wanted[1]}, but " + "; ".join(
            f"{stage}: {shown[stage]}" for stage in other
        )
        return check_of(name, False, detail, shown)
    if not values or None in wanted or any(None in value for value in values.values()):
        return check_of(name, None, "not every stage recorded it", shown)
    source = facts.chat_template_source
    return check_of(name, True, f"tokenizer {wanted[0]}, template {wanted[1]} ({source})", shown)


def _shares(seen: Sequence[Seen], name: str, fact: str, *, good: float) -> ParityCheck:
    """Every stage has the good value of a figure of its batches."""
    values = {one.name: one.facts.batches and getattr(one.facts.batches, fact) for one in seen}
    silent = {one.name for one in seen if values[one.name] is None and lacks(one.facts)}
    return _all_good(name, {stage: value for stage, value in values.items() if stage not in silent}, good)


def _every(seen: Sequence[Seen], name: str, good: str) -> ParityCheck:
    return _all_good(name, {one.name: getattr(one.facts, name) for one in seen}, good)


def _all_good(name: str, values: Mapping[str, Any], good: Any) -> ParityCheck:
    shown = {stage: str(value) for stage, value in values.items()}
    broken = [f"{stage}: {value}" for stage, value in values.items() if value is not None and value != good]
    if broken:
        return check_of(name, False, "; ".join(broken), shown)
    known = bool(values) and all(value is not None for value in values.values())
    return check_of(
        name, True if known else None, str(good) if known else "not every stage recorded it", shown
    )


def _dropped(facts: PrepareFacts, seen: Sequence[Seen]) -> ParityCheck:
    """Every stage on the pairs meets all those that the preparation kept, and no other."""
    name, statistics, kept = "dropped_and_truncated", facts.statistics.train, facts.train_pairs
    met = {one.name: one.facts.batches and one.facts.batches.pairs for one in seen if one.on_pairs}
    shown = {stage: str(count) for stage, count in met.items()}
    other = {stage: count for stage, count in met.items() if None not in (count, kept) and count != kept}
    if other:
        detail = "; ".join(f"{stage}: {count} pairs of {kept}" for stage, count in other.items())
        return check_of(name, False, detail, shown)
    if not met or None in met.values():
        return check_of(name, None, "not every stage recorded its pairs", shown)
    detail = f"in every arm: dropped {statistics.dropped or 0}, truncated {statistics.truncated}"
    if facts.validation_pairs is not None:
        detail += f", {facts.validation_pairs} held out for early stopping"
    return check_of(name, True, detail, shown)


def _sft_source(facts: PrepareFacts) -> ParityCheck:
    sources = facts.sft_data
    if not sources:
        return check_of("sft_source", True, "the chosen answers of the same pairs")
    detail = "external SFT data for " + "; ".join(f"{arm}: {source}" for arm, source in sources.items())
    return check_of("sft_source", False, detail, sources)


def _budget(
    plan: Plan, results: Mapping[str, StageResult], seen: Sequence[Seen], *, trained: bool
) -> ParityCheck:
    """Equal epochs of every stage, or equal totals of every arm on the budget's axis.

    Totals may differ by 2% or one optimizer step, whichever is more, and measured seconds by 10%.
    """
    axis = (plan.spec.get("budget") or {}).get("axis", "epochs")
    if axis not in AXIS_QUANTITY:
        return _equal_epochs(seen)
    totals, steps = _totals(plan, results, axis, trained=trained)
    shown = {arm: f"{value:.6g}" for arm, value in totals.items()}
    arms = {cell.arm for cell in plan.cells}
    if arms - set(totals) or min(totals.values(), default=0.0) <= 0:
        return check_of("budget", None, f"not every arm's {axis} are known", shown)
    spread = max(totals.values()) / min(totals.values()) - 1
    least = BUDGET_TOLERANCE_OF_SECONDS if axis == "seconds" and trained else BUDGET_TOLERANCE
    tolerance = max(least, *(1 / count for count in steps.values()))
    return check_of(
        "budget", spread <= tolerance, f"{axis} differ by {spread:.2%}, at most {tolerance:.2%}", shown
    )


def _equal_epochs(seen: Sequence[Seen]) -> ParityCheck:
    def of(facts: TrainFacts) -> str | None:
        if facts.max_steps:
            return f"{facts.max_steps} steps"
        return f"{facts.epochs} epochs" if facts.epochs is not None else None

    values = {one.name: of(one.facts) for one in seen}
    shown = {stage: str(value) for stage, value in values.items()}
    known = {value for value in values.values() if value is not None}
    if len(known) > 1:
        return check_of("budget", False, "; ".join(f"{s}: {v}" for s, v in shown.items()), shown)
    equal = True if known and None not in values.values() else None
    return check_of("budget", equal, f"{' '.join(known) or 'unknown'} in every stage", shown)


def _totals(
    plan: Plan, results: Mapping[str, StageResult], axis: str, *, trained: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """What each arm uses on the axis, and its steps: measured, at its first seed, or predicted."""
    totals: dict[str, float] = {}
    steps: dict[str, float] = {}
    if not trained:
        key = "seconds" if axis == "seconds" else AXIS_QUANTITY[axis]
        for digest in plan.rehearsals:
            prediction = results[digest].facts_as(RehearseFacts).prediction if digest in results else None
            for arm in plan.stages[digest].config["arms"] if prediction else []:
                totals[arm] = totals.get(arm, 0.0) + float(getattr(prediction, key))
                steps[arm] = steps.get(arm, 0.0) + float(prediction.steps if prediction else 1)
        return totals, steps
    for cell in plan.cells:
        if cell.arm in totals or not all(d in results for d in cell.stages):
            continue
        measured = [_value(results[d], AXIS_QUANTITY[axis]) for d in cell.stages]
        if all(value is not None for value in measured):
            totals[cell.arm] = sum(value for value in measured if value is not None)
            steps[cell.arm] = sum(_value(results[d], "steps") or 1.0 for d in cell.stages)
    return totals, steps


def _value(result: StageResult, quantity: str) -> float | None:
    measurement = result.measured(quantity)
    return float(measurement.value) if measurement is not None and measurement.value is not None else None


def stated_tuning(plan: Plan) -> list[ParityCheck]:
    """How the arms' settings were found: by a search of this comparison, or as the file states it."""
    tuning = plan.spec.get("tuning")
    if not tuning:
        return [
            _stated(plan, "tuning_trials", "tuning_trials_per_arm"),
            _stated(plan, "search_space", "search_space", _points, " points"),
        ]
    budget = tuning["budget"]
    amount = f"{budget['amount']:g} {budget['axis'].replace('_', ' ')} in every arm"
    keys = [f"{stage}.{key}" for stage, of_stage in tuning["space"].items() for key in of_stage]
    space = f"one for every arm that has the stage: {', '.join(keys)}"
    return [check_of("tuning_trials", True, amount), check_of("search_space", True, space)]


def _stated(plan: Plan, name: str, key: str, of: Callable[[Any], int] = int, unit: str = "") -> ParityCheck:
    """One number per arm of the plan, stated in the comparison under `key`."""
    stated = plan.spec.get(key) or {}
    arms = list(dict.fromkeys(cell.arm for cell in plan.cells))
    numbers = {arm: of(stated[arm]) for arm in arms if arm in stated}
    values = {arm: str(number) for arm, number in numbers.items()}
    detail = ", ".join(f"{arm} {number}{unit}" for arm, number in numbers.items())
    missing = [arm for arm in arms if arm not in numbers]
    if len(set(numbers.values())) > 1:
        return check_of(name, False, detail, values)
    if missing:
        prefix = f"{detail}; " if detail else ""
        return check_of(name, None, f"{prefix}not stated for {', '.join(missing)} ({key})", values)
    return check_of(name, True, detail, values)


def _points(space: Any) -> int:
    """Points of a grid: the product over settings of the number of values tried."""
    total = 1
    for values in space.values() if isinstance(space, Mapping) else []:
        total *= len(values) if isinstance(values, list) else 1
    return total


def _seeds(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    """Every arm has the same seeds, and every stage trained with that of its cell."""
    by_arm: dict[str, list[int]] = {}
    broken = []
    for cell in plan.cells:
        if cell.repeat == 0:
            by_arm.setdefault(cell.arm, []).append(cell.seed)
        for digest in cell.stages:
            result = results.get(digest)
            recorded_seeds = [
                plan.stages[digest].seed,
                *([result.seed, training_facts(result).seed] if result else []),
            ]
            if any(seed is not None and seed != cell.seed for seed in recorded_seeds):
                broken.append(plan.stages[digest].name)
    values = {arm: ", ".join(map(str, sorted(seeds))) for arm, seeds in by_arm.items()}
    if broken:
        detail = f"{', '.join(dict.fromkeys(broken))} trained with another seed than the cell"
        return check_of("seeds", False, detail, values)
    return check_of("seeds", len(set(values.values())) == 1, "; ".join(sorted(set(values.values()))), values)


def _git_clean(seen: Sequence[Seen]) -> ParityCheck:
    states = {one.environment.git_dirty for one in seen}
    if None in states or not states:
        return check_of("clean_git_tree", None, "not run from a git checkout")
    dirty = True in states
    return check_of("clean_git_tree", not dirty, "uncommitted changes" if dirty else "no uncommitted changes")


def _test_prompts(facts: PrepareFacts) -> ParityCheck:
    overlap = facts.statistics.test_pairs_whose_prompt_is_in_train
    sft_statistics = facts.statistics.sft_data
    known = {arm: data.test_pairs_whose_prompt_is_in_it for arm, data in sft_statistics.items()}
    detail = f"{overlap} test pairs share a prompt with training"
    if any(known.values()):
        detail += "; of SFT data: " + ", ".join(f"{arm} {count}" for arm, count in known.items())
    return check_of("test_prompts_in_training", overlap == 0 and not any(known.values()), detail)


def _benchmark_prompts(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    checked = results.get(plan.check) if plan.check else None
    counts = checked.facts_as(CheckFacts).benchmark_prompts_in_train if checked else None
    if counts is None:
        return check_of("benchmark_prompts_in_training", None, "no benchmark's prompts were compared")
    detail = ", ".join(f"{name}: {count}" for name, count in counts.items()) or "no benchmark asks prompts"
    values = {name: str(count) for name, count in counts.items()}
    return check_of("benchmark_prompts_in_training", not any(counts.values()), detail, values)
