"""The folder of a paper: equal to comparison.json, compact, and of a PDF that holds what it promises."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.commands import paper as command
from harness.errors import UserError
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.paper import build_paper
from harness.evidence.view import ComparisonView
from harness.pipeline.claims import load_claims
from harness.quantities import COSTS
from harness.render import latex
from harness.tables import Cell, Paper, Table

QUESTIONS = [
    {"quantity": "preference.accuracy", "a": "orpo", "b": "sft_dpo", "margin": 0.05},
    {"quantity": "cost.wall_seconds", "a": "orpo", "b": "sft_dpo", "margin": 0.05},
]
STYLES = tuple(latex.styles())
UNITS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "%": 0.01, "": 1.0, "points": 0.01}
UNITS |= {f"{prefix}FLOP": 10.0 ** (3 * i) for i, prefix in enumerate(("", "K", "M", "G", "T", "P", "E"))}
UNITS |= {f"{prefix}B": 1024.0**i for i, prefix in enumerate(("", "Ki", "Mi", "Gi", "Ti"))}


@pytest.fixture(scope="module")
def view() -> ComparisonView:
    return asked()


def asked(**spec: Any) -> ComparisonView:
    return make_view(questions=QUESTIONS, **spec)


def written(paper: Paper, style: str, folder: Path) -> str:
    latex.render_paper(paper, style, folder)
    return (folder / "tables" / "main.tex").read_text()


def rows_of(text: str) -> tuple[list[str], list[list[str]]]:
    """The units of a compact table's heading, and the numbers of every row, in their order."""
    heading, body = text.split(r"\toprule")[1].split(r"\bottomrule")[0].split(r"\midrule")
    units = re.findall(r"\(([^()]+)\)", bare(heading))
    lines = [bare(line) for line in body.splitlines() if line.endswith(r" \\")]
    return units, [re.findall(r"-?\d+(?:\.\d+)?", line.partition("&")[2]) for line in lines]


def bare(text: str) -> str:
    text = re.sub(r"\\textbf\{([^{}]*)\}", r"\1", text.strip())
    words = {r"\textminus{}": "-", "{[}": "[", "{]}": "]", r"\_\allowbreak{}": "_", r"\%": "%", "~": " "}
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def same(shown: str, unit: str, value: float) -> bool:
    """Whether figures are a value to half of their last digit."""
    digits = len(shown.partition(".")[2])
    return abs(float(shown.replace(",", "")) * UNITS[unit] - value) <= 0.500001 * 10**-digits * UNITS[unit]


def test_every_number_of_the_main_table_is_that_of_comparison_json(
    view: ComparisonView, tmp_path: Path
) -> None:
    data: Any = json.loads(json.dumps(build_report(view).data))
    columns = ["time", "memory", "flops", "accuracy"]
    units, rows = rows_of(written(build_paper([view], columns=columns), "plain", tmp_path))
    assert len(units) == len(columns)
    for row, told in zip(rows, data["arms"].values(), strict=True):
        cost, score = told["cost"], told["scores"]["preference"]["accuracy"]
        wanted = [cost["wall_seconds"], cost["peak_memory_bytes"], cost["flops"]]
        wanted += [score["estimate"], score["low"], score["high"]]
        for shown, unit, value in zip(row, [*units, units[-1], units[-1]], wanted, strict=True):
            assert same(shown, unit, value), (shown, unit, value)


def test_every_macro_is_the_figure_of_comparison_json(view: ComparisonView) -> None:
    data: Any = build_report(view).data
    macros = {macro.name: macro.cell for macro in build_paper([view]).macros}
    assert all(name.isalpha() for name in macros)
    for arm, name in (("sft", "sft"), ("sft_dpo", "sftDpo"), ("orpo", "orpo")):
        told = data["arms"][arm]
        for cost in COSTS:
            assert macros[name + cost.word.capitalize()].value == told["cost"][cost.name]
        assert macros[f"{name}TimeRatio"].value == told["cost"]["relative"]
        assert macros[f"{name}Accuracy"].low == told["scores"]["preference"]["accuracy"]["low"]
    accuracy, time = data["questions"]
    assert macros["orpoAccuracyEffect"].value == accuracy["estimate"]["value"]
    assert (macros["orpoAccuracyVerdict"].value, macros["orpoTimeVerdict"].value) == (
        accuracy["outcome"],
        time["outcome"],
    )


