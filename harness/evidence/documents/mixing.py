"""What runs must have in common before their figures may stand in one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from harness.evidence.aggregates import definitions
from harness.evidence.engine import engine_of
from harness.evidence.run_effects import model_of
from harness.evidence.view import ComparisonView

CHANGES_NO_ANSWER = ("batch_size", "vllm_memory_share")
ALIKE = ("method", "implementation", "lora", "quantization", "reference", "nll_scope")


def forbidden(views: Sequence[ComparisonView]) -> list[str]:
    """Why the runs may not be mixed, a sentence each; empty where they may.

    Models, data, seeds and learning rates may differ: they are what rows are about. What an arm's name
    means, the budget, and how a score was made may not.
    """
    reasons = []
    for what, descriptions in (
        *((f"arm {arm}", [_arm(v, arm) for v in views]) for arm in _arms(views)),
        ("the budget's axis", [_budget(v) for v in views]),
        *((f"how {name} scores", [_benchmark(v, name) for v in views]) for name in _benchmarks(views)),
        *((name, [definitions(v).get(name) for v in views]) for name in _aggregates(views)),
        ("the answers' settings", [_generation(v) for v in views]),
    ):
        known = {
            text: view.record.id for text, view in zip(descriptions, views, strict=True) if text is not None
        }
        if len(known) > 1:
            listed = "; ".join(f"{run}: {text}" for text, run in known.items())
            reasons.append(f"{what} differs ({listed})")
    return reasons


def counted_twice(views: Sequence[ComparisonView]) -> list[str]:
    """The seeds that several runs would count twice, a clause for each two runs; empty where there are none.

    Two arms at one seed, on one model and data set, are one observation in however many runs they stand.
    Runs whose model or data differ may share seed numbers.
    """
    return [clause for a, b in combinations(views, 2) if (clause := _shared(a, b)) is not None]


def _shared(first: ComparisonView, second: ComparisonView) -> str | None:
    shared = [str(seed) for seed in first.seeds if seed in second.seeds]
    seeds = f"seed{'s' if len(shared) > 1 else ''} {', '.join(shared)}"
    if first.record.id == second.record.id:
        return f"{first.record.id} is given twice ({seeds})"
    arms = [arm for arm in first.arms if arm in second.arms]
    if not shared or len(arms) < 2 or _trained_on(first) != _trained_on(second):
        return None
    what = f"{', '.join(arms)} of {model_of(first)} on {first.source}"
    return f"{first.record.id} and {second.record.id} both hold {what} at {seeds}"


def _trained_on(view: ComparisonView) -> tuple[str, str, str | None]:
    """Model and pairs; a file's name alone does not tell its pairs."""
    return model_of(view), view.source, None if view.replayed else view.prepared.train_ids_digest


def same_device(views: Sequence[ComparisonView]) -> bool:
    """Whether times may stand side by side: one installation, and one device, or within one run one kind."""
    surroundings = set()
    for view in views:
        for cell in view.record.plan.cells:
            for stage in view.stages_of(cell):
                environment = stage.environment
                device = environment.kind_of_device, None if len(views) == 1 else environment.gpu_uuid
                surroundings.add((device, environment.lock_digest))
    return len(surroundings) <= 1


def _arms(views: Sequence[ComparisonView]) -> list[str]:
    return list(dict.fromkeys(arm for view in views for arm in view.arms))


def _arm(view: ComparisonView, arm: str) -> str | None:
    """The stages of an arm by what makes their method, or None where the run has no such arm."""
    if arm not in view.arms or view.replayed:
        return None
    stages = []
    for digest in view.cells_of(arm)[0].stages:
        config = view.record.plan.stages[digest].config
        settings = {"method": config.get("method"), **(config.get("config") or {})}
        kept = {k: settings[k] for k in ALIKE if settings.get(k) is not None}
        stages.append(" ".join(f"{k}={_short(v)}" for k, v in kept.items()))
    return " then ".join(stages)


def _short(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, dict) else str(value)


def _budget(view: ComparisonView) -> str | None:
    budget = view.record.plan.spec.get("budget")
    return str(budget["axis"]) if budget else None


def _benchmarks(views: Sequence[ComparisonView]) -> list[str]:
    return list(dict.fromkeys(m.rpartition(".")[0] for view in views for m in view.metrics()))


def _aggregates(views: Sequence[ComparisonView]) -> list[str]:
    return list(dict.fromkeys(name for view in views for name in definitions(view)))


def _benchmark(view: ComparisonView, name: str) -> str | None:
    """The settings that its scores recorded, but for counts and money."""
    for (_, metric), (_, score) in view.written.items():
        if metric.rpartition(".")[0] == name:
            judge, rival = score.settings.get("judge"), score.settings.get("rival")
            kept = {
                "judge": judge,
                "rival": str(rival).partition("@")[0] if rival else None,
                "num_fewshot": score.settings.get("num_fewshot"),
                "chat template": score.settings.get("apply_chat_template"),
                "embeddings": score.settings.get("embeddings"),
            }
            return ", ".join(f"{k} {v}" for k, v in kept.items() if v is not None) or "no settings"
    return None


def _generation(view: ComparisonView) -> str | None:
    settings = view.record.plan.spec.get("generation")
    if not settings:
        return None
    kept = {key: value for key, value in settings.items() if key not in ("engine", *CHANGES_NO_ANSWER)}
    made = {"engine": engine_of(view) or "padded", **kept}
    return ", ".join(f"{key} {value}" for key, value in made.items())
