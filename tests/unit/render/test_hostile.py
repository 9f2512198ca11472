"""Names, paths, answers and judges' texts that attack what shows them: each format is tried as it is read.

Pages are opened in a browser beside a server that must hear nothing, papers are set by a TeX without a shell,
Markdown is parsed, tables are read back as a spreadsheet reads them, and the terminal is listened to.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import re
import shutil
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow.parquet
import pytest
from markdown_it import MarkdownIt
from synthetic import make_view

from harness import registry
from harness.data.schemas import Pair
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.exchanges import exchanges
from harness.evidence.documents.paper import build_paper
from harness.evidence.view import ComparisonView
from harness.records import Score
from harness.render import html, latex, plots
from harness.tables import Figure, ForestRow, Panel, Report, Section, Series
from harness.terminal import PlainConsole
from harness.texts import as_paragraph, visible

PORT = 47_391
URL = f"http://127.0.0.1:{PORT}"
ATTACKS = (
    "</script><script>document.title='PWNED';fetch('URL/script')</script>",
    "</textarea></title></style><img src=URL/img onerror=\"document.title='PWNED'\">",
    '"><svg onload=fetch(`URL/svg`)><iframe src="javascript:top.document.title=1"></iframe>',
    "' autofocus onfocus=document.title='PWNED' x='",
    "<base href=URL><link rel=stylesheet href=URL/css><meta http-equiv=refresh content='0;URL/meta'>",
    "<style>@import 'URL/import';*{background:url(URL/background)}</style>",
    "![image](URL/markdown) [link](javascript:alert(1)) <URL/auto> | a | b |\n# heading\n- list\n```",
    '=HYPERLINK("URL/csv","x")',
    "+cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "\t=1+1",
    "\\write18{touch PWNED}\\immediate\\write18{touch PWNED}",
    "\\input{/etc/passwd}\\openout1=PWNED \\catcode`\\%=12",
    "^^5cinput{/etc/passwd} ^^M % # $ & ~ _ { } \\end{document} $\\undefined$ $x^2",
    "\x1b]8;;URL/osc\x07click\x1b]8;;\x07\x1b[2J\x1b[31mred\x1b[0m\r\x08\x9b31m",
    "[red]markup[/red] [link=URL/rich]x[/link] [/] :smile:",
    "\u202ereversed \u2066isolated \ud800 \x00 \u200b",
)
WELL_FORMED = tuple(text.replace("\ud800", "") for text in ATTACKS)
"""`--dump-dom` ends where a page's text holds half a letter, which the page itself shows."""
HOSTILE = " ".join(ATTACKS).replace("URL", URL)
STRIPPED = (7, 8, 11, 12, 13)
"""Control characters that rich itself takes out."""
FREE = (
    *("detail", "remedy", "device_name", "driver", "source"),
    *("model", "command", "notes", "currency", "python"),
)
"""Keys of a record whose text comes from a user, a machine or a server."""


def hostile_view() -> ComparisonView:
    view = make_view(full=True)
    scored = Score(
        benchmark=f"lm_eval/{HOSTILE}",
        metric=f"acc {HOSTILE}",
        estimate=0.5,
        n=100,
        settings={"judge": HOSTILE, "rival": HOSTILE, "left_out": [HOSTILE]},
    )
    data = _spoiled(view.record.model_dump(mode="json"))
    for digest, result in data["results"].items():
        if digest.startswith("ev-"):
            result["scores"] = [scored.model_dump(mode="json")]
    record = type(view.record).model_validate(data)
    items = {
        cell: {**tables, f"{scored.benchmark}.{scored.metric}": tables["preference.accuracy"]}
        for cell, tables in view.items.items()
    }
    return ComparisonView(record, items, view.series)


