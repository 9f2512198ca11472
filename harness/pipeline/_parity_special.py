"""The parity checks that are more than one value being the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from harness.records import ParityCheck, Plan, StageResult

BUDGET_TOLERANCE = 0.02
AXIS_QUANTITY = {"tokens": "tokens_real", "flops": "flops", "seconds": "wall_seconds"}


class Seen(Protocol):
    """One stage as it was seen."""

    @property
    def name(self) -> str: ...
    @property
    def seed(self) -> int: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


def special_checks(
    plan: Plan, results: Mapping[str, StageResult], seen: Sequence[Seen], *, trained: bool
) -> dict[str, ParityCheck]:
    """By name; what can only be known after training is absent before it."""
    prepared = results[plan.prepare].facts
    checks = [
        _base_weights(plan, results, trained=trained),
        _reference(seen),
        _template(prepared),
        _shares(seen, "stop_token_learned", "stop_learned", good=1.0),
        _shares(seen, "doubled_bos", "doubled_bos", good=0),
        _dropped(prepared),
        _sft_source(prepared),
        _budget(plan, results, seen, trained=trained),
        _stated(plan, "tuning_trials", "tuning_trials_per_arm"),
        _search_space(plan),
        _every(seen, "learning_rate_source", "config"),
        _seeds(plan),
        _git_clean(seen),
        _test_prompts(prepared),
        _benchmark_prompts(plan, results),
        *([_hand_over(plan, results)] if trained else []),
    ]
    return {check.check: check for check in checks}


def _check(
    name: str, equal: bool | None, detail: str, values: Mapping[str, str] | None = None
) -> ParityCheck:
    return ParityCheck(check=name, equal=equal, detail=detail, values=dict(values or {}))


def _base_weights(plan: Plan, results: Mapping[str, StageResult], *, trained: bool) -> ParityCheck:
    """First stages start from the same weights; fresh adapters differ by seed alone."""
    kind = "train" if trained else "rehearse"
    first = [
        results[d]
        for d, stage in plan.stages.items()
        if stage.kind == kind and d in results and _starts_from_base(plan, stage.config, stage.needs, trained)
    ]
    values = {r.name: str(r.facts.get("weights_at_start")) for r in first}
    if not first or "None" in values.values():
        return _check("base_weights", None, "not every stage recorded it", values)
    per_seed: dict[int, set[str]] = {}
    for result in first:
        per_seed.setdefault(result.seed, set()).add(str(result.facts["weights_at_start"]))
    broken = [seed for seed, found in per_seed.items() if len(found) > 1]
    if broken:
        detail = "; ".join(f"{name}: {value}" for name, value in values.items())
        return _check("base_weights", False, detail, values)
    return _check("base_weights", True, f"equal within each of {len(per_seed)} seed(s)", values)


def _starts_from_base(plan: Plan, config: Mapping[str, Any], needs: Mapping[str, str], trained: bool) -> bool:
    """After training: stages without a model of their own. Before: first stages of some arm."""
    if trained:
        return "model" not in needs
    first = {(arm["name"], _stage_name(arm["stages"][0])) for arm in plan.spec["arms"]}
    return any((arm, config["stage"]) in first for arm in config["arms"])


def _stage_name(stage: Mapping[str, Any]) -> str:
    return str(stage.get("name") or stage["method"])


def _hand_over(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    """A later stage starts from exactly what the earlier one ended with."""
    broken, unknown, values = [], False, {}
    for digest, stage in plan.stages.items():
        if stage.kind != "train" or "model" not in stage.needs or digest not in results:
            continue
        given = results[stage.needs["model"]].facts.get("weights_at_end")
        taken = results[digest].facts.get("weights_at_start")
        unknown = unknown or given is None or taken is None
        values[stage.name] = f"{taken} after {given}"
        if given != taken:
            broken.append(stage.name)
    if broken:
        return _check("hand_over", False, f"{', '.join(broken)} started from other weights", values)
    detail = "weights' fingerprints equal" if values else "no arm has a second stage"
    return _check("hand_over", None if unknown else True, detail, values)


def _reference(seen: Sequence[Seen]) -> ParityCheck:
    """DPO is compared with the model that it starts from."""
    values, broken, unknown = {}, [], False
    for one in seen:
        if one.facts.get("reference") is None:
            continue
        start, reference = one.facts.get("weights_at_start"), one.facts.get("reference_weights")
        unknown = unknown or start is None or reference is None
        values[one.name] = f"{reference} from {start}"
        if start != reference:
            broken.append(one.name)
    if broken and not unknown:
        return _check(
            "reference_is_start", False, f"{', '.join(broken)}: the reference is another model", values
        )
    detail = "the same weights" if values else "no stage has a reference"
    return _check("reference_is_start", None if unknown else True, detail, values)


def _template(facts: Mapping[str, Any]) -> ParityCheck:
    """Every arm reads the tokens of one preparation."""
    tokenizer, template = facts.get("tokenizer_digest"), facts.get("chat_template_digest")
    if tokenizer is None or template is None:
        return _check("tokenizer_and_template", None, "the prepare stage did not record it")
    source = facts.get("chat_template_source")
    per_arm = facts.get("template_by_arm") or {}
    other = {arm: digest for arm, digest in per_arm.items() if digest != template}
    detail = f"tokenizer {tokenizer}, template {template} ({source}); tokenised once for all arms"
    if other:
        detail = f"{template}, but " + ", ".join(f"{arm}: {digest}" for arm, digest in other.items())
    return _check("tokenizer_and_template", not other, detail)


def _shares(seen: Sequence[Seen], name: str, fact: str, *, good: float) -> ParityCheck:
    """Every stage has the good value of a figure of its batches."""
    values = {one.name: (one.facts.get("batches") or {}).get(fact) for one in seen}
    shown = {stage: str(value) for stage, value in values.items()}
    broken = [f"{stage}: {value}" for stage, value in values.items() if value is not None and value != good]
    if broken:
        return _check(name, False, "; ".join(broken), shown)
    known = bool(values) and all(value is not None for value in values.values())
    return _check(name, True if known else None, str(good) if known else "not every stage recorded it", shown)


def _every(seen: Sequence[Seen], name: str, good: str) -> ParityCheck:
    values = {one.name: one.facts.get(name) for one in seen}
    shown = {stage: str(value) for stage, value in values.items()}
    broken = [f"{stage}: {value}" for stage, value in values.items() if value is not None and value != good]
    if broken:
        return _check(name, False, "; ".join(broken), shown)
    known = bool(values) and all(value is not None for value in values.values())
    return _check(name, True if known else None, good if known else "not every stage recorded it", shown)


def _dropped(facts: Mapping[str, Any]) -> ParityCheck:
    statistics = facts["statistics"]["train"]
    detail = f"in every arm: dropped {statistics['dropped'] or 0}, truncated {statistics['truncated']}"
    return _check("dropped_and_truncated", True, detail)


def _sft_source(facts: Mapping[str, Any]) -> ParityCheck:
    own = facts["sft_data"]
    if not own:
        return _check("sft_source", True, "the chosen answers of the same pairs")
    detail = "external SFT data for " + "; ".join(f"{arm}: {source}" for arm, source in own.items())
    return _check("sft_source", False, detail, own)


def _budget(
    plan: Plan, results: Mapping[str, StageResult], seen: Sequence[Seen], *, trained: bool
) -> ParityCheck:
    """Equal epochs of every stage, or equal totals of every arm on the budget's axis within 2%."""
    axis = (plan.spec.get("budget") or {}).get("axis", "epochs")
    if axis not in AXIS_QUANTITY:
        epochs = {one.name: one.facts.get("epochs") for one in seen}
        known = {str(value) for value in epochs.values() if value is not None}
        shown = {stage: str(value) for stage, value in epochs.items()}
        if len(known) > 1:
            return _check("budget", False, "; ".join(f"{s}: {v} epochs" for s, v in shown.items()), shown)
        equal = True if known and None not in epochs.values() else None
        return _check("budget", equal, f"{' '.join(known) or 'unknown'} epochs in every stage", shown)
    totals = _totals(plan, results, axis, trained=trained)
    shown = {arm: f"{value:.6g}" for arm, value in totals.items()}
    if not totals:
        return _check("budget", None, f"no stage recorded its {axis}", shown)
    spread = max(totals.values()) / min(totals.values()) - 1
    return _check("budget", spread <= BUDGET_TOLERANCE, f"{axis} differ by {spread:.2%}", shown)


