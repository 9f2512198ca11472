"""The report: an answer in three sentences, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence import dynamics, ledger, origins, tables
from harness.evidence.costs import arm_cost, memory_kind, memory_name, share_of_imports
from harness.evidence.data import comparison_data
from harness.evidence.estimate import POPULATION_TARGET
from harness.evidence.pairs import Evidence, all_evidence
from harness.evidence.view import ComparisonView
from harness.tables import Figure, Report, Section

HEADLINE_METRICS = ("alpaca_eval.win_rate_vs_sft_dpo", "rubric.grade", "preference.accuracy")
OPENINGS = {
    "better": "Single-stage ORPO is better than SFT then DPO here",
    "worse": "Single-stage ORPO is worse than SFT then DPO here",
    "identical": "Single-stage ORPO and SFT then DPO give identical results here",
}


def build_report(view: ComparisonView) -> Report:
    """All sections, tables and figures of one comparison."""
    evidence = all_evidence(view)
    sections = [
        Section("Costs and results", (), (tables.main_table(view),)),
        *_quality(view, evidence),
        Section("What can and cannot be concluded", _limits(view)),
        _dynamics(view),
        Section("Cost ledger", (), (ledger.ledger_table(view), ledger.flops_table(view))),
        Section("Parity", (), (origins.parity_table(view),)),
        Section("Data", (), (origins.data_table(view),)),
        Section("Provenance", (), (origins.sources_table(view), origins.provenance_table(view))),
    ]
    title = f"ORPO against SFT then DPO: {view.record.name}"
    return Report(title, _summary(view, evidence), tuple(sections), comparison_data(view, evidence))


def _quality(view: ComparisonView, evidence: Sequence[Evidence]) -> list[Section]:
    if view.random_weights or not view.metrics():
        reason = (
            "Training began from random weights, so scores would mean nothing and are left out."
            if view.random_weights
            else "Nothing was scored."
        )
        costs = [e for e in evidence if e.quantity.startswith("cost.")]
        return [Section("Scores", (reason,), (tables.evidence_table(view, costs),))]
    metric = next((m for m in HEADLINE_METRICS[1:] if m in view.metrics()), view.metrics()[0])
    return [
        Section(
            "Scores",
            (),
            (tables.score_table(view, evidence), tables.evidence_table(view, evidence)),
            _drawn(dynamics.score_figure(view, metric)),
        )
    ]


def _dynamics(view: ComparisonView) -> Section:
    table = dynamics.dynamics_table(view)
    if not table.rows:
        return Section("Training dynamics", ("No held-out pairs were scored during training.",))
    figures = _drawn(dynamics.log_prob_figure(view), dynamics.margin_figure(view))
    return Section("Training dynamics", (), (table,), figures)


def _drawn(*figures: Figure) -> tuple[Figure, ...]:
    """The figures that have something to show."""
    return tuple(f for f in figures if any(p.series for p in f.panels))


def _summary(view: ComparisonView, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """Exactly three sentences: better or not, at what cost, how sure."""
    if not {"orpo", "sft_dpo"} <= set(view.arms):
        return (
            f"This comparison holds {', '.join(view.arms)}, not both orpo and sft_dpo.",
            "The question of ORPO against SFT then DPO is therefore not answered.",
            "The tables below say what was measured.",
        )
    return (_quality_sentence(view, evidence), _cost_sentence(view), _sureness_sentence(view))


def _quality_sentence(view: ComparisonView, evidence: Sequence[Evidence]) -> str:
    if view.random_weights:
        return (
            "Whether ORPO is better than SFT then DPO was not measured: training began from random weights."
        )
    for metric in HEADLINE_METRICS:
        one = next((e for e in evidence if e.quantity == metric and {e.a, e.b} == {"orpo", "sft_dpo"}), None)
        if one is not None and one.estimate.value is not None:
            opening = OPENINGS.get(_said_of_orpo(one), "ORPO and SFT then DPO are not separable here")
            return f"{opening}: {_how_much(one)}."
    return "Whether ORPO is better than SFT then DPO was not measured: no benchmark scored both."


def _said_of_orpo(one: Evidence) -> str:
    """The verdict from ORPO's side, whichever arm the comparison file names first."""
    turned = {"better": "worse", "worse": "better"}
    return one.verdict if one.a == "orpo" else turned.get(one.verdict, one.verdict)


