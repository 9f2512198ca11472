"""The report: an answer in three sentences, then everything that it rests on."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.answers import answers, questions_table, sentences
from harness.evidence.contrasts import Evidence, all_evidence
from harness.evidence.costs import cost_ratio, memory_kind, memory_name, share_of_imports
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.macros import macros
from harness.evidence.documents.methods_text import methods, references
from harness.evidence.documents.replayed import replay_report
from harness.evidence.sections import dynamics, ledger, provenance, quality
from harness.evidence.sections.categories import category_table, gradings, radar_figure
from harness.evidence.sections.claims import claims_table
from harness.evidence.sections.frontier import cost_figure, crossings_table, equal_cost_table, pareto_table
from harness.evidence.sections.judging import judges_table, length_table
from harness.evidence.sections.limits import limits
from harness.evidence.sections.predictions import predictions_table
from harness.evidence.sections.ranking import ranking_table
from harness.evidence.sections.ratios import ratios_table
from harness.evidence.sections.reference import attribution_table, reference_table
from harness.evidence.sections.settings import settings_table
from harness.evidence.sections.sharing import prices_table, sharing_table
from harness.evidence.sections.throughput import conditions_table, throughput_table
from harness.evidence.statistics.estimate import POPULATION_TARGET
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.tables import Figure, Report, Section, Table

HEADLINE_METRICS = ("alpaca_eval.win_rate_vs_sft_dpo", "rubric.grade", "preference.accuracy")
OPENINGS = {
    "better": "Single-stage ORPO is better than SFT then DPO here",
    "worse": "Single-stage ORPO is worse than SFT then DPO here",
    "identical": "Single-stage ORPO and SFT then DPO give identical results here",
}


def build_report(view: ComparisonView, claims: Sequence[Claim] = (), warnings: Sequence[str] = ()) -> Report:
    """All sections, tables and figures of one comparison; `claims` are judged on it.

    `warnings` are what only the outside knows, such as a comparison file that changed after the run.
    """
    if view.replayed:
        return replay_report(view, claims)
    evidence = all_evidence(view)
    sections = [
        Section("Costs and results", (), (quality.main_table(view),)),
        *_questions(view),
        *_quality(view, evidence),
        Section("What can and cannot be concluded", (*warnings, *limits(view))),
        *_quality_against_cost(view),
        _dynamics(view),
        *_optional("Published claims", claims_table(view, claims)),
        *_optional(
            "Where the cost comes from",
            reference_table(view),
            attribution_table(view),
            ratios_table(view),
            sharing_table(view),
            prices_table(view),
        ),
        Section(
            "Cost ledger",
            (),
            (
                ledger.ledger_table(view),
                ledger.flops_table(view),
                throughput_table(view),
                conditions_table(view),
            ),
        ),
        *_optional("Predicted and measured", predictions_table(view)),
        *_optional("Answering and scoring", ledger.scoring_table(view)),
        Section("Parity", (), (provenance.parity_table(view),)),
        Section("Data", (), (provenance.data_table(view),)),
        *_optional("Settings", settings_table(view)),
        Section("Provenance", (), (provenance.sources_table(view), provenance.provenance_table(view))),
    ]
    title = f"ORPO against SFT then DPO: {view.record.name}"
    how = methods(view)
    return Report(
        title,
        _summary(view, evidence),
        tuple(sections),
        comparison_data(view, evidence),
        macros=macros(view),
        methods=how,
        references=references(how),
    )


def _questions(view: ComparisonView) -> list[Section]:
    """What was asked before the run: an answer each in words, and the numbers behind it."""
    found = answers(view)
    table = questions_table(view, found)
    return [] if table is None else [Section("Questions", sentences(found), (table,))]


def _quality(view: ComparisonView, evidence: Sequence[Evidence]) -> list[Section]:
    if view.random_weights or not view.metrics():
        reason = (
            "Training began from random weights, so scores would mean nothing and are left out."
            if view.random_weights
            else "Nothing was scored."
        )
        costs = [e for e in evidence if e.quantity.startswith("cost.")]
        return [Section("Scores", (reason,), (quality.evidence_table(view, costs),))]
    metric = _score_of_costs(view)
    return [
        Section(
            "Scores",
            (),
            (quality.score_table(view, evidence), quality.evidence_table(view, evidence), *_judged(view)),
            _drawn(dynamics.score_figure(view, metric), *(radar_figure(view, g) for g in gradings(view))),
        )
    ]


def _judged(view: ComparisonView) -> tuple[Table, ...]:
    categories = (category_table(view, grading) for grading in gradings(view))
    found = (*categories, length_table(view), ranking_table(view), judges_table(view))
    return tuple(table for table in found if table is not None)


def _score_of_costs(view: ComparisonView) -> str:
    """The score that stands against costs: one that every arm has by itself, without a rival."""
    directed = (m for m in view.metrics() if view.higher_is_better(m) is not None)
    return next((m for m in HEADLINE_METRICS[1:] if m in view.metrics()), next(directed, view.metrics()[0]))


def _quality_against_cost(view: ComparisonView) -> list[Section]:
    if view.random_weights:
        return []
    figures = _drawn(cost_figure(view))
    tables = [equal_cost_table(view), crossings_table(view)] if figures else []
    if view.metrics():
        tables.append(pareto_table(view, _score_of_costs(view)))
    return [Section("Quality against cost", (), tuple(tables), figures)] if tables else []


def _optional(title: str, *found: Table | None) -> list[Section]:
    """A section of the tables that have rows; none without any."""
    kept = tuple(table for table in found if table is not None and table.rows)
    return [Section(title, (), kept)] if kept else []


def _dynamics(view: ComparisonView) -> Section:
    table = dynamics.dynamics_table(view)
    if not table.rows:
        return Section("Training dynamics", ("No held-out pairs were scored during training.",))
    figures = _drawn(dynamics.log_prob_figure(view), dynamics.margin_figure(view))
    return Section("Training dynamics", (), (table,), figures)


def _drawn(*figures: Figure | None) -> tuple[Figure, ...]:
    """The figures that have something to show."""
    return tuple(f for f in figures if f is not None and any(p.series for p in f.panels))


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
        ratio = cost_ratio(view, "orpo", "sft_dpo", quantity)
        between = ""
        if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
            between = f" (95% {ratio.low:.0%} to {ratio.high:.0%})"
        parts.append(
            f"its {name} was not measured"
            if ratio.value is None
            else f"{ratio.value:.0%} of its {name}{between}"
        )
    imports = share_of_imports(view) if memory_kind(view) == "host_rss" else None
    caveat = f" ({imports:.0%} or more of it imports)" if imports is not None else ""
    return f"Against SFT then DPO (100%), ORPO took {parts[0]}, {parts[1]} and {parts[2]}{caveat}."


def _sureness_sentence(view: ComparisonView) -> str:
    seeds, pairs = len(view.seeds), view.prepared.train_pairs
    unequal = [c.check for c in view.record.parity if c.equal is False and c.stops]
    parity = f"parity was broken in: {', '.join(unequal)}" if unequal else "no parity check failed"
    return (
        f"This rests on {seeds} seed{'s' if seeds > 1 else ''}, {pairs:,} training pairs and "
        f"{view.prepared.test_pairs:,} held-out pairs, and {parity}."
    )
