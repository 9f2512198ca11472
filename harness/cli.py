"""The command line: parses, calls a command, turns errors into exit codes.

0 done, 2 the user can mend it (one message), 1 a stage failed, 130 interrupted.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness import __version__
from harness.errors import Interrupted, StageFailed, UserError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SFT then DPO against single-stage ORPO: same model, same pairs, same GPU; costs measured.",
)
Out = Annotated[Path, typer.Option("--out", help="Folder of all runs.")]
Comparison = Annotated[str | None, typer.Argument(help="A comparison's name or YAML file.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Hub name, folder, or config:FOLDER for random weights.")
]
Data = Annotated[
    str | None, typer.Option("--data", help="Hub name, folder, or .jsonl .json .parquet .csv file.")
]
Arms = Annotated[str | None, typer.Option("--arms", help="Arms, separated by spaces or commas.")]
Seeds = Annotated[str | None, typer.Option("--seeds", help="How many seeds, or a list such as 3,5,8.")]
Score = Annotated[str | None, typer.Option("--score", help="Benchmarks, separated by spaces or commas.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE, such as stages.dpo.beta=0.05; again for more.")
]
Again = Annotated[
    list[str] | None,
    typer.Option(
        "--again",
        help="Run finished stages again: a stage's name, an arm, train, evaluate or all; again for more.",
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device", help="The GPU to use: its index among the visible ones, or its UUID (HARNESS_DEVICE)."
    ),
]
RUNS = Path("runs")


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TABLE = "table"
    JSON = "json"


def _words(text: str | None) -> list[str] | None:
    return text.replace(",", " ").split() if text else None


def _all_words(texts: list[str] | None) -> tuple[str, ...]:
    """Names of an option that may be given several times, with several names each."""
    return tuple(word for text in texts or () for word in text.replace(",", " ").split())


def _show_version(asked: bool) -> None:
    if asked:
        print(f"orpo-harness {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `harness` itself."""


@app.command()
def compare(
    comparison: Comparison = None,
    model: Model = None,
    data: Data = None,
    arms: Arms = None,
    seeds: Seeds = None,
    score: Score = None,
    set_: Set = None,
    out: Out = RUNS,
    again: Again = None,
    device: Device = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Add seeds in the file's registered looks until every question is decided.",
        ),
    ] = False,
    mlflow: Annotated[bool, typer.Option(help="Write the run to MLflow as well.")] = True,
) -> int:
    """Run the arms of a comparison, measure and score them, and write the report."""
    from harness.commands import compare as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides

    overrides = Overrides(model, data, _words(arms), seeds, _words(score), tuple(set_ or ()))
    with using(device):
        return command.run(
            comparison,
            overrides,
            out=out,
            mlflow=mlflow,
            again=_all_words(again),
            until_decided=until_decided,
        )


@app.command()
def plan(
    comparison: Comparison = None,
    model: Model = None,
    data: Data = None,
    arms: Arms = None,
    seeds: Seeds = None,
    score: Score = None,
    set_: Set = None,
    out: Out = RUNS,
    again: Again = None,
    device: Device = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say what changed for every stage that would run.")
    ] = False,
    format_: Annotated[
        PlanFormat, typer.Option("--format", help="json has all that each digest covers.")
    ] = PlanFormat.TABLE,
    power: Annotated[
        bool, typer.Option("--power", help="Which effects the planned seeds can find, and how many it takes.")
    ] = False,
    like: Annotated[
        str, typer.Option("--like", help="The run whose spread --power goes by: id, folder or latest.")
    ] = "latest",
) -> int:
    """Show the stages of a comparison, their order, digests and what would be reused; run nothing."""
    from harness.commands import plan as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides

    overrides = Overrides(model, data, _words(arms), seeds, _words(score), tuple(set_ or ()))
    if power:
        from harness.commands import power as power_command

        return power_command.run(comparison, overrides, out=out, like=like)
    with using(device):
        return command.run(
            comparison, overrides, out=out, format_name=format_.value, why=why, again=_all_words(again)
        )


@app.command()
def cost(
    comparison: Comparison = None,
    model: Model = None,
    data: Data = None,
    arms: Arms = None,
    seeds: Seeds = None,
    set_: Set = None,
    out: Out = RUNS,
    device: Device = None,
    peak_tflops: Annotated[
        float | None, typer.Option("--peak-tflops", help="Peak rate of another device, in TFLOP/s.")
    ] = None,
    mfu: Annotated[float | None, typer.Option("--mfu", help="Share of that peak, 0 to 1.")] = None,
) -> int:
    """Predict what every arm costs from a few steps of every stage; trains nothing else."""
    from harness.commands import cost as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides

    overrides = Overrides(model, data, _words(arms), seeds, None, tuple(set_ or ()))
    with using(device):
        return command.run(comparison, overrides, out=out, peak_tflops=peak_tflops, mfu=mfu)