def _how_much(one: Evidence) -> str:
    """The difference with its interval, and what this n could have found where it found nothing."""
    value = one.estimate
    assert value.value is not None
    text = f"{one.quantity} differs by {value.value:+.3f}"
    if one.quantity == HEADLINE_METRICS[0]:
        rate, off = 0.5 + value.value, value.value
        text = f"{one.a} wins {rate:.1%} of answers against {one.b}, {off:+.3f} from equal"
    elif one.a != "orpo":
        text += f" ({one.a} minus {one.b})"
    if value.low is not None and value.high is not None:
        text += f" (95% {value.low:+.3f} to {value.high:+.3f})"
    if value.target == POPULATION_TARGET:
        text += ", which speaks of the items at this one seed and not of training again"
    if value.detectable is not None and one.verdict not in OPENINGS:
        text += f"; the smallest difference found with 80% power at n = {value.n} is {value.detectable:.3f}"
    return text


def _cost_sentence(view: ComparisonView) -> str:
    parts = []
    names = (
        ("wall_seconds", "training time"),
        ("flops", "FLOPs"),
        ("peak_memory_bytes", memory_name(view)),
    )
    for quantity, name in names:
        orpo, both = (arm_cost(view, arm, quantity).value for arm in ("orpo", "sft_dpo"))
        parts.append(f"{orpo / both:.0%} of its {name}" if orpo and both else f"its {name} was not measured")
    imports = share_of_imports(view) if memory_kind(view) == "host_rss" else None
    caveat = f" ({imports:.0%} or more of it imports)" if imports is not None else ""
    return f"Against SFT then DPO (100%), ORPO took {parts[0]}, {parts[1]} and {parts[2]}{caveat}."


def _sureness_sentence(view: ComparisonView) -> str:
    seeds, pairs = len(view.seeds), view.prepared["train_pairs"]
    unequal = [c.check for c in view.record.parity if c.equal is False]
    parity = f"parity was broken in: {', '.join(unequal)}" if unequal else "no parity check failed"
    return (
        f"This rests on {seeds} seed{'s' if seeds > 1 else ''}, {pairs:,} training pairs and "
        f"{view.prepared['test_pairs']:,} held-out pairs, and {parity}."
    )


def _limits(view: ComparisonView) -> tuple[str, ...]:
    found = []
    if len(view.seeds) == 1:
        found.append(
            "One seed: differences between arms cannot be told from differences between "
            "seeds. Item-level intervals speak of this one seed; times have no interval."
        )
    elif len(view.seeds) < 5:
        found.append(
            f"{len(view.seeds)} seeds: only large differences are detectable; the smallest "
            "ones stand beside each verdict."
        )
    if view.random_weights:
        found.append("Random weights: time, memory and FLOPs are real, quality is not measured.")
    if memory_kind(view) == "host_rss":
        found.append(
            "CPU: memory is the host's resident peak with everything imported, and never VRAM; "
            "claims about GPU memory need a GPU. CPU times say little about GPU times."
        )
    if view.prepared["source"] == "embedded":
        found.append(
            "The embedded world is made by code to show that the path works; nothing about "
            "real models or real text follows from it."
        )
    if view.record.plan.spec.get("fell_back"):
        found.append(
            "Full settings did not fit this GPU: every arm trained by the comparison's "
            "`if_too_large` settings, which are the ones recorded."
        )
    spread = {c.detail for c in view.record.parity if c.check == "tuning_trials"}
    found.append(f"Hyper-parameters: tuning trials per arm: {', '.join(spread)}.")
    own = view.prepared["sft_data"]
    found.append(
        "SFT trained on "
        + (
            "external data: " + ", ".join(f"{a} on {s}" for a, s in own.items())
            if own
            else "the chosen answers of the same pairs"
        )
        + "."
    )
    return tuple(found)