def _totals(plan: Plan, results: Mapping[str, StageResult], axis: str, *, trained: bool) -> dict[str, float]:
    """What each arm uses on the axis: measured, at its first seed, or predicted."""
    totals: dict[str, float] = {}
    if not trained:
        key = "seconds" if axis == "seconds" else AXIS_QUANTITY[axis]
        for digest in plan.rehearsals:
            prediction = results[digest].facts.get("prediction") if digest in results else None
            for arm in plan.stages[digest].config["arms"] if prediction else []:
                totals[arm] = totals.get(arm, 0.0) + float((prediction or {})[key])
        return totals
    for cell in plan.cells:
        if cell.arm in totals or not all(d in results for d in cell.stages):
            continue
        measured = [results[d].measured(AXIS_QUANTITY[axis]) for d in cell.stages]
        if all(m is not None and m.value is not None for m in measured):
            totals[cell.arm] = sum(float(m.value) for m in measured if m and m.value is not None)
    return totals


def _stated(plan: Plan, name: str, key: str) -> ParityCheck:
    trials = plan.spec.get(key) or {}
    if not trials:
        return _check(name, None, f"not stated ({key})")
    detail = ", ".join(f"{arm} {count}" for arm, count in trials.items())
    return _check(name, len(set(trials.values())) == 1, detail, {a: str(n) for a, n in trials.items()})


