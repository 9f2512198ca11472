"""One report in every format: the same numbers, and nothing in a cell that breaks one."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pyarrow.parquet
import pytest
from synthetic import make_view

from harness import registry, units
from harness.evidence.documents.comparison import build_report
from harness.render import csv as csv_format
from harness.render import html, latex, markdown, plots
from harness.render import json as json_format
from harness.render._forest import forest
from harness.render._scales import ratio_ticks
from harness.render._svg import svg
from harness.tables import Cell, Figure, ForestRow, Panel, Report, Section, Series, Table
from harness.texts import in_markdown

NASTY = [
    "<script>alert(1)</script>",
    r"\input{secret}",
    "=cmd()",
    "a|b",
    "`x`",
    "100% $5 #1 _x_ ^ ~",
    "\u202eabc",
]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell(9.5, "seconds"), "9.50 s"),
        (Cell(90.0, "seconds"), "90.0 s"),
        (Cell(600.0, "seconds"), "10.0 min"),
        (Cell(7200.0, "seconds"), "2.0 h"),
        (Cell(3 * 2**30, "bytes"), "3 GiB"),
        (Cell(1.5e12, "flops"), "1.5 TFLOP"),
        (Cell(3.6e6, "joules"), "1 kWh"),
        (Cell(0.625, "percent"), "62.5%"),
        (Cell(1234, "count"), "1,234"),
        (Cell(0.5, "percent", 0.4, 0.6), "50.0% [40.0, 60.0]"),
        (Cell(None, "seconds", reason="x"), "not measured"),
        (Cell(1e-9, "number", digits=4), "1.0e-09"),
        (Cell(0.0125, "number", 0.012499999999999997, 0.1 - 0.0875), "0.013 [0.013, 0.013]"),
        (Cell(-0.0125, "number"), "-0.013"),
        (Cell(0.00025, "percent", 0.0002499999999999999, 0.5), "0.0% [0.0, 50.0]"),
        (Cell(0.0625, "percent", digits=0), "6%"),
        (Cell(0.0005, "percent", -0.0005, 0.000499999999999999), "0.1% [-0.1, 0.1]"),
        (Cell(-1e-9, "percent"), "0.0%"),
        (Cell(2.5, "count"), "3"),
        (Cell(12.25e12, "flops"), "12.3 TFLOP"),
        (Cell(0.0625, "seconds"), "62.5 ms"),
        (Cell(10.25, "seconds"), "10.3 s"),
    ],
)
def test_units(cell: Cell, text: str) -> None:
    assert units.plain(cell) == text


def test_numbers_in_sentences_are_rounded_like_those_in_tables() -> None:
    assert {units.rounded(v, 3) for v in (0.0125, 0.1 - 0.0875, 0.012499999999999997)} == {"0.013"}
    assert [units.significant(v, 2) for v in (0.0125, 0.1 - 0.0875, -0.0125)] == ["0.013", "0.013", "-0.013"]
    assert [units.significant(v) for v in (0.0125, 2.5e-7, 123456.0, 0.0)] == [
        "0.0125",
        "2.5e-07",
        "1.23e+05",
        "0",
    ]
    assert units.rounded(float("nan"), 3) == "nan"


def nasty_report() -> Report:
    rows = tuple((Cell(text), Cell(1.0, "number")) for text in NASTY)
    table = Table("nasty", "Nasty", ("text", "value"), rows)
    return Report("t", ("s",), (Section("x", tuple(NASTY), (table,)),), {"nasty": NASTY, "nan": float("nan")})


def test_markdown_shows_markup_as_text(tmp_path: Path) -> None:
    text = markdown.render(nasty_report(), tmp_path)[0].read_text()
    assert "<script>" not in text
    assert "\u202e" not in text
    assert r"a\|b" in text
    assert r"\`x\`" in text


def test_latex_escapes_every_special_character(tmp_path: Path) -> None:
    text = latex.render(nasty_report(), tmp_path)[0].read_text()
    assert r"\input{" not in text
    assert r"100\% \$5 \#1 \_x\_" in text.replace(r"\allowbreak{}", "")


def test_csv_runs_no_formula_and_keeps_full_precision(tmp_path: Path) -> None:
    rows = list(csv.reader(csv_format.render(nasty_report(), tmp_path)[0].open()))
    assert rows[3][0] == "'=cmd()"
    assert rows[1][1] == "1.0"


def test_json_has_null_for_what_json_cannot_say(tmp_path: Path) -> None:
    data = json.loads(json_format.render(nasty_report(), tmp_path)[0].read_text())
    assert data["nan"] is None
    assert data["nasty"] == NASTY


def test_figures_are_the_same_bytes_for_the_same_data(tmp_path: Path) -> None:
    report = build_report(make_view())
    plots = registry.load("formats", "plots")
    first = [p.read_bytes() for p in plots.render(report, tmp_path / "a") if p.suffix == ".svg"]
    again = [p.read_bytes() for p in plots.render(report, tmp_path / "b") if p.suffix == ".svg"]
    assert first == again


def test_csv_says_why_a_value_is_absent(tmp_path: Path) -> None:
    csv_format.render(build_report(make_view()), tmp_path)
    row = next(csv.DictReader((tmp_path / "tables" / "ledger.csv").open()))
    assert row["energy (J)"] == ""
    assert "energy: no CUDA device" in row["not measured"]


def test_every_format_says_why_a_value_has_no_interval(tmp_path: Path) -> None:
    table = Table("t", "T", ("arm", "rate"), ((Cell("x"), Cell(0.5, "percent", no_interval="one seed")),))
    report = Report("R", (), (Section("S", (), (table,)),))
    for name in ("csv", "html", "latex", "markdown", "parquet"):
        registry.load("formats", name).render(report, tmp_path)
    for file in ("report.md", "report.html", "tables/t.tex"):
        assert "No interval (rate): one seed." in (tmp_path / file).read_text()
    assert 'title="no interval: one seed"' in (tmp_path / "report.html").read_text()
    (row,) = csv.DictReader((tmp_path / "tables" / "t.csv").open())
    assert row["not measured"] == "rate: no interval: one seed"
    cells = pyarrow.parquet.read_table(tmp_path / "cells.parquet").to_pylist()
    assert [(c["number"], c["not_measured"]) for c in cells] == [(None, None), (0.5, "no interval: one seed")]


def test_a_latex_row_may_begin_with_a_bracket(tmp_path: Path) -> None:
    table = Table("t", "T", ("a",), ((Cell("x"),), (Cell("[2cm]"),)))
    text = latex.render(Report("t", (), (Section("s", (), (table,)),)), tmp_path)[0].read_text()
    assert "\n{[}2cm{]} " in text


def test_a_latex_table_that_is_too_wide_breaks_its_text_before_it_is_cut(tmp_path: Path) -> None:
    words = Cell("some words that break into lines " * 6)
    table = Table("t", "T", ("a", "b"), ((words, words),))
    text = latex.render(Report("t", (), (Section("s", (), (table,)),)), tmp_path)[0].read_text()
    widths = [float(share) for share in re.findall(r"p\{([\d.]+)\\linewidth\}", text)]
    assert len(widths) == 2
    assert sum(widths) < 1
    assert text.count(r"\begin{tabular}") == 1


def test_a_latex_table_of_too_many_figures_is_cut_into_parts(tmp_path: Path) -> None:
    figures = tuple(Cell(1_234_567_890.0, "count") for _ in range(14))
    table = Table("t", "T", ("arm", *"abcdefghijklmn"), ((Cell("x"), *figures),))
    text = latex.render(Report("t", (), (Section("s", (), (table,)),)), tmp_path)[0].read_text()
    headings = re.findall(r"\\toprule\n(.*) \\\\\n", text)
    assert len(headings) > 1
    assert all(heading.startswith("arm & ") for heading in headings)
    assert " & ".join(heading.removeprefix("arm & ") for heading in headings) == " & ".join("abcdefghijklmn")
    assert "resizebox" not in text


def test_a_long_latex_table_breaks_over_pages(tmp_path: Path) -> None:
    rows = tuple((Cell(n, "count"), Cell("x")) for n in range(latex.TALL + 1))
    table = Table("t", "T", ("a", "b"), rows)
    text = latex.render(Report("t", (), (Section("s", (), (table,)),)), tmp_path)[0].read_text()
    assert r"\begin{longtable}{@{}rl@{}}" in text
    assert text.count(r"a & b \\") == 2


def test_markdown_shows_dollars_and_tildes_as_they_are() -> None:
    assert in_markdown("$5 ~~x~~") == r"\$5 \~\~x\~\~"


def test_axes_name_the_unit_of_flops() -> None:
    plots = registry.load("formats", "plots")
    series = (Series("a", (2e11, 6e11), (0.1, 0.2)),)
    panel = Panel("t", "training FLOPs", "y", series, kind="scatter", x_kind="flops")
    axis = plots._draw(Figure("f", "F", (panel,))).axes[0]
    assert axis.get_xlabel() == "training FLOPs (GFLOP)"
    assert axis.xaxis.get_major_formatter()(2e11, 0) == "200"


def test_a_score_has_percent_on_its_axis_as_in_its_table() -> None:
    """The paper's figure showed 0.61 where its table has 61%."""
    report = build_report(make_view(full=True))
    drawn = {figure.name: figure for figure in report.figures()}
    for name in ("score_against_flops", "quality_against_cost"):
        for panel in drawn[name].panels:
            axes = plots._draw(Figure(name, "t", (panel,))).axes[0]
            assert axes.get_ylabel().endswith(r" (%)")
            shown = [label.get_text() for label in axes.get_yticklabels()]
            low, high = axes.get_ylim()
            inside = [text for text, at in zip(shown, axes.get_yticks(), strict=True) if low <= at <= high]
            assert inside == [f"{100 * at:g}" for at in axes.get_yticks() if low <= at <= high]
            assert any(float(text) > 1 for text in inside)
        assert re.search(r'text-anchor="end">\d+(\.\d)?%</text>', svg(drawn[name])), name


