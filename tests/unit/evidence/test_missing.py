"""Items that could not be read are counted by arm, and named where the primary arms differ in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import make_view

from harness.evidence.documents.comparison import build_report
from harness.evidence.missing import Missing, asked_items, lopsided, missing_of
from harness.evidence.primary import Primary
from harness.evidence.sections.limits import missing
from harness.evidence.view import ComparisonView
from harness.jsonl import write_jsonl
from harness.records import Score
from harness.store.items import read_items
from harness.store.run_dir import RunRoot

ACCURACY = "preference.accuracy"
PAIR = Primary("orpo", "sft_dpo")


def without(view: ComparisonView, **lost: int) -> ComparisonView:
    """The view whose arms lack their first items at every seed."""
    items = {}
    for cell, tables in view.items.items():
        gone = {f"i{n}" for n in range(lost.get(cell.partition("@")[0], 0))}
        items[cell] = {m: {i: v for i, v in t.items() if i not in gone} for m, t in tables.items()}
    return replace(view, items=items)


def test_items_that_another_cell_has_are_missing() -> None:
    view = without(make_view(), orpo=7)
    assert len(asked_items(view, ACCURACY)) == 100
    of_orpo, of_sft = missing_of(view, "orpo", ACCURACY), missing_of(view, "sft", ACCURACY)
    assert (of_orpo, of_sft) == (Missing(14, 200), Missing(0, 200))
    assert missing_of(view, "orpo", "rubric.grade") is None


def test_items_that_no_cell_could_read_are_missing_too() -> None:
    view = make_view()
    unread = {f"{arm}@{seed}": {ACCURACY: {"x1", "x2"}} for arm in view.arms for seed in view.seeds}
    assert missing_of(replace(view, unread=unread), "orpo", ACCURACY) == Missing(4, 204)


def test_the_table_of_scores_counts_items_and_what_is_missing() -> None:
    tables = {table.name: table for table in build_report(without(make_view(), orpo=7)).tables()}
    row = dict(zip(tables["scores"].columns, tables["scores"].rows[0], strict=True))
    assert (row["items"].value, row["missing"].value) == (100, "orpo 14 of 200")
    whole = next(table for table in build_report(make_view()).tables() if table.name == "scores")
    assert [cell.value for cell in whole.rows[0][-2:]] == [100, "none"]


@pytest.mark.parametrize(
    ("orpo", "sft_dpo", "named"), [(7, 0, True), (5, 0, False), (30, 30, False), (0, 9, True)]
)
def test_a_limit_where_the_primary_arms_differ(orpo: int, sft_dpo: int, named: bool) -> None:
    view = without(make_view(), orpo=orpo, sft_dpo=sft_dpo)
    found = missing(view, PAIR)
    assert bool(found) is named
    if named:
        assert f"orpo lacks {2 * orpo} of 200 items and sft_dpo {2 * sft_dpo} of 200" in found[0]
        limits = next(s for s in build_report(view).sections if "cannot" in s.title)
        assert found[0] in limits.paragraphs
        assert "more items of one arm than of the other" in build_report(view).summary[-1]


def test_the_sign_test_counts_an_item_once() -> None:
    # Seven items of seven: 2 / 2**7, however many seeds lack them.
    ids = {f"i{n}" for n in range(7)}
    assert lopsided([ids, ids, ids], [set(), set(), set()]) == pytest.approx(2 / 2**7)
    assert lopsided([ids, set()], [set(), ids]) == 1.0
    assert lopsided([set()], [set()]) == 1.0


def test_rows_without_a_value_are_read_as_asked(tmp_path: Path) -> None:
    record = make_view().record
    root = RunRoot(tmp_path)
    score = Score(benchmark="rubric", metric="grade", estimate=1.0, n=1, items_file="scores/rubric.jsonl")
    rows = [
        {"id": "a", "metrics": {"grade": 1.0}},
        {"id": "b", "metrics": {"grade": None}},
        {"id": "c", "metrics": {"other": None}},
    ]
    folder = root.stage_folder("ev-orpo0") / "scores"
    folder.mkdir(parents=True)
    write_jsonl(folder / "rubric.jsonl", rows)
    results = dict(record.results)
    results["ev-orpo0"] = results["ev-orpo0"].model_copy(update={"scores": [score]})
    scored = record.model_copy(update={"results": results})
    assert read_items(root, scored).values == {"orpo@0": {"rubric.grade": {"a": 1.0}}}
    assert read_items(root, scored).unread == {"orpo@0": {"rubric.grade": {"b"}}}
