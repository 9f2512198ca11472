"""Records of version 1 load and give the figures that the code of their time gave.

`embedded_v1.json.gz` is the embedded comparison as version 1 recorded it (three arms, three seeds, the first
40 items of each score), with the figures of the report that was made of it then.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.macros import name_of
from harness.evidence.documents.paper import build_paper
from harness.evidence.documents.paper_columns import columns_of
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import load_claims
from harness.quantities import cost_of
from harness.records import ComparisonRecord
from harness.tables import Report

FIXTURES = Path(__file__).parents[2] / "fixtures"
BY_DEFINITION = {
    "sftAlpacaEvalWinRate": 0.5,
    "sftAlpacaEvalLengthDifference": 0.0,
    "sftDpoAlpacaEvalWinRateVsSftDpo": 0.5,
    "sftDpoAlpacaEvalLengthDifferenceVsSftDpo": 0.0,
}
"""Macros that were absent then and are a rival's score against itself now, as in the tables of both."""
KEPT_COLUMNS = {"throughput": -2}
"""Without MFU and HFU: each rehearsal's own peak then, one for all arms now."""
EMPTY_COLUMNS = {"main": 6}
"""The place of a score that no arm has, which has no column now."""
VALUES_ALONE = {
    "scores": slice(2, 6),
    "questions": slice(3, 4),
    "length_control": slice(2, 3),
}
"""Columns whose values stand; intervals and p values are made in another way now."""
OTHER_COLUMNS = {"claims", "judges", "ranking", "sources", "provenance"}
"""Tables whose columns are others now, or whose digests stand in another."""
PER_STAGE = {"ledger", "flops", "reference", "throughput", "conditions"}
"""Tables of a row a stage, which were five and are three."""

OLD_HERE = 4
"""The column of the old table of claims that has what the run measured."""


@pytest.fixture(scope="module")
def old() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(gzip.decompress((FIXTURES / "embedded_v1.json.gz").read_bytes()))
    return data


@pytest.fixture(scope="module")
def report(old: dict[str, Any]) -> Report:
    return build_report(view_of(old), load_claims())


def view_of(old: dict[str, Any]) -> ComparisonView:
    record = ComparisonRecord.model_validate(old["record"])
    return ComparisonView(record, old["items"], old["series"])


def number(value: Any) -> Any:
    return value if isinstance(value, int | float) else None


def test_every_table_has_the_figures_that_it_had(old: dict[str, Any], report: Report) -> None:
    tables = {
        table.name: [[[number(c.value), c.low, c.high] for c in row] for row in table.rows]
        for table in report.tables()
    }
    assert set(tables) >= set(old["report"]["tables"]) - PER_STAGE - OTHER_COLUMNS
    for name, rows in old["report"]["tables"].items():
        if name in OTHER_COLUMNS | PER_STAGE | {"evidence"}:
            continue
        if name in VALUES_ALONE:
            assert _values(tables[name], VALUES_ALONE[name]) == _close(_values(rows, VALUES_ALONE[name])), (
                name
            )
        else:
            kept, empty = KEPT_COLUMNS.get(name), EMPTY_COLUMNS.get(name)
            then = [[cell for i, cell in enumerate(row[:kept]) if i != empty] for row in rows]
            assert [row[:kept] for row in tables[name]] == _close(then), name


@pytest.mark.parametrize("name", sorted(PER_STAGE))
def test_every_stage_has_the_figures_that_it_had(name: str, old: dict[str, Any], report: Report) -> None:
    """Somewhere in its rows."""
    now: dict[str, list[float]] = {}
    for table in report.tables():
        if table.name in PER_STAGE:
            for row in table.rows:
                known = (number(cell.value) for cell in row)
                now.setdefault(str(row[0].value), []).extend(v for v in known if v is not None)
    stages = [
        str(row[0].value) for table in report.tables() if table.name == "throughput" for row in table.rows
    ]
    rows = old["report"]["tables"][name]
    of_one_seed = [
        str(row[0].value) for table in report.tables() if table.name == "flops" for row in table.rows
    ]
    for stage, row in zip(of_one_seed if len(rows) < len(stages) else stages, rows, strict=True):
        figures = [cell[0] for cell in row[: KEPT_COLUMNS.get(name)] if cell[0] is not None]
        assert figures
        missing = [v for v in figures if not any(v == pytest.approx(other, rel=1e-9) for other in now[stage])]
        assert missing == [], stage


