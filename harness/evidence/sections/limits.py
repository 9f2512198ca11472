"""What a run cannot show, and what its figures rest on, in sentences."""

from __future__ import annotations

from harness.evidence.arms import method_of, method_title
from harness.evidence.costs import MemoryKind, memory_kind
from harness.evidence.engine import what_was_noticed
from harness.evidence.findings import Findings
from harness.evidence.interruptions import interrupted
from harness.evidence.missing import lopsided, missing_items, missing_of
from harness.evidence.primary import Primary
from harness.evidence.sections.devices import sentences as of_devices
from harness.evidence.sections.throughput import spoilt
from harness.evidence.sections.updates import rounding
from harness.evidence.statistics.intervals import LEVEL
from harness.evidence.view import ComparisonView
from harness.records import Method
from harness.tables import Section


def section(findings: Findings) -> Section:
    """The warnings from outside first, then this run's limits."""
    absent = missing(findings.view, findings.primary)
    paragraphs = (*findings.warnings, *limits(findings.view), *absent)
    return Section("What can and cannot be concluded", paragraphs)


def limits(view: ComparisonView) -> tuple[str, ...]:
    """One sentence for each limit that this run has."""
    sentences = [
        _seeds(view),
        _random_weights(view),
        _own_code(view),
        _label_noise(view),
        rounding(view),
        _memory(view),
        _disturbances(view),
        *of_devices(view),
        *interrupted([view]),
        *_other_seeds(view),
        _embedded(view),
        _fallback(view),
        _halvings(view),
        what_was_noticed(view),
        _tuning(view),
        _sft_data(view),
        *_other_pairs(view),
    ]
    return tuple(sentence for sentence in sentences if sentence)


def missing(view: ComparisonView, pair: Primary | None) -> tuple[str, ...]:
    """One sentence for each way in which the two primary arms lack items unequally."""
    if pair is None or view.random_weights:
        return ()
    metrics: dict[str, list[str]] = {}
    for metric in view.metrics():
        by_arm = [missing_items(view, arm, metric) for arm in (pair.a, pair.b)]
        if not all(by_arm) or (p := lopsided(*by_arm)) >= LEVEL:
            continue
        counts = [missing_of(view, arm, metric) for arm in (pair.a, pair.b)]
        a, b = (f"{one.count:,} of {one.asked:,}" for one in counts if one is not None)
        metrics.setdefault(f"{pair.a} lacks {a} items and {pair.b} {b} (p = {p:.2g})", []).append(metric)
    return tuple(
        f"Missing items of {', '.join(names)}: {counts}. That is unequal by an exact sign test over items at "
        "5%; the two are compared on what both have, so a difference may be one of what could be read."
        for counts, names in metrics.items()
    )


def _seeds(view: ComparisonView) -> str:
    if len(view.seeds) == 1:
        return (
            "One seed: differences between arms cannot be told from differences between "
            "seeds. Item-level intervals speak of this one seed; times have no interval."
        )
    if len(view.seeds) < 5:
        return (
            f"{len(view.seeds)} seeds: only large differences are detectable; the smallest "
            "ones stand beside each verdict."
        )
    return ""


def _random_weights(view: ComparisonView) -> str:
    if not view.random_weights:
        return ""
    return "Random weights: time, memory and FLOPs are real, quality is not measured."


def _own_code(view: ComparisonView) -> str:
    if view.replayed or not view.prepared.trust_remote_code:
        return ""
    return (
        "Code that the model brought along was run (trust_remote_code): it belongs to no package whose "
        "version is recorded, and could have changed any figure."
    )


def _memory(view: ComparisonView) -> str:
    if memory_kind(view) == MemoryKind.CUDA:
        return ""
    return (
        "CPU: memory is the host's resident peak with everything imported, and never VRAM; "
        "claims about GPU memory need a GPU. CPU times say little about GPU times."
    )


def _disturbances(view: ComparisonView) -> str:
    disturbed = spoilt(view)
    if not disturbed:
        return ""
    named = "; ".join(disturbed[:2]) + ("; ..." if len(disturbed) > 2 else "")
    return (
        f"Times and energy of {len(disturbed)} training stage(s) were disturbed ({named}); the table "
        "of conditions has all of them."
    )


def _other_seeds(view: ComparisonView) -> list[str]:
    return [
        f"{arm['name']} trains at seeds {arm['seed_offset']} further on: where it is another arm "
        "again, a difference is found by chance, as in 5% of such runs by design."
        for arm in view.record.plan.spec["arms"]
        if arm.get("seed_offset")
    ]


def _embedded(view: ComparisonView) -> str:
    if view.source != "embedded":
        return ""
    return (
        "The embedded world is made by code to show that the path works; nothing about "
        "real models or real text follows from it."
    )


def _fallback(view: ComparisonView) -> str:
    if not view.record.plan.spec.get("fell_back"):
        return ""
    return (
        "Full settings did not fit this GPU: every arm trained by the comparison's "
        "`if_too_large` settings, which are the ones recorded."
    )


def _label_noise(view: ComparisonView) -> str:
    share = (view.record.plan.spec.get("data") or {}).get("label_noise")
    return (
        f"Chosen and rejected were exchanged in {share:.0%} of the training pairs on purpose."
        if share
        else ""
    )


def _halvings(view: ComparisonView) -> str:
    if not view.record.plan.spec.get("halvings"):
        return ""
    return (
        "Memory ran out in mid-run: micro-batches were halved in every arm, at the same effective batch, and "
        "all training ran again at that size."
    )


def _tuning(view: ComparisonView) -> str:
    spread = {check.detail for check in view.record.parity if check.check == "tuning_trials"}
    return f"Hyper-parameters: tuning trials per arm: {', '.join(spread) or 'not stated'}."


def _sft_data(view: ComparisonView) -> str:
    """What the stages that learn from chosen answers alone were given."""
    titles = [title for title, about in _methods(view).items() if about.data == "chosen"]
    external = view.prepared.sft_data
    if external:
        of_its_own = ", ".join(f"{arm} on {source}" for arm, source in external.items())
        return f"{' and '.join(titles) or 'A first stage'} trained on external data: {of_its_own}."
    if not titles:
        return ""
    return f"{' and '.join(titles)} trained on the chosen answers of the same pairs."


def _other_pairs(view: ComparisonView) -> list[str]:
    """What methods make of pairs that is something else than pairs."""
    return [f"{title} {about.takes_pairs}." for title, about in _methods(view).items() if about.takes_pairs]


def _methods(view: ComparisonView) -> dict[str, Method]:
    """The methods of all training stages by their titles, where they are known."""
    stages = [stage for cell in view.record.plan.cells for stage in view.stages_of(cell)]
    known = ((method_title(view, stage), method_of(view, stage)) for stage in stages)
    return {title: about for title, about in known if about is not None}
