"""A published table beside a run: theirs and ours under each other, and what does not add up in theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_view

from harness.errors import UserError
from harness.evidence.documents.beside import COLUMNS, beside_table
from harness.evidence.sections.results import main_table
from harness.pipeline.published import PublishedRow, PublishedTable, load_published
from harness.units import plain


def column(name: str) -> int:
    return COLUMNS.index(name)


def test_the_lab_s_rows_stand_above_the_runs_own() -> None:
    view = make_view()
    rows = beside_table(view, load_published("lab")).rows
    assert [(plain(row[0]), plain(row[1])) for row in rows] == [
        (arm, whose) for arm in ("sft", "sft_dpo", "orpo") for whose in ("published", "this run")
    ]
    theirs = [plain(cell) for cell in rows[4][2:]]
    assert theirs == ["1", "25.0 h", "70.0%", "4.20", "62.0%"]
    main = main_table(view)
    own = {plain(row[0]): plain(row[main.columns.index("relative cost")]) for row in main.rows}
    assert plain(rows[5][column("relative cost")]) == own["orpo"]
    assert rows[5][column("device time")].sources, "a figure of the run can be traced"
    assert [plain(row[column("stages")]) for row in rows[1::2]] == ["1", "2", "1"]


def test_a_cost_that_does_not_follow_from_its_own_hours_is_said() -> None:
    notes = beside_table(make_view(), load_published("lab")).notes
    assert [note for note in notes if "by its own hours" in note] == [
        "Of the published figures: by its own hours sft costs 50%, where the table says 20%."
    ]


def test_what_one_of_both_lacks_has_a_reason() -> None:
    published = PublishedTable(title="T", source="s", rows=[PublishedRow(arm="simpo", win_rate=0.4)])
    rows = {(row[0].value, row[1].value): row for row in beside_table(make_view(), published).rows}
    assert rows["simpo", "this run"][column("win rate")].reason == "it is not in this comparison"
    assert rows["simpo", "published"][column("device time")].reason == "the source does not say"
    assert rows["orpo", "published"][column("win rate")].reason == "it has no such arm"
    assert rows["orpo", "this run"][column("helpfulness (1 to 5)")].value is None


def test_wrong_names_and_files_are_one_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="lab"):
        load_published("labs")
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "reports" / "published"
    folder.mkdir(parents=True)
    row = "{arm: sft, win_rate: 68}"
    (folder / "mine.yaml").write_text(f"title: T\nsource: s\nrows:\n  - {row}\n", encoding="utf-8")
    with pytest.raises(UserError, match="win_rate"):
        load_published("mine")
    row = "{arm: sft}\n  - {arm: sft}"
    (folder / "mine.yaml").write_text(f"title: T\nsource: s\nrows:\n  - {row}\n", encoding="utf-8")
    with pytest.raises(UserError, match="two rows"):
        load_published("mine")
