"""Commands that read what has run or runs: status, report, paper, check, trace, diff."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import RUNS, Out, words


def status(
    run: Annotated[
        str | None, typer.Argument(help="A run's id or folder; the one that told last by default.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """What a comparison does, how long is left, whether it is healthy; exit code 1 where it is not."""
    from harness.commands import status as command

    return command.run(run, out=out)


def report(
    runs: Annotated[
        list[str] | None, typer.Argument(help="A run's id or folder; several make one report of all.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="Print one format: json, markdown, ...")
    ] = None,
    mlflow: Annotated[bool, typer.Option("--mlflow", help="Write the run to MLflow again.")] = False,
    from_mlflow: Annotated[
        str | None,
        typer.Option("--from-mlflow", help="A tracking URI; RUN is then the parent run's id there."),
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, max=86_400, help="Seconds that --from-mlflow may take.")
    ] = 60.0,
    out: Out = RUNS,
) -> int:
    """Render the report of a finished run again, or one of several runs; needs no GPU."""
    from harness.commands import report as command

    if runs and len(runs) > 1:
        return command.run_many(runs, out=out, format_name=format_)
    name = runs[0] if runs else "latest"
    return command.run(
        name, out=out, format_name=format_, mlflow=mlflow, from_mlflow=from_mlflow, timeout=timeout
    )


def paper(
    runs: Annotated[
        list[str] | None, typer.Argument(help="A run's id or folder; the models of several are rows.")
    ] = None,
    rows: Annotated[
        str | None, typer.Option("--rows", help="Arms, or base, in their order; all arms by default.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", help="Columns in their order, such as time,flops,win_rate.")
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option("--figures", help="Figures in their order; those usually printed by default."),
    ] = None,
    style: Annotated[
        str, typer.Option("--style", help="plain, acl (two columns) or neurips (one column).")
    ] = "plain",
    to: Annotated[
        Path | None, typer.Option("--to", help="Where to write it; `paper` in the run's folder by default.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """Write tables, figures, macros, methods and bibliography for a paper, and a paper.tex with them."""
    from harness.commands import paper as command

    given = {"rows": rows, "columns": columns, "figures": figures}
    chosen = {name: words(text, f"--{name}") or () for name, text in given.items()}
    return command.run(runs or ["latest"], out=out, to=to, style=style, **chosen)


def check(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    claims: Annotated[
        Path | None, typer.Option("--claims", help="A file or folder of claims; those shipped by default.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """Judge published claims on a run; exit code 1 where one is contradicted."""
    from harness.commands import check as command

    return command.run(run, claims, out=out)


def verify(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    out: Out = RUNS,
) -> int:
    """Read every byte of a run's files; exit code 1 where one is not as its stage wrote it."""
    from harness.commands import verify as command

    return command.run(run, out=out)


def trace(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")],
    cell: Annotated[str, typer.Argument(help="TABLE, or TABLE ROW-WORDS [COLUMN] in one argument.")],
    out: Out = RUNS,
) -> int:
    """Where a figure of a report comes from: run, stages, commits, packages, judges."""
    from harness.commands import trace as command

    return command.run(run, cell, out=out)


def beside(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    table: Annotated[str, typer.Option(help="Its name in reports/published.")] = "lab",
    out: Out = RUNS,
) -> int:
    """A published table of arms, with the run's own figures under each row."""
    from harness.commands import beside as command

    return command.run(run, table=table, out=out)


def diff(
    a: Annotated[str, typer.Argument(help="A run's id or folder.")],
    b: Annotated[str, typer.Argument(help="Another run.")],
    out: Out = RUNS,
) -> int:
    """What changed between two runs, in their settings and in their results."""
    from harness.commands import diff as command

    return command.run(a, b, out=out)