@app.command()
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
    out: Out = RUNS,
) -> int:
    """Render the report of a finished run again, or one of several runs; needs no GPU."""
    from harness.commands import report as command

    if runs and len(runs) > 1:
        return command.run_many(runs, out=out, format_name=format_)
    name = runs[0] if runs else "latest"
    return command.run(name, out=out, format_name=format_, mlflow=mlflow, from_mlflow=from_mlflow)


@app.command()
def score(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="Benchmarks, separated by spaces or commas.")
    ] = "",
    judge: Annotated[str | None, typer.Option("--judge", help="Who judges, such as reward_model.")] = None,
    label: Annotated[str | None, typer.Option("--as", help="Name of the new scores.")] = None,
    set_: Set = None,
    out: Out = RUNS,
    device: Device = None,
    mlflow: Annotated[bool, typer.Option(help="Write the run to MLflow as well.")] = True,
) -> int:
    """Add scores to a finished run without training or generating again; old scores stay."""
    from harness.commands import score as command
    from harness.measure.gpus import using

    names = _words(benchmark)
    if not names:
        raise UserError("no benchmark", where="--benchmark", remedy="name one; see `harness list`")
    with using(device):
        return command.run(
            run, benchmarks=names, judge=judge, label=label, sets=tuple(set_ or ()), out=out, mlflow=mlflow
        )


@app.command()
def replay(
    folder: Annotated[Path, typer.Argument(help="A folder of published outputs and judgments.")],
    name: Annotated[str | None, typer.Option("--name", help="What to call the run.")] = None,
    baseline: Annotated[
        str | None, typer.Option("--baseline", help="The arm others are named against.")
    ] = None,
    out: Out = RUNS,
    mlflow: Annotated[bool, typer.Option(help="Write the run to MLflow as well.")] = True,
) -> int:
    """Score existing outputs and judgments (AlpacaEval, MT-Bench, lm-eval) and write the report."""
    from harness.commands import replay as command

    return command.run(folder, out=out, name=name, baseline=baseline, mlflow=mlflow)


@app.command()
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


@app.command()
def trace(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")],
    cell: Annotated[str, typer.Argument(help="TABLE, or TABLE ROW-WORDS [COLUMN] in one argument.")],
    out: Out = RUNS,
) -> int:
    """Where a figure of a report comes from: run, stages, commits, packages, judges."""
    from harness.commands import trace as command

    return command.run(run, cell, out=out)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="A run's id or folder.")],
    b: Annotated[str, typer.Argument(help="Another run.")],
    out: Out = RUNS,
) -> int:
    """What changed between two runs, in their settings and in their results."""
    from harness.commands import diff as command

    return command.run(a, b, out=out)


@app.command()
def calibrate(
    simulations: Annotated[
        int, typer.Option(help="Simulated comparisons in each cell of the grid.")
    ] = 20_000,
) -> int:
    """Simulate comparisons of known truth: do intervals cover, tests reject and find what they say?"""
    from harness.commands import calibrate as command

    return command.run(simulations)


@app.command()
def ui(
    out: Out = RUNS,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 5000,
) -> int:
    """Open MLflow on the runs, on 127.0.0.1 alone."""
    from harness.commands import ui as command

    return command.run(out, port=port)


@app.command()
def doctor(device: Device = None) -> int:
    """Print what this machine has, which GPU would be used, and what follows from it."""
    from harness.commands import doctor as command
    from harness.measure.gpus import using

    with using(device):
        return command.run()


@app.command()
def data(
    source: Annotated[str, typer.Argument(help="A file, a folder, a hub name, or embedded.")],
    model: Annotated[str | None, typer.Option("--model", help="Whose tokenizer counts the tokens.")] = None,
    set_: Set = None,
) -> int:
    """Check a preference data set and print its statistics."""
    from harness.commands import data as command

    return command.run(source, model=model, sets=tuple(set_ or ()))


@app.command("list")
def list_() -> int:
    """List arms, comparisons, methods, benchmarks, judges and formats, and where templates are."""
    from harness import registry
    from harness.pipeline.find import known_files, shipped

    for kind in ("comparison", "arm"):
        print(f"{kind}s: {' '.join(known_files(kind))}")
    for group in registry.GROUPS:
        print(f"{group}: {' '.join(registry.names(group))}")
    print(f"templates: {' '.join(str(path) for path in sorted(shipped('reports/templates').iterdir()))}")
    return 0


def main() -> None:
    """Entry point; ends the process with the exit code."""
    sys.exit(_run())


def _run() -> int:
    try:
        return int(app(standalone_mode=False) or 0)
    except UserError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 2
    except StageFailed as error:
        print(
            f"harness: stage {error.stage} failed: {error.cause}\n{error.log_tail}\nlog: {error.log_path}",
            file=sys.stderr,
        )
        return 1
    except (Interrupted, KeyboardInterrupt):
        print("harness: interrupted; finished stages are kept, the same command continues", file=sys.stderr)
        return 130
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):
            print(f"harness: {error.format_message()}; see harness --help.", file=sys.stderr)
            return 2
        raise