def test_macros_are_short_and_verdicts_are_words(tmp_path: Path) -> None:
    latex.render_paper(build_paper([asked()]), "plain", tmp_path)
    text = (tmp_path / "macros.tex").read_text()
    names = re.findall(r"\\newcommand\{\\(\w+)\}", text)
    assert len(names) == len(set(names))
    assert max(map(len, names)) <= 24
    verdicts = re.findall(r"Verdict\}\{(.*)\}", text)
    assert len(verdicts) == 2
    assert all(len(verdict.split()) <= 2 for verdict in verdicts)
    assert r"\newcommand{\orpoFlops}{2~TFLOP}" in text
    assert r"\newcommand{\sftDpoName}{SFT+DPO}" in text
    assert "% stages: " in text


def test_rows_and_columns_come_as_they_are_asked_for(view: ComparisonView) -> None:
    table = build_paper([view], ["orpo", "sft_dpo", "base"], ["accuracy", "time"]).tables[0]
    assert [row[0].value for row in table.rows] == ["ORPO", "SFT+DPO", "Base model"]
    assert table.columns == ("Method", "Accuracy ↑", "Time ↓")
    assert table.rows[2][2].value is None


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        (["ORPO"], [], r'unknown row "ORPO"; did you mean "orpo"'),
        (
            ["orpoo"],
            [],
            r'--rows: unknown row "orpoo"; did you mean "orpo"\? known: base, orpo, sft, sft_dpo',
        ),
        ([], ["tme"], r'--columns: unknown column "tme"; did you mean "time"\? known: accuracy, energy, '),
    ],
)
def test_an_unknown_row_or_column_is_named(rows: list[str], columns: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_paper([make_view()], rows, columns)


def test_figures_come_as_they_are_asked_for_and_an_unknown_one_is_named(view: ComparisonView) -> None:
    drawn = [figure.name for figure in build_paper([view]).figures]
    assert drawn[:2] == ["registered", "score_against_flops"]
    assert [one.name for one in build_paper([view], figures=["log_probs"]).figures] == ["log_probs"]
    with pytest.raises(UserError, match=r'--figures: unknown figure "registred"; did you mean "registered"'):
        build_paper([view], figures=["registred"])


def test_rows_that_are_left_out_stand_in_no_figure_either() -> None:
    paper = build_paper([asked(full=True)], rows=["orpo", "sft"])
    for figure in paper.figures:
        for panel in figure.panels:
            assert {one.label for one in panel.series} <= {"ORPO", "SFT"}, figure.name


def test_disturbed_times_are_told_under_every_table_that_has_them() -> None:
    view = asked()
    stage = view.record.results["dpo0"].model_copy(update={"notes": ["other processes used 40% of the CPU"]})
    record = view.record.model_copy(update={"results": {**view.record.results, "dpo0": stage}})
    main, answers = build_paper([dataclasses.replace(view, record=record)], columns=["time"]).tables
    said = "Times are unreliable: 1 of 6 training stages were disturbed."
    assert said in main.notes
    assert said in answers.notes
    without = build_paper([dataclasses.replace(view, record=record)], columns=["flops"]).tables[0]
    assert said not in without.notes


def test_figures_have_display_names_and_are_as_wide_as_their_place(tmp_path: Path) -> None:
    paper = build_paper([asked(full=True)])
    clouds = next(figure for figure in paper.figures if figure.name == "score_against_flops")
    assert [one.label for one in clouds.panels[0].series][:3] == ["SFT", "SFT+DPO (sft_dpo)", "ORPO"]
    latex.render_paper(paper, "acl", tmp_path)
    style = latex.STYLES["acl"]
    for figure in paper.figures:
        text = (tmp_path / "figures" / f"{figure.name}.tex").read_text()
        over_page = "{figure*}" in text
        assert over_page is (figure.name in ("registered", "quality_against_cost"))
        box = re.search(
            rb"/MediaBox \[ ?0 0 ([\d.]+)", (tmp_path / "figures" / f"{figure.name}.pdf").read_bytes()
        )
        assert box is not None
        wide = style.text if over_page else style.column
        assert float(box[1]) == pytest.approx(wide / 72.27 * 72, abs=0.5)


def test_several_runs_have_a_forest_of_every_registered_effect_that_they_combine() -> None:
    """The made runs' times repeat exactly, so that no error is known by which to combine them."""
    paper = build_paper([asked(model=f"org/{name}") for name in ("small", "large")])
    assert [figure.name for figure in paper.figures] == ["forest_preference_accuracy_orpo_sft_dpo"]


def test_an_unknown_style_is_named(view: ComparisonView, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'--style: unknown style "neurip"; did you mean "neurips"\?'):
        latex.render_paper(build_paper([view]), "neurip", tmp_path)


def test_a_paper_of_another_hand_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "open_runs", lambda names, out: ([asked()], out / "made"))
    assert command.run(["latest"], out=tmp_path) == 0
    assert command.run(["latest"], out=tmp_path, style="acl") == 0
    assert "twocolumn" in (tmp_path / "made" / "paper" / "paper.tex").read_text()
    (tmp_path / "paper.tex").write_text("\\documentclass{article}")
    with pytest.raises(UserError, match=r"there is a paper\.tex that harness did not write"):
        command.run(["latest"], out=tmp_path, to=tmp_path)
    assert (tmp_path / "paper.tex").read_text() == "\\documentclass{article}"


