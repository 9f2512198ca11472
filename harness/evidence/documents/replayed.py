"""The report of replayed results: scores and evidence, without costs, training or data."""

from __future__ import annotations

from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.methods_text import methods
from harness.evidence.findings import Findings
from harness.evidence.sections import claims, provenance, quality
from harness.evidence.sections.limits import missing
from harness.evidence.sections.summary import registered_answers
from harness.evidence.wording import sentence
from harness.tables import Report, Section

NOT_REGISTERED = "No question was registered, so every verdict is exploratory and unadjusted."


def replay_report(findings: Findings) -> Report:
    """Everything that published outputs and judgments can show, and what they say of published claims."""
    view = findings.view
    sections = (
        quality.scores(findings),
        Section("What can and cannot be concluded", _limits(findings)),
        claims.section(findings),
        Section("Provenance", (), (provenance.provenance_table(view),)),
    )
    how, cited = methods(findings)
    return Report(
        f"Replayed: {view.record.name}",
        _summary(findings),
        tuple(section for section in sections if section is not None),
        comparison_data(findings),
        methods=how,
        references=cited,
    )


def _summary(findings: Findings) -> tuple[str, ...]:
    """What was replayed; the registered answers, or how each pair of arms compares on the first metric."""
    view, titles = findings.view, findings.titles
    first = next((one.quantity for one in findings.contrasts if one.estimate.value is not None), None)
    what = f"{len(view.arms)} arm(s) with {', '.join(view.metrics())} were replayed from {view.source}."
    exploratory = [sentence(view, titles, one) for one in findings.contrasts if one.quantity == first]
    told = registered_answers(findings) if findings.answers else (NOT_REGISTERED, *exploratory)
    return (what, *told, "Nothing was trained or generated, so costs are not measured.")


def _limits(findings: Findings) -> tuple[str, ...]:
    files = "The figures are those of the published files; how they were made is not known here."
    one = "One training of each arm: intervals speak of the population of items and not of training again."
    seeds = (one,) if len(findings.view.seeds) == 1 else ()
    return (files, *seeds, *missing(findings.view, findings.primary))
