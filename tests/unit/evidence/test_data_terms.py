"""The data table says which pairs every arm lost, and what early stopping selected on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from synthetic import SPLIT, make_view

from harness.evidence.documents.methods_text import methods
from harness.evidence.findings import findings
from harness.evidence.sections.terms import data_table
from harness.evidence.view import ComparisonView
from harness.records import PrepareFacts


def prepared_with(statistics: dict[str, Any], **facts: Any) -> ComparisonView:
    view = make_view()
    results = dict(view.record.results)
    stage = results[view.record.plan.prepare]
    assert isinstance(stage.facts, PrepareFacts)
    own = stage.facts.statistics.model_copy(update=statistics)
    changed = stage.facts.model_copy(update={"statistics": own, **facts})
    results[view.record.plan.prepare] = stage.model_copy(update={"facts": changed})
    return replace(view, record=view.record.model_copy(update={"results": results}))


def test_without_early_stopping_there_are_two_splits_and_one_note() -> None:
    table = data_table(make_view())
    assert [row[0].value for row in table.rows] == ["train", "test"]
    assert len(table.notes) == 1


def test_validation_rows_left_out_and_the_templates_date_are_said() -> None:
    place = "pairs.jsonl:7: chosen and rejected share no prompt"
    view = prepared_with(
        {
            "train": SPLIT.model_copy(update={"diverging_rows": 3, "first_diverging": [place]}),
            "validation": SPLIT,
            "validation_origin": "5% of the training prompts, by hash",
        },
        validation_pairs=98,
        template_date="2024-07-26",
    )
    table = data_table(view)
    assert [row[0].value for row in table.rows] == ["train", "validation", "test"]
    dropped = table.rows[0][table.columns.index("dropped")].value
    assert dropped == "3 rows without a shared prompt, 2 chosen = rejected"
    notes = " ".join(table.notes)
    assert place in notes
    assert "validation split (5% of the training prompts, by hash)" in notes
    assert "2024-07-26" in notes
    text = methods(findings(view))[0][0].text
    assert "98 held out for the test, 98 more for early stopping" in text