def test_a_path_of_this_machine_stands_in_no_caption_and_no_method() -> None:
    paper = build_paper([asked(model="/home/me/models/small")])
    told = [*paper.tables[0].notes, *(one.text for one in paper.methods)]
    assert "small" in " ".join(told)
    assert "/home" not in " ".join(told)


def test_several_runs_give_models_as_rows(tmp_path: Path) -> None:
    views = [asked(model=f"org/{name}") for name in ("small", "large")]
    paper = build_paper(views, ["sft_dpo", "orpo"], ["flops", "accuracy"])
    (table,) = paper.tables
    assert [[cell.value for cell in row[:2]] for row in table.rows] == [
        ["small", "SFT+DPO"],
        ["", "ORPO"],
        ["large", "SFT+DPO"],
        ["", "ORPO"],
    ]
    text = written(paper, "plain", tmp_path)
    assert text.count(r"\addlinespace") == 1
    names = {macro.name for macro in paper.macros}
    assert {"runAOrpoTime", "runBOrpoTime", "runAOrpoAccuracyVerdict"} <= names


def test_the_caption_stands_alone(view: ComparisonView) -> None:
    main, answers = build_paper([view]).tables
    caption = " ".join((main.title, *main.notes))
    for words in ("SFT, SFT+DPO and ORPO", "98 preference pairs of pairs.jsonl", "2 seeds", "95%", "Bold:"):
        assert words in caption
    assert "adjusted over 2 questions" in " ".join(answers.notes)


def test_only_separable_figures_are_bold(view: ComparisonView) -> None:
    rows = build_paper([view], columns=["time", "flops", "accuracy"]).tables[0].rows
    assert [[cell.bold for cell in row] for row in rows] == [
        [False, False, False, False],
        [False, False, False, False],
        [False, False, False, True],
    ]


def test_the_methods_cite_what_the_bibliography_holds(tmp_path: Path) -> None:
    latex.render_paper(build_paper([make_view(full=True)]), "plain", tmp_path)
    cited = re.findall(r"\\citep\{([^}]+)\}", (tmp_path / "methods.tex").read_text())
    held = set(re.findall(r"@\w+\{(\w+),", (tmp_path / "references.bib").read_text()))
    assert set(",".join(cited).split(",")) == held >= {"hong2024", "rafailov2023"}


def test_a_wide_table_spans_both_columns_and_a_narrow_one_does_not(
    view: ComparisonView, tmp_path: Path
) -> None:
    wide = written(
        build_paper([view], columns=["time", "memory", "flops", "accuracy", "time_ratio"]), "acl", tmp_path
    )
    narrow = written(build_paper([view], columns=["time", "flops"]), "acl", tmp_path)
    assert r"\begin{table*}" in wide
    assert r"\begin{table}" in narrow


def test_a_table_that_no_page_holds_is_cut_into_parts(tmp_path: Path) -> None:
    names = [f"A rather long heading {letter}" for letter in "abcdefghij"]
    row = (Cell("x"), *(Cell(1e9 * i, "count") for i in range(10)))
    paper = Paper("T", (Table("main", "T", ("Method", *names), (row,)),), (), (), ())
    text = written(paper, "acl", tmp_path)
    assert text.count(r"\begin{tabular}") > 1
    assert text.count("Method") == text.count(r"\begin{tabular}")


def has_tex() -> bool:
    """Whether there is a TeX with all packages that a paper asks for, and poppler to look at what it made."""
    if any(
        shutil.which(tool) is None for tool in ("pdflatex", "bibtex", "kpsewhich", "pdftohtml", "pdffonts")
    ):
        return False
    preambles = " ".join(style.preamble for style in latex.STYLES.values())
    asked_for = [*re.findall(r"\\usepackage(?:\[[^]]*\])?\{([\w,]+)\}", preambles), latex.PACKAGES]
    files = {f"{name}.sty" for names in asked_for for name in names.split(",")}
    return subprocess.run(["kpsewhich", *files], capture_output=True, check=False).returncode == 0


