"""Commands that run something: compare, plan, cost, score, replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.options import (
    RUNS,
    Again,
    Arms,
    Comparison,
    Data,
    Device,
    Mfu,
    Model,
    Offline,
    Out,
    PeakTflops,
    PrintFormat,
    Score,
    Seeds,
    Set,
    all_words,
    words,
)
from harness.errors import UserError


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
    offline: Offline = None,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Add seeds in the file's registered looks until every question is decided.",
        ),
    ] = False,
    stage_timeout: Annotated[
        float | None,
        typer.Option(
            "--stage-timeout", min=0.0, help="End a stage that makes no progress for so many minutes."
        ),
    ] = None,
    mlflow: Annotated[bool, typer.Option(help="Write the run to MLflow as well.")] = True,
) -> int:
    """Run the arms of a comparison, measure and score them, and write the report."""
    from harness.commands import compare as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides
    from harness.running.offline import only_from

    limit = () if stage_timeout is None else (f"stage_timeout_minutes={stage_timeout}",)
    overrides = Overrides(
        model, data, words(arms, "--arms"), seeds, words(score, "--score"), (*(set_ or ()), *limit)
    )
    with using(device), only_from(offline):
        return command.run(
            comparison,
            overrides,
            out=out,
            mlflow=mlflow,
            again=all_words(again),
            until_decided=until_decided,
            offline=offline,
        )


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
    offline: Offline = None,
    why: Annotated[
        bool, typer.Option("--why", help="Say what changed for every stage that would run.")
    ] = False,
    format_: Annotated[
        PrintFormat, typer.Option("--format", help="json has all that each digest covers.")
    ] = PrintFormat.TABLE,
    power: Annotated[
        bool, typer.Option("--power", help="Which effects the planned seeds can find, and how many it takes.")
    ] = False,
    like: Annotated[
        str, typer.Option("--like", help="The run whose spread --power goes by: id, folder or latest.")
    ] = "latest",
    devices: Annotated[
        str | None,
        typer.Option(
            "--devices",
            help="When all would be done on so many devices: 8, or 1,8,64, or 4+4@2 (four twice as fast). "
            "COMPARISON may then be a finished run, which is played through again.",
        ),
    ] = None,
    peak_tflops: PeakTflops = None,
    mfu: Mfu = None,
) -> int:
    """Show the stages of a comparison, their order, digests and what would be reused; run nothing."""
    from harness.commands import plan as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides
    from harness.running.offline import only_from

    overrides = Overrides(
        model, data, words(arms, "--arms"), seeds, words(score, "--score"), tuple(set_ or ())
    )
    if power:
        from harness.commands import power as power_command

        with only_from(offline):
            return power_command.run(comparison, overrides, out=out, like=like)
    if devices is None and (peak_tflops is not None or mfu is not None):
        raise UserError(
            "given without --devices",
            where="--peak-tflops and --mfu",
            remedy="say how many devices there are",
        )
    with using(device), only_from(offline):
        if devices is not None:
            from harness.commands import plan_devices

            return plan_devices.run(
                comparison,
                overrides,
                devices=devices,
                out=out,
                format_name=format_.value,
                again=all_words(again),
                peak_tflops=peak_tflops,
                mfu=mfu,
            )
        return command.run(
            comparison,
            overrides,
            out=out,
            format_name=format_.value,
            why=why,
            again=all_words(again),
            offline=offline,
        )


def cost(
    comparison: Comparison = None,
    model: Model = None,
    data: Data = None,
    arms: Arms = None,
    seeds: Seeds = None,
    set_: Set = None,
    out: Out = RUNS,
    device: Device = None,
    peak_tflops: PeakTflops = None,
    mfu: Mfu = None,
) -> int:
    """Predict what every arm costs from a few steps of every stage; trains nothing else."""
    from harness.commands import cost as command
    from harness.measure.gpus import using
    from harness.pipeline.overrides import Overrides

    overrides = Overrides(model, data, words(arms, "--arms"), seeds, None, tuple(set_ or ()))
    with using(device):
        return command.run(comparison, overrides, out=out, peak_tflops=peak_tflops, mfu=mfu)


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

    names = words(benchmark or None, "--benchmark")
    if not names:
        raise UserError("no benchmark", where="--benchmark", remedy="name one; see `harness list`")
    with using(device):
        return command.run(
            run, benchmarks=names, judge=judge, label=label, sets=tuple(set_ or ()), out=out, mlflow=mlflow
        )


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