def _spoiled(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _spoiled(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_spoiled(one, key) for one in value]
    return f"{value} {HOSTILE}" if isinstance(value, str) and key in FREE else value


def hostile_report(attacks: tuple[str, ...] = ATTACKS) -> Report:
    view, hostile = hostile_view(), " ".join(attacks).replace("URL", URL)
    texts = {
        cell: {
            f"i{n} {attack}": {"prompt": hostile, "answer": attack, "judgment": hostile}
            for n, attack in enumerate(attacks)
        }
        for cell in ("base", "sft@0", "sft_dpo@0", "orpo@0")
    }
    pairs = {"i0": Pair("i0", [{"role": "user", "content": hostile}], hostile, hostile)}
    return dataclasses.replace(build_report(view), exchanges=exchanges(view, texts, pairs))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: Any) -> Path:
    """Every format of the hostile report, and its paper."""
    folder = Path(tmp_path_factory.mktemp("hostile"))
    report = hostile_report()
    for name in registry.names("formats"):
        registry.load("formats", name).render(report, folder)
    latex.render_paper(build_paper([hostile_view()]), "plain", folder / "paper")
    return folder


def test_markdown_holds_no_link_no_image_and_no_html(rendered: Path) -> None:
    text = (rendered / "report.md").read_text(encoding="utf-8")
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table"])
    tokens = [inner for token in parser.parse(text) for inner in (token, *(token.children or []))]
    kinds = {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "code_inline", "fence", "code_block"}
    images = [token.attrs["src"] for token in tokens if token.type == "image"]
    assert all(re.fullmatch(r"figures/\w+\.svg", str(source)) for source in images)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    assert "heading" not in headings
    assert "lm_eval" in text, "the hostile score is shown"


