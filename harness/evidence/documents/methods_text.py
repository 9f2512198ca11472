"""A paragraph on how it was done, with what it cites: written from the record, so that it is true of it."""

from __future__ import annotations

from typing import Any

from harness.evidence.costs import memory_kind
from harness.evidence.documents.bibliography import REFERENCES
from harness.evidence.view import ComparisonView
from harness.tables import Reference, Statement

METHODS = {"sft": ("ouyang2022",), "dpo": ("rafailov2023",), "orpo": ("hong2024",)}
BENCHMARKS = {
    "alpaca_eval": ("li2023", "dubois2024"),
    "mt_bench": ("zheng2023",),
    "lm_eval": ("gao2024",),
    "diversity": ("hong2024",),
    "divergence": ("amini2025",),
}


def methods(view: ComparisonView) -> tuple[Statement, ...]:
    """Model and data, arms, measurement, scoring and statistics, a statement each."""
    if view.replayed:
        return (
            Statement(
                f"Published outputs and judgments of {', '.join(view.arms)} were scored again; nothing was "
                "trained."
            ),
            _statistics(view),
        )
    return (_data(view), _arms(view), _costs(view), *_scores(view), _statistics(view))


def references(statements: tuple[Statement, ...]) -> tuple[Reference, ...]:
    """What the statements cite, each once, in order."""
    keys = dict.fromkeys(key for statement in statements for key in statement.cites)
    return tuple(Reference(key, REFERENCES[key]) for key in keys)


def _data(view: ComparisonView) -> Statement:
    spec = view.record.plan.spec
    start = "random weights of the configuration" if view.random_weights else "the model"
    return Statement(
        f"All arms start from {start} {spec.get('model')} and train on the same "
        f"{view.prepared.train_pairs:,} preference pairs of {view.source} "
        f"({view.prepared.test_pairs:,} held out), tokenised once, at seeds "
        f"{', '.join(map(str, view.seeds))}."
    )


def _arms(view: ComparisonView) -> Statement:
    parts, cites = [], dict[str, None]()
    for arm in view.arms:
        stages = [view.record.plan.stages[d] for d in view.cells_of(arm)[0].stages]
        used = [str(stage.config.get("method", stage.name)) for stage in stages]
        cites.update(dict.fromkeys(key for method in used for key in METHODS.get(method, ())))
        parts.append(f"{arm} ({' then '.join(method.upper() for method in used)})")
    lora = any((stage.config.get("config") or {}).get("lora") for stage in view.record.plan.stages.values())
    if lora:
        cites["hu2022"] = None
    tail = ", with LoRA adapters" if lora else ""
    objective = " ORPO and DPO share trainer, data path, loss head and logging, and differ in the loss."
    cites["vonwerra2020"] = None
    return Statement(f"The arms are {', '.join(parts)}{tail}.{objective}", tuple(cites))


def _costs(view: ComparisonView) -> Statement:
    environment = view.record.results[view.cells_of(view.arms[0])[0].stages[0]].environment
    memory = (
        "peak memory is the host's resident peak, reset after imports"
        if memory_kind(view) == "host_rss"
        else "peak memory is CUDA's peak of allocated bytes"
    )
    versions = ", ".join(
        f"{name} {environment.versions[name]}"
        for name in ("torch", "transformers", "trl")
        if name in environment.versions
    )
    return Statement(
        f"Every stage ran in a process of its own on {environment.device_name} ({versions}). Training time "
        "runs from model load to the final checkpoint, any reference pass included; FLOPs are counted on "
        f"real steps and checked against their formula; {memory}.",
        ("kaplan2020",),
    )


def _scores(view: ComparisonView) -> list[Statement]:
    if view.random_weights or not view.metrics():
        return []
    names = dict.fromkeys(
        metric.partition(".")[0].partition("/")[0].partition("@")[0] for metric in view.metrics()
    )
    cites = dict.fromkeys(key for name in names for key in BENCHMARKS.get(name, ()))
    judges = dict.fromkeys(
        str(s.settings["judge"]) for (_, (_, s)) in view.written.items() if s.settings.get("judge")
    )
    told = f" Judges: {', '.join(judges)}; pairs are judged in both orders." if judges else ""
    answers: dict[str, Any] = view.record.plan.spec.get("generation") or {}
    greedy = (
        "greedy" if not answers.get("temperature") else f"drawn at temperature {answers['temperature']:g}"
    )
    return [
        Statement(
            f"Scores: {', '.join(names)}. Answers are {greedy}, of at most {answers.get('max_new_tokens')} "
            f"tokens.{told}",
            tuple(cites),
        )
    ]


def _statistics(view: ComparisonView) -> Statement:
    if len(view.seeds) == 1:
        return Statement(
            "Arms are compared on the same items at one seed: intervals are Student's over items, and "
            "McNemar's exact test stands where fewer than 25 items disagree; nothing follows for training "
            "again.",
            ("mcnemar1947",),
        )
    asked = view.record.plan.spec.get("questions") or []
    family = (
        f" The {len(asked)} registered question(s) are adjusted by Holm's procedure; margins were set before "
        "the run, and equivalence is tested by two one-sided tests."
        if asked
        else ""
    )
    cites = ("satterthwaite1946", *(("holm1979", "schuirmann1987") if asked else ()))
    return Statement(
        f"Arms are compared on the same items, with paired t intervals over {len(view.seeds)} seeds; "
        "intervals about the population of items too come from a two-level analysis with Satterthwaite's "
        f"degrees of freedom; ratios of time are geometric means.{family}",
        cites,
    )