def test_every_contrast_has_the_value_that_it_had(old: dict[str, Any], report: Report) -> None:
    """Those of arms that a question was asked about stand first now."""
    found = [row for table in report.tables() if table.name.startswith("evidence") for row in table.rows]
    then = [row[3][0] for row in old["report"]["tables"]["evidence"]]
    assert sorted(number(row[3].value) for row in found) == [pytest.approx(v, rel=1e-9) for v in sorted(then)]


def _values(rows: list[list[list[float | None]]], columns: slice) -> list[list[list[float | None]]]:
    """Figures of some columns without their intervals."""
    return [[cell[:1] for cell in row[columns]] for row in rows]


def test_claims_that_were_judged_have_the_figures_that_they_had(old: dict[str, Any], report: Report) -> None:
    """Claims come and go, and so do columns; what was measured of them then is measured of them now."""
    table = next(table for table in report.tables() if table.name == "claims")
    here = table.columns.index("here")
    cells = [row[here] for row in table.rows]
    now = [[number(cell.value), cell.low, cell.high] for cell in cells]
    then = [row[OLD_HERE] for row in old["report"]["tables"]["claims"]]
    measured = [cell for cell in then if cell[0] is not None]
    assert len(measured) >= 8
    assert [cell for cell in measured if _close([[cell]])[0][0] not in now] == []


def test_shares_of_several_peaks_became_shares_of_the_highest(old: dict[str, Any], report: Report) -> None:
    table = next(table for table in report.tables() if table.name == "throughput")
    of_own_peak = old["report"]["tables"]["throughput"]
    for column, name in ((-2, "MFU"), (-1, "HFU")):
        now = [row[table.columns.index(name)].value for row in table.rows]
        factors = [new / was[column][0] for new, was in zip(now, of_own_peak, strict=True)]
        assert max(factors) == pytest.approx(1.0)
        assert min(factors) < 0.95


def _close(rows: list[list[list[float | None]]]) -> Any:
    return [[[v if v is None else pytest.approx(v, rel=1e-9) for v in cell] for cell in row] for row in rows]


def test_every_figure_has_the_points_that_it_had(old: dict[str, Any], report: Report) -> None:
    """Bands were from the lowest to the highest seed then, and are intervals now."""
    figures = {
        figure.name: [[s.label, list(s.x), list(s.y)] for p in figure.panels for s in p.series]
        for figure in report.figures()
        if figure.name != "registered"
    }
    before = {name: [line[:3] for line in lines] for name, lines in old["report"]["figures"].items()}
    assert figures == before


def test_every_figure_that_had_a_name_has_one(old: dict[str, Any]) -> None:
    """Shorter ones now; `asked` are effects of registered questions, whose names were longest."""
    view = view_of(old)
    columns = columns_of([view])
    new = {macro.name: number(macro.cell.value) for macro in build_paper([view]).macros}
    expected = {**old["report"]["macros"], **BY_DEFINITION}
    names = {name: name for name in ("runId", "seedCount", "trainPairs", "testPairs")}
    for column in columns.values():
        cost = cost_of(column.quantity)
        was = column.quantity if cost is None else cost.word.capitalize() + "Ratio" * column.is_ratio
        names |= {name_of(arm, was): name_of(arm, column.name) for arm in view.arms}
        if not column.is_ratio:
            asked = name_of("orpo", "against", "sft_dpo", column.quantity)
            names[asked] = name_of("orpo", column.name, "effect")
    figures = {name: value for name, value in expected.items() if isinstance(value, int | float)}
    assert len(figures) > 50
    assert {name: new[names[name]] for name in figures} == pytest.approx(figures, rel=1e-9)


def test_verdicts_are_what_they_were(old: dict[str, Any], report: Report) -> None:
    data: Any = report.data
    # What a verdict says after that are amounts, in points of percent now.
    verdicts = [question["verdict"].partition(" at n")[0] for question in data["questions"]]
    assert verdicts == [verdict.partition(" at n")[0] for verdict in old["report"]["verdicts"]]


def test_titles_and_citations_come_from_the_installed_methods(report: Report) -> None:
    assert report.title == "ORPO against SFT then DPO: embedded"
    assert {"ouyang2022", "rafailov2023", "hong2024"} <= {reference.key for reference in report.references}


def test_a_record_of_made_stages_renders_too() -> None:
    text = (FIXTURES / "records_v1" / "record.json").read_text(encoding="utf-8")
    report = build_report(ComparisonView(ComparisonRecord.model_validate_json(text), {}, {}))
    main = next(table for table in report.tables() if table.name == "main")
    assert [row[2].value for row in main.rows] == pytest.approx([10.5, 42.0, 26.25])
    assert report.summary[-2].endswith(
        "63% of its training time (no interval), 54% of its FLOPs and 125% of its peak host memory."
    )