needs_tex = pytest.mark.skipif(not has_tex(), reason="no TeX with the packages of a paper, or no poppler")


def compiled(folder: Path, name: str = "paper") -> str:
    """The log of the last of three runs of pdflatex, with bibtex after the first."""
    tex = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", name]
    for step in (tex, ["bibtex", name], tex, tex):
        if step[0] == "bibtex" and "bibdata" not in (folder / f"{name}.aux").read_text():
            continue
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
    return (folder / f"{name}.log").read_text(errors="replace")


def overfull(log: str) -> list[float]:
    """By how many points boxes stick out."""
    return [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]


ZOOM = 3
"""The most that poppler enlarges: it rounds sizes to whole points of the enlarged page."""


def lettering(pdf: Path) -> list[tuple[str, float, bool]]:
    """Every piece of text of a PDF with its size in points and whether its font is a bold one."""
    asked_of_poppler = ["pdftohtml", "-xml", "-i", "-stdout", "-fontfullname", "-zoom", str(ZOOM), str(pdf)]
    done = subprocess.run(asked_of_poppler, capture_output=True, text=True, check=True, timeout=60)
    root = ElementTree.fromstring(re.sub(r"</?a\b[^>]*>", "", done.stdout).encode())
    fonts = {
        spec.get("id"): (
            float(spec.get("size", 0)) / ZOOM,
            re.search("Bold|Medi", str(spec.get("family"))) is not None,
        )
        for spec in root.iter("fontspec")
    }
    return [("".join(text.itertext()), *fonts[text.get("font")]) for text in root.iter("text")]


@pytest.mark.parametrize("style", STYLES)
@needs_tex
def test_the_paper_compiles_with_bold_that_is_bold_and_nothing_small_or_sticking_out(
    style: str, tmp_path: Path
) -> None:
    paper = build_paper([asked(full=True)], columns=["time", "memory", "flops", "time_ratio", "accuracy"])
    latex.render_paper(paper, style, tmp_path)
    log = compiled(tmp_path)
    assert max(overfull(log), default=0.0) <= 2.0
    assert "undefined" not in log
    text = lettering(tmp_path / "paper.pdf")
    assert min(size for _, size, _ in text) >= 6.9
    claimed = [
        bare(cell) for cell in re.findall(r"\\textbf\{([^}]*)\}", (tmp_path / "tables/main.tex").read_text())
    ]
    assert claimed
    bold = [words.strip() for words, _, is_bold in text if is_bold]
    assert all(cell in bold for cell in claimed), bold
    fonts = subprocess.run(
        ["pdffonts", "paper.pdf"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    assert all(line.split()[-5] == "yes" for line in fonts.splitlines()[2:])


@needs_tex
def test_every_macro_can_stand_in_prose(tmp_path: Path) -> None:
    paper = build_paper([asked(full=True)])
    latex.render_paper(paper, "plain", tmp_path)
    prose = " ".join(rf"\{macro.name}{{}}" for macro in paper.macros)
    (tmp_path / "mine.tex").write_text(
        rf"\documentclass{{article}}\begin{{document}}\input{{macros}}{prose}\end{{document}}"
    )
    compiled(tmp_path, "mine")


@pytest.mark.parametrize("options", ["10pt", "10pt,twocolumn"])
@needs_tex
def test_every_table_of_a_report_can_be_set_and_none_sticks_out(options: str, tmp_path: Path) -> None:
    """In an appendix of one column, as at the end of a paper of two."""
    report = build_report(asked(full=True), load_claims())
    latex.render(report, tmp_path)
    tables = "\n".join(rf"\input{{tables/{table.name}}}\clearpage" for table in report.tables())
    (tmp_path / "appendix.tex").write_text(
        rf"\documentclass[{options}]{{article}}\usepackage[T1]{{fontenc}}\usepackage{{lmodern,{latex.PACKAGES}}}"
        r"\usepackage[textwidth=5.5in,textheight=9in]{geometry}\begin{document}\onecolumn"
        f"\n{tables}\n\\end{{document}}\n"
    )
    log = compiled(tmp_path, "appendix")
    assert max(overfull(log), default=0.0) <= 2.0
    assert min(size for _, size, _ in lettering(tmp_path / "appendix.pdf")) >= 6.9