@pytest.mark.parametrize("text", ["# a", "- a", "1. a", "    a", "=== a", "+ a", "  # a", "12) a", "--- "])
def test_a_paragraph_begins_no_other_block(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(f"{as_paragraph(text)}\n")
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert tokens[1].children is not None
    assert "".join(child.content for child in tokens[1].children) == text.strip()


def test_no_cell_of_a_table_is_a_formula_and_numbers_stay_numbers(rendered: Path) -> None:
    formulas, numbers = ("=", "+", "-", "@", "\t", "\r", "\n"), 0
    for file in (rendered / "tables").glob("*.csv"):
        for row in csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")):
            for cell in row:
                number = re.fullmatch(r"-?(\d+\.?\d*(e[+-]?\d+)?|inf|nan)", cell) is not None
                numbers += number
                assert number or not cell.lstrip(" ").startswith(formulas), (file.name, cell[:60])
    assert numbers > 100


def test_parquet_keeps_text_as_text_and_numbers_as_numbers(rendered: Path) -> None:
    cells = pyarrow.parquet.read_table(rendered / "cells.parquet")
    kinds = {field.name: str(field.type) for field in cells.schema}
    assert (kinds["number"], kinds["text"], kinds["not_measured"]) == ("double", "string", "string")
    rows = cells.to_pylist()
    assert all(row["number"] is None or row["text"] is None for row in rows)
    assert any(row["text"] and "HYPERLINK" in row["text"] for row in rows)


def test_no_command_of_tex_comes_from_outside(rendered: Path) -> None:
    files = [*(rendered / "tables").glob("*.tex"), *(rendered / "paper").rglob("*.tex")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for command in (r"\write18", r"\input{/etc", r"\openout", r"\catcode", r"\end{document} ", "^^5c"):
        assert command not in text
    assert "textbackslash" in text


@pytest.mark.parametrize(
    "kind", ["scatter", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("line", "radar", "forest"))]
)
def test_words_of_a_figure_are_no_formula(kind: Any, tmp_path: Path) -> None:
    series = (Series(HOSTILE, (0, 1, 2), (3, 9, 5)),)
    rows = (ForestRow(HOSTILE, 1.0, 0.5, 2.0, 1.0),) if kind == "forest" else ()
    names = (HOSTILE, "b", "c") if kind == "radar" else ()
    panel = Panel(HOSTILE, HOSTILE, HOSTILE, series, kind=kind, x_names=names, rows=rows)
    report = Report("R", (), (Section("S", (), (), (Figure(kind, HOSTILE, (panel,), HOSTILE),)),))
    plots.render(report, tmp_path)
    drawn = ElementTree.parse(tmp_path / "figures" / f"{kind}.svg")
    assert not [element for element in drawn.iter() if element.tag.endswith(("}script", "}image", "}a"))]


def needs(*programs: str) -> Any:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@pytest.mark.slow
@needs("pdflatex")
def test_every_table_is_set_by_a_tex_without_a_shell(rendered: Path, tmp_path: Path) -> None:
    shutil.copytree(rendered / "tables", tmp_path / "tables")
    tables = "\n".join(
        rf"\input{{tables/{file.stem}}}\clearpage" for file in sorted((tmp_path / "tables").glob("*.tex"))
    )
    (tmp_path / "all.tex").write_text(
        r"\documentclass{article}\usepackage[T1]{fontenc}"
        rf"\usepackage{{{latex.PACKAGES}}}\begin{{document}}" + f"\n{tables}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "all"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "root:" not in done.stdout
    made = {path.suffix for path in tmp_path.iterdir()}
    assert not (tmp_path / "PWNED").exists()
    assert made <= {"", ".tex", ".aux", ".log", ".pdf", ".lot", ".toc"}


@pytest.fixture
def heard() -> Iterator[list[bytes]]:
    """What a server on the attacks' address hears."""
    requests: list[bytes] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            requests.append(self.request.recv(200))

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    with Server(("127.0.0.1", PORT), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield requests
        server.shutdown()


@pytest.mark.slow
@needs("chromium")
def test_no_script_runs_and_no_request_leaves(rendered: Path, heard: list[bytes], tmp_path: Path) -> None:
    control = tmp_path / "control.html"
    control.write_text(f"<script>document.title='PWNED'</script><img src={URL}/control>")
    assert "<title>PWNED" in _dom(control, tmp_path / "one")
    assert any(b"/control" in request for request in heard), "the server hears what a browser sends"
    heard.clear()
    (page,) = html.render(hostile_report(WELL_FORMED), tmp_path)
    dom = _dom(page, tmp_path / "two")
    assert "PWNED</title>" not in dom
    assert "<title>PWNED" not in dom
    assert heard == []
    assert '<ol id="answers"><li' in dom, "the page's own script ran"
    assert re.search(r"<(img|iframe|base|link|object|embed)\b", dom) is None
    for figure in (rendered / "figures").glob("*.svg"):
        _dom(figure, tmp_path / figure.stem)
    assert heard == []


def _dom(page: Path, profile: Path) -> str:
    command = [
        *("chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"),
        *("--disable-dev-shm-usage", "--disable-quic", "--disable-sync"),
        *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
        *("--virtual-time-budget=4000", "--dump-dom", page.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_terminal_is_shown_text(attack: str) -> None:
    from rich.table import Table
    from rich.text import Text

    sink = io.StringIO()
    console = PlainConsole(file=sink, width=4_000, color_system=None, force_terminal=False)
    table = Table(title=attack)
    table.add_column(attack)
    table.add_row(attack)
    for one in (attack, Text(attack), table):
        console.print(one, soft_wrap=True)
    shown = sink.getvalue()
    assert all(letter.isprintable() or letter in "\n\t" for letter in shown)
    kept = attack.partition("\n")[0].translate(dict.fromkeys(STRIPPED)).lstrip("\t")
    assert visible(kept) in shown, "nothing was taken for markup"


def test_colours_of_our_own_still_reach_a_terminal() -> None:
    sink = io.StringIO()
    console = PlainConsole(file=sink, force_terminal=True, color_system="standard", width=80)
    console.print("mind: \x1b[2J", style="yellow")
    assert sink.getvalue() == "\x1b[33mmind: \\x1b[2J\x1b[0m\n"
