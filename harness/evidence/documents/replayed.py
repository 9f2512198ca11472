"""The report of replayed results: scores and evidence, without costs, training or data."""

from __future__ import annotations

from harness.evidence.contrasts import Contrast
from harness.evidence.documents.comparison_json import comparison_data
from harness.evidence.documents.macros import macros
from harness.evidence.documents.methods_text import methods
from harness.evidence.findings import Findings
from harness.evidence.sections import claims, provenance, quality
from harness.evidence.view import ComparisonView
from harness.tables import Report, Section


def replay_report(findings: Findings) -> Report:
    """Everything that published outputs and judgments can show, and what they say of published claims."""
    view = findings.view
    sections = (
        Section("Scores", (), quality.quality_tables(findings), quality.quality_figures(view)),
        Section("What can and cannot be concluded", _limits(view)),
        claims.section(findings),
        Section("Provenance", (), (provenance.provenance_table(view),)),
    )
    how, cited = methods(findings)
    return Report(
        f"Replayed: {view.record.name}",
        _summary(findings),
        tuple(section for section in sections if section is not None),
        comparison_data(findings),
        macros=macros(findings),
        methods=how,
        references=cited,
    )


def _summary(findings: Findings) -> tuple[str, ...]:
    """What was replayed, how each pair of arms compares on the first metric that all have."""
    view = findings.view
    first = next((one.quantity for one in findings.contrasts if one.estimate.value is not None), None)
    sentences = [_sentence(one) for one in findings.contrasts if one.quantity == first]
    what = f"{len(view.arms)} arm(s) with {', '.join(view.metrics())} were replayed from {view.source}."
    return (what, *sentences, "Nothing was trained or generated, so costs are not measured.")


def _sentence(one: Contrast) -> str:
    value = one.estimate
    text = f"On {one.quantity} {one.a} against {one.b}: {one.verdict.text}"
    if value.value is None:
        return f"{text}."
    between = ""
    if value.low is not None and value.high is not None:
        between = f", 95% {value.low:+.4f} to {value.high:+.4f}"
    return f"{text} ({value.value:+.4f}{between}, n = {value.n})."


def _limits(view: ComparisonView) -> tuple[str, ...]:
    files = "The figures are those of the published files; how they were made is not known here."
    one = "One training of each arm: intervals speak of the population of items and not of training again."
    return (files, one) if len(view.seeds) == 1 else (files,)
