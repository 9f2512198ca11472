"""Arguments and flags that several commands take."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError

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
PeakTflops = Annotated[
    float | None,
    typer.Option("--peak-tflops", min=1e-6, max=1e9, help="Peak rate of another device, in TFLOP/s."),
]
Mfu = Annotated[float | None, typer.Option("--mfu", min=0.001, max=1.0, help="Share of that peak, 0 to 1.")]
Offline = Annotated[
    Path | None,
    typer.Option(
        "--offline", help="Take everything from this folder, which harness fetch made; ask no network."
    ),
]
RUNS = Path("runs")


class PrintFormat(StrEnum):
    """How a command prints what it found."""

    TABLE = "table"
    JSON = "json"


def words(text: str | None, option: str) -> list[str] | None:
    """Names separated by commas or blanks; None where nothing was given. Raises UserError for no name."""
    if text is None:
        return None
    names = text.replace(",", " ").split()
    if not names:
        raise UserError(
            f"{text!r} names nothing", where=option, remedy="give a name, or leave the option out"
        )
    return names


def all_words(texts: list[str] | None) -> tuple[str, ...]:
    """Names of an option that may be given several times, with several names each."""
    return tuple(word for text in texts or () for word in text.replace(",", " ").split())
