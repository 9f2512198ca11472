"""Every format says the same: each is parsed back, cell by cell, and held against the table."""

from __future__ import annotations

import csv
import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from synthetic_tuning import tuned_view

from harness import registry
from harness.evidence.documents.comparison import build_report
from harness.pipeline.claims import load_claims
from harness.tables import Report, Table
from harness.units import for_readers, plain

Rows = list[list[str]]


@pytest.fixture(scope="module")
def report() -> Report:
    view = tuned_view(full=True)
    questions = [
        {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": 0.05},
        {"quantity": "cost.wall_seconds", "a": "orpo", "b": "sft_dpo", "margin": 0.05},
    ]
    view.record.plan.spec["questions"] = questions
    return build_report(view, load_claims())


@pytest.fixture(scope="module")
def folder(report: Report, tmp_path_factory: Any) -> Path:
    out = Path(tmp_path_factory.mktemp("report"))
    for name in registry.names("formats"):
        registry.load("formats", name).render(report, out)
    return out


def shown(table: Table) -> Rows:
    return [[plain(cell) for cell in row] for row in table.rows]


def from_markdown(text: str, table: Table) -> Rows:
    part = text.split(f"**{table.title}**")[1]
    lines = [line for line in part.split("\n")[2 : 4 + len(table.rows)] if line.startswith("|")][2:]
    cells = [re.split(r"(?<!\\) \| ", line.strip("| ")) for line in lines]
    return [[_plain_markdown(c) for c in row] for row in cells]


def _plain_markdown(text: str) -> str:
    text = re.sub(r"^\*\*(.*)\*\*$", r"\1", text)
    text = re.sub(r"\\([\\`*_\[\]|$~])", r"\1", text)
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


class Cells(html.parser.HTMLParser):
    """The body cells of every table of a page, by the table's id."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, Rows] = {}
        self._table = ""
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._table = str(dict(attrs)["id"])
            self.found[self._table] = []
        if tag == "tr":
            self.found[self._table].append([])
        if tag == "td" or dict(attrs).get("scope") == "row":
            self._in_cell = True
            self.found[self._table][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self.found[self._table][-1][-1] += data


def from_latex(text: str, table: Table) -> Rows:
    """The rows of a table, put together from the parts that it was cut into."""
    rows: list[dict[str, str]] = [{} for _ in table.rows]
    for part in re.split(r"\\begin\{(?:tabular|longtable)\}", text)[1:]:
        heading, *_, body = part.split(r"\bottomrule")[0].split(r"\midrule")
        names = _cells(heading.split(r"\toprule")[1])[0]
        for row, cells in zip(rows, _cells(body), strict=True):
            row |= dict(zip(names, cells, strict=True))
    assert all(set(row) == set(table.columns) for row in rows), (table.name, rows[:1])
    return [[row[column] for column in table.columns] for row in rows]


def _cells(text: str) -> Rows:
    lines = [line for line in text.split("\n") if line.endswith(r" \\")]
    return [[_plain_latex(c) for c in line.removesuffix(r" \\").split(" & ")] for line in lines]


def _plain_latex(text: str) -> str:
    text = re.sub(r"\\textbf\{(.*)\}$", r"\1", text)
    stacked = re.match(r"\\shortstack\[.\]\{(.*)\}$", text)
    text = stacked[1].replace(r"\\", " ") if stacked else text
    text = re.sub(r"\{\\(?:small|footnotesize|scriptsize) (.*)\}$", r"\1", text)
    words = {
        r"\allowbreak{}": "",
        r"\textminus{}": "-",
        r"\dag{}": "†",
        "~": " ",
        r"\textless{}": "<",
        r"\textgreater{}": ">",
        r"\textbar{}": "|",
        "{[}": "[",
        "{]}": "]",
    }
    for old, new in words.items():
        text = text.replace(old, new)
    return re.sub(r"\\([&%$#_{}])", r"\1", text)


def test_every_cell_reads_the_same_in_markdown_html_and_latex(report: Report, folder: Path) -> None:
    text = (folder / "report.md").read_text()
    page = Cells()
    page.feed((folder / "report.html").read_text())
    for table in map(for_readers, report.tables()):
        wanted = shown(table)
        assert from_markdown(text, table) == wanted, table.name
        assert page.found[f"t-{table.name}"][1:] == wanted, table.name
        tex = from_latex((folder / "tables" / f"{table.name}.tex").read_text(), table)
        assert tex == wanted, table.name


def test_csv_and_parquet_hold_the_values_themselves(report: Report, folder: Path) -> None:
    import pyarrow.parquet

    cells = pyarrow.parquet.read_table(folder / "cells.parquet").to_pylist()
    for table in report.tables():
        kept = [c for c in cells if c["table"] == table.name]
        values = [cell for row in table.rows for cell in row]
        assert [c["number"] if c["text"] is None else c["text"] for c in kept] == [c.value for c in values]
        assert [(c["low"], c["high"], tuple(c["stages"])) for c in kept] == [
            (c.low, c.high, c.sources) for c in values
        ]
        with (folder / "tables" / f"{table.name}.csv").open(newline="") as source:
            header, *rows = csv.reader(source)
        # An interval adds two columns after its own.
        widths = [
            3 if any(row[i].low is not None for row in table.rows) else 1 for i in range(len(table.columns))
        ]
        places = [sum(widths[:i]) for i in range(len(widths))]
        assert len(header) == sum(widths) + 2
        for row, line in zip(table.rows, rows, strict=True):
            for place, cell in zip(places, row, strict=True):
                text = line[place]
                if isinstance(cell.value, int | float):
                    assert float(text) == cell.value
                elif cell.value is None:
                    assert text == ""


def test_parquet_can_be_grouped_by_arm_seed_and_metric(report: Report, folder: Path) -> None:
    import pandas as pd

    cells = pd.read_parquet(folder / "cells.parquet")
    data = json.loads((folder / "comparison.json").read_text())
    scores = (
        cells[(cells.table == "scores") & (cells.metric == "preference.accuracy")].set_index("arm").number
    )
    for arm, told in data["arms"].items():
        assert scores[arm] == told["scores"]["preference"]["accuracy"]["estimate"]
        times = cells[(cells.table == "main") & (cells.metric == "wall_seconds")].set_index("arm").number
        assert times[arm] == told["cost"]["wall_seconds"]
    ledger = cells[(cells.table == "ledger") & (cells.metric == "flops") & (cells.arm == "orpo")]
    seeds = ledger.set_index("seed").number
    assert dict(seeds) == dict(enumerate(data["arms"]["orpo"]["cost"]["per_seed"]["flops"]))


def test_json_holds_what_the_main_and_question_tables_show(report: Report, folder: Path) -> None:
    data = json.loads((folder / "comparison.json").read_text())
    tables = {table.name: table for table in report.tables()}
    for row in tables["main"].rows:
        by_name = dict(zip(tables["main"].columns, row, strict=True))
        cost = data["arms"][by_name["arm"].value]["cost"]
        assert by_name["training time"].value == cost["wall_seconds"]
        assert by_name["FLOPs"].value == cost["flops"]
        assert by_name["relative cost"].value == cost["relative"]
    asked = data["questions"]
    assert [row[3].value for row in tables["questions"].rows] == [q["estimate"]["value"] for q in asked]
    assert [row[7].value for row in tables["questions"].rows] == [q["verdict"] for q in asked]
    compared = {(e["quantity"], e["a"], e["b"]): e for e in data["evidence"]}
    for quantity, a, b, value, *_ in tables["evidence"].rows:
        one = compared[str(quantity.value).removesuffix(" †"), a.value, b.value]
        assert (one["estimate"], one["low"], one["high"]) == (value.value, value.low, value.high)
