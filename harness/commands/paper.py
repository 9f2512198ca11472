"""`harness paper`: tables, figures, macros, methods and bibliography that go into a paper as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.commands.view import open_runs
from harness.errors import UserError
from harness.evidence.documents.paper import build_paper
from harness.render import latex
from harness.tables import Paper

COMPILE = "pdflatex paper && bibtex paper && pdflatex paper && pdflatex paper"


def run(
    run_names: Sequence[str],
    *,
    out: Path,
    to: Path | None = None,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    figures: Sequence[str] = (),
    style: str = "plain",
) -> int:
    """Write the paper of a run, or of several whose models are rows, into `to` or the folder of the run.

    Raises UserError for unknown rows, columns, figures and styles, for runs that do not mix, and where it
    would write over a paper of the user's.
    """
    views, beside = open_runs(run_names, out)
    folder = beside / "paper" if to is None else to
    for path in write(build_paper(views, rows, columns, figures), style, folder):
        print(path)
    print(f"cd {folder} && {COMPILE}")
    return 0


def write(paper: Paper, style: str, folder: Path) -> list[Path]:
    """Write it into `folder`; raises UserError for an unknown style and a paper of the user's there."""
    latex.check_style(style)
    _check(folder)
    _make(folder)
    return latex.render_paper(paper, style, folder)


def _make(folder: Path) -> None:
    """The folder; raises UserError where there can be none."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})",
            where=str(folder),
            remedy="give another folder by --to",
        ) from None


def _check(folder: Path) -> None:
    """Raise UserError where `paper.tex` is there already and by another hand."""
    path = folder / "paper.tex"
    if path.is_file() and not path.read_text(encoding="utf-8", errors="replace").startswith(latex.WRITTEN):
        raise UserError(
            "there is a paper.tex that harness did not write",
            where=str(folder),
            remedy="give another folder by --to, and \\input what it writes there",
        )
