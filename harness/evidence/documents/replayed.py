"""The report of replayed results: scores and evidence, without costs, training or data."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.contrasts import Evidence, all_evidence
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.macros import macros
from harness.evidence.documents.methods_text import methods, references
from harness.evidence.sections import provenance, quality
from harness.evidence.sections.categories import category_table, gradings, radar_figure
from harness.evidence.sections.claims import claims_table
from harness.evidence.sections.judging import judges_table, length_table
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import Claim
from harness.tables import Report, Section


def replay_report(view: ComparisonView, claims: Sequence[Claim] = ()) -> Report:
    """Everything that published outputs and judgments can show, and what they say of published claims."""
    evidence = [e for e in all_evidence(view) if not e.quantity.startswith("cost.")]
    categories = [category_table(view, grading) for grading in gradings(view)]
    found = (*categories, length_table(view), judges_table(view))
    judged = [table for table in found if table is not None]
    radars = [radar_figure(view, grading) for grading in gradings(view)]
    compared = (quality.score_table(view, evidence), quality.evidence_table(view, evidence), *judged)
    claimed = claims_table(view, claims)
    sections = (
        Section("Scores", (), compared, tuple(radar for radar in radars if radar is not None)),
        Section("What can and cannot be concluded", _limits(view)),
        *([Section("Published claims", (), (claimed,))] if claimed is not None else []),
        Section("Provenance", (), (provenance.provenance_table(view),)),
    )
    title = f"Replayed: {view.record.name}"
    how, data = methods(view), comparison_data(view, evidence)
    return Report(
        title,
        _summary(view, evidence),
        sections,
        data,
        macros=macros(view),
        methods=how,
        references=references(how),
    )


def _summary(view: ComparisonView, evidence: Sequence[Evidence]) -> tuple[str, ...]:
    """What was replayed, how each pair of arms compares on the first metric that all have."""
    first = next((e.quantity for e in evidence if e.estimate.value is not None), None)
    said = [_sentence(e) for e in evidence if e.quantity == first]
    scored, source = ", ".join(view.metrics()), view.source
    what = f"{len(view.arms)} arm(s) with {scored} were replayed from {source}."
    return (what, *said, "Nothing was trained or generated, so costs are not measured.")


def _sentence(one: Evidence) -> str:
    value = one.estimate
    text = f"On {one.quantity} {one.a} against {one.b}: {one.verdict} ({value.value:+.4f}"
    if value.low is not None and value.high is not None:
        text += f", 95% {value.low:+.4f} to {value.high:+.4f}"
    return f"{text}, n = {value.n})."


def _limits(view: ComparisonView) -> tuple[str, ...]:
    found = ["The figures are those of the published files; how they were made is not known here."]
    if len(view.seeds) == 1:
        found.append(
            "One training of each arm: intervals speak of the population of items and not of training again."
        )
    return tuple(found)