@pytest.mark.parametrize(
    ("low", "high"), [(39.9, 100.0), (95.0, 105.0), (99.6, 100.4), (20.0, 300.0), (0.9, 12.0), (1e-4, 1.5e6)]
)
def test_an_axis_of_ratios_has_marks_enough_to_read_it(low: float, high: float) -> None:
    marks = ratio_ticks(low, high)
    assert 4 <= len(marks) <= 9, marks
    assert marks == sorted(set(marks))
    assert all(low <= mark <= high for mark in marks)
    rows = (ForestRow("one", low, low, high, kind="answer"),)
    panel = Panel("Costs", "percent", "", (), kind="forest", rows=rows, neutral=high, log_x=True)
    assert forest(panel, "Costs").count('class="tick"') == len(marks)
    axis = plots._draw(Figure("f", "t", (panel,))).axes[0]
    seen = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
    assert 4 <= len(seen) <= 9, seen


def test_a_folded_table_has_its_title_once() -> None:
    row = (Cell("a"), Cell(1.0, "number"))
    for folded in (True, False):
        table = Table("t", "Other arms against each other", ("arm", "score"), (row,), folded=folded)
        text = html.page(Report("r", (), (Section("Scores", (), (table,)),)))
        shown = re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)
        assert shown.count("Other arms against each other") == 1
        assert ('<table id="t-t" aria-label="Other arms' in text) is folded, "it still has a name"


def test_a_column_of_which_nothing_is_known_is_told_in_a_note_and_not_shown() -> None:
    gone, known = Cell(None, "joules", reason="no counter"), Cell(2.0, "seconds")
    table = Table(
        "t", "T", ("arm", "time", "energy"), ((Cell("a"), known, gone), (Cell("b"), gone, gone)), ("N.",)
    )
    read = units.for_readers(table)
    assert read.columns == ("arm", "time")
    assert [len(row) for row in read.rows] == [2, 2]
    assert read.notes == ("N.", "Not measured (energy, time): no counter.")
    assert units.for_readers(Table("t", "T", ("arm", "time"), ())).columns == ("arm", "time")