def _search_space(plan: Plan) -> ParityCheck:
    spaces = plan.spec.get("search_space") or {}
    if not spaces:
        return _check("search_space", None, "not stated (search_space)")
    sizes = {arm: _points(space) for arm, space in spaces.items()}
    detail = ", ".join(f"{arm} {size} points" for arm, size in sizes.items())
    return _check(
        "search_space", len(set(sizes.values())) == 1, detail, {a: str(n) for a, n in sizes.items()}
    )


def _points(space: Any) -> int:
    """Points of a grid: the product over settings of the number of values tried."""
    total = 1
    for values in space.values() if isinstance(space, Mapping) else []:
        total *= len(values) if isinstance(values, list) else 1
    return total


def _seeds(plan: Plan) -> ParityCheck:
    """Every arm has the same seeds, and every stage that of its cell."""
    by_arm: dict[str, list[int]] = {}
    broken = []
    for cell in plan.cells:
        by_arm.setdefault(cell.arm, []).append(cell.seed)
        broken += [plan.stages[d].name for d in cell.stages if plan.stages[d].seed != cell.seed]
    values = {arm: ", ".join(map(str, sorted(seeds))) for arm, seeds in by_arm.items()}
    if broken:
        return _check("seeds", False, f"{', '.join(broken)} trained with another seed than the cell", values)
    return _check("seeds", len(set(values.values())) == 1, "; ".join(sorted(set(values.values()))), values)


def _git_clean(seen: Sequence[Seen]) -> ParityCheck:
    states = {one.facts.get("git_dirty") for one in seen}
    if None in states or not states:
        return _check("clean_git_tree", None, "not run from a git checkout")
    dirty = True in states
    return _check("clean_git_tree", not dirty, "uncommitted changes" if dirty else "no uncommitted changes")


def _test_prompts(facts: Mapping[str, Any]) -> ParityCheck:
    overlap = facts["statistics"]["test_pairs_whose_prompt_is_in_train"]
    own = facts["statistics"].get("sft_data") or {}
    known = {arm: found["test_pairs_whose_prompt_is_in_it"] for arm, found in own.items()}
    detail = f"{overlap} test pairs share a prompt with training"
    if any(known.values()):
        detail += "; of SFT data: " + ", ".join(f"{arm} {count}" for arm, count in known.items())
    return _check("test_prompts_in_training", overlap == 0 and not any(known.values()), detail)


def _benchmark_prompts(plan: Plan, results: Mapping[str, StageResult]) -> ParityCheck:
    checked = results.get(plan.check) if plan.check else None
    found = checked.facts.get("benchmark_prompts_in_train") if checked else None
    if found is None:
        return _check("benchmark_prompts_in_training", None, "no benchmark's prompts were compared")
    detail = ", ".join(f"{name}: {count}" for name, count in found.items()) or "no benchmark asks prompts"
    values = {name: str(count) for name, count in found.items()}
    return _check("benchmark_prompts_in_training", not any(found.values()), detail, values)
