"""Commands around the runs: data, fetch, doctor, ui, collect, sync, calibrate, clean, list."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    RUNS,
    Arms,
    Comparison,
    Data,
    Device,
    Model,
    Out,
    PrintFormat,
    Score,
    Set,
    words,
)
from harness.errors import UserError


def data(
    source: Annotated[str, typer.Argument(help="A file, a folder, a hub name, or embedded.")],
    model: Annotated[str | None, typer.Option("--model", help="Whose tokenizer counts the tokens.")] = None,
    set_: Set = None,
    format_: Annotated[PrintFormat, typer.Option("--format", help="json has all of it.")] = PrintFormat.TABLE,
) -> int:
    """Check a preference data set and print its statistics."""
    from harness.commands import data as command

    return command.run(source, model=model, sets=tuple(set_ or ()), format_name=format_.value)


def fetch(
    comparison: Comparison = None,
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for all of it; what is there already stays.")
    ] = None,
    model: Model = None,
    data: Data = None,
    arms: Arms = None,
    score: Score = None,
    set_: Set = None,
) -> int:
    """Bring all that a comparison needs into one folder, for machines without internet."""
    from harness.commands import fetch as command
    from harness.pipeline.overrides import Overrides

    if to is None:
        raise UserError("no folder to fetch into", where="--to", remedy="name one, such as --to bundle")
    overrides = Overrides(
        model, data, words(arms, "--arms"), None, words(score, "--score"), tuple(set_ or ())
    )
    return command.run(comparison, overrides, to=to)


def doctor(device: Device = None) -> int:
    """Print what this machine has, which GPU would be used, and what follows from it."""
    from harness.commands import doctor as command
    from harness.measure.gpus import using

    with using(device):
        return command.run()


def ui(
    out: Out = RUNS,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 5000,
) -> int:
    """Open MLflow on the runs, on 127.0.0.1 alone."""
    from harness.commands import ui as command

    return command.run(out, port=port)


def collect(
    name: Annotated[
        str | None, typer.Argument(help="The comparison; the only one with jobs by default.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """Go on with a comparison whose SLURM jobs outlived the command that handed them over."""
    from harness.commands import collect as command

    return command.run(name, out=out)


def sync(
    run: Annotated[
        str | None, typer.Argument(help="A run's id or latest; what waits for any run by default.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """Deliver what MLflow and other trackers did not take while a comparison ran."""
    from harness.commands import sync as command

    return command.run(run, out=out)


def calibrate(
    simulations: Annotated[
        int, typer.Option(min=100, help="Simulated comparisons in each cell of the grid.")
    ] = 20_000,
) -> int:
    """Simulate comparisons of known truth: do intervals cover, tests reject and find what they say?"""
    from harness.commands import calibrate as command

    return command.run(simulations)


def clean(
    runs: Annotated[
        list[str] | None, typer.Argument(help="Runs' ids or folders; all, and what no run needs, by default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Remove it; otherwise it is shown only.")] = False,
    out: Out = RUNS,
) -> int:
    """Make room: weights, checkpoints and stages that no run needs; reports can still be made."""
    from harness.commands import clean as command

    return command.run(runs or (), out=out, yes=yes)


def list_() -> int:
    """List arms, comparisons, methods, benchmarks, judges and formats."""
    from harness.commands import list as command

    return command.run()
