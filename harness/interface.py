"""The Python interface: a comparison run or opened from a notebook, its figures as pandas DataFrames.

It does what the command line does, by the same code, and raises the same errors: UserError for what
the user can mend, StageFailed for a stage that crashed, Interrupted after Ctrl-C.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from harness.commands import compare as compare_command
from harness.commands import paper as paper_command
from harness.commands import report as report_command
from harness.commands.view import open_run
from harness.errors import unknown_name
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.paper import build_paper
from harness.measure.gpus import using
from harness.pipeline.claims import load_claims
from harness.pipeline.overrides import Overrides
from harness.quantities import is_share
from harness.render.csv import flat
from harness.store.run_dir import scores_by_cell
from harness.tables import Report
from harness.terminal import PlainConsole

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")
SCORES = ("arm", "seed", "benchmark", "metric", "value", "unit", "n", "higher_is_better", "reason", "digest")
COSTS = ("arm", "seed", "repeat", "stage", "quantity", "value", "unit", "reason", "digest")
EVIDENCE = (
    *("quantity", "a", "b", "kind", "estimate", "low", "high", "unit", "n", "p"),
    *("detectable", "target", "verdict", "reason", "stages"),
)


def compare(
    comparison: str | None = None,
    *,
    model: str | None = None,
    data: str | None = None,
    arms: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    score: Sequence[str] | None = None,
    set: Mapping[str, object] | None = None,
    out: str | Path = RUNS,
    again: Sequence[str] = (),
    device: int | str | None = None,
    until_decided: bool = False,
    mlflow: bool = True,
) -> Run:
    """Run a comparison as `harness compare` does; every argument means what the flag of its name means.

    `seeds` is how many, or a list of them; `set` maps a field to its value, such as
    `{"stages.dpo.beta": 0.05}`. Stages that are finished are reused, as on the command line.
    """
    given = {"model": model, "data": data, "arms": arms, "seeds": seeds, "score": score, "set": set}
    given |= {"device": device, "until_decided": until_decided or None}
    run_it = compare_command.run_until_decided if until_decided else compare_command.run_comparison
    call = [repr(comparison), *(f"{name}={value!r}" for name, value in given.items() if value is not None)]
    with using(None if device is None else str(device)):
        record = run_it(
            comparison,
            Overrides(model, data, arms, _seeds(seeds), score, _settings(set or {})),
            out=Path(out),
            console=PlainConsole(),
            mlflow=mlflow,
            again=again,
            command=f"harness.compare({', '.join(call)})",
        )
    return load_run(record.id, out=out)


def load_run(name: str | Path = "latest", *, out: str | Path = RUNS) -> Run:
    """A finished run by its folder, or by its id or `latest` in `out`; raises UserError for none."""
    return Run(str(name), Path(out))


class Run:
    """A finished comparison. Frames are in base units (seconds, bytes, FLOPs, joules), named in `unit`.

    `digest` and `stages` name the stages behind a figure, each a folder `<out>/stages/<digest>`.
    """

    def __init__(self, name: str, out: Path) -> None:
        self._root, self._view = open_run(name, out)

    @property
    def id(self) -> str:
        """Digest of the plan."""
        return self._view.record.id

    @property
    def folder(self) -> Path:
        """Where the record and the report lie."""
        return self._root.run_folder(self.id)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row a metric of a cell; the base model, which has no seed, is the arm `base`.

        `unit` is 1 for a share of items, and None where a benchmark counts in a unit of its own.
        Without a value `reason` says why.
        """
        rows = []
        for cell, digest, score in scores_by_cell(self._view.record):
            arm, _, seed = cell.partition("@")
            unit = _unit(f"{score.benchmark}.{score.metric}")
            row = (arm, int(seed) if seed else None, score.benchmark, score.metric, score.estimate, unit)
            rows.append((*row, score.n, score.higher_is_better, score.reason, digest))
        return _frame(rows, SCORES).astype({"seed": "Int64"})

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row a measured quantity of a training stage of a cell.

        A stage that two arms share stands under both: each is charged its full cost. Sum seconds, FLOPs
        and joules over an arm's stages; of bytes take the maximum.
        """
        record, rows = self._view.record, []
        for cell in record.plan.cells:
            for digest in cell.stages:
                result = record.results[digest]
                stage = (cell.arm, cell.seed, cell.repeat, result.name.rpartition("/")[2].partition("@")[0])
                rows += [(*stage, m.quantity, m.value, m.unit, m.reason, digest) for m in result.ledger]
        return _frame(rows, COSTS)

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """Arm `a` against arm `b` in every quantity: a `difference` of scores or a `ratio` of costs,
        with 95% interval, p, the minimum detectable effect and the verdict. `unit` as in `scores`; a
        ratio's is 1."""
        found = self._report.data.get("evidence", [])
        assert isinstance(found, list)
        units = ["1" if row["kind"] == "ratio" else _unit(row["quantity"]) for row in found]
        rows = [{**row, "unit": unit} for row, unit in zip(found, units, strict=True)]
        return _frame([tuple(row[name] for name in EVIDENCE) for row in rows], EVIDENCE)

    @property
    def tables(self) -> list[str]:
        """Names of the report's tables."""
        return [table.name for table in self._report.tables()]

    def table(self, name: str) -> pd.DataFrame:
        """A table of the report; a column with intervals has two more, `low` and `high`.

        Raises UserError for an unknown name, with the names that there are.
        """
        for table in self._report.tables():
            if table.name == name:
                header, rows = flat(table)
                return _frame(rows, header)
        raise unknown_name("table", name, self.tables)

    def report(self) -> Path:
        """The report's page; rendered again where it is missing."""
        page = self.folder / "report" / "report.html"
        if not page.is_file():
            report_command.write(self._view.record, self._root)
        return page

    def paper(
        self,
        to: str | Path | None = None,
        *,
        rows: Sequence[str] = (),
        columns: Sequence[str] = (),
        figures: Sequence[str] = (),
        style: str = "plain",
    ) -> Path:
        """Write what `harness paper` writes, into `to` or beside the report; gives the folder.

        Raises UserError for unknown names, with the names that there are.
        """
        folder = self.folder / "paper" if to is None else Path(to)
        paper_command.write(build_paper([self._view], rows, columns, figures), style, folder)
        return folder

    @cached_property
    def _report(self) -> Report:
        return build_report(self._view, load_claims())

    def __repr__(self) -> str:
        return f"<Run {self.id}: {self._view.record.name}, {', '.join(self._view.arms)}>"

    def _repr_html_(self) -> str:
        """Title, short answers with their warnings, and where the report is, for notebooks."""
        first = self._report.first
        told = self._report.summary if first is None else (*first.answers, *first.warnings)
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in told)
        title, page = html.escape(self._report.title), html.escape(str(self.report()))
        return f"<b>{title}</b><ul>{lines}</ul><code>{page}</code>"


def _unit(score: str) -> str | None:
    return "1" if is_share(score) else None


def _seeds(seeds: int | Sequence[int] | None) -> str | None:
    """As the flag takes them: `3` is how many, `3,` the seed 3."""
    if seeds is None or isinstance(seeds, int):
        return None if seeds is None else str(seeds)
    return "".join(f"{seed}," for seed in seeds)


def _settings(fields: Mapping[str, object]) -> tuple[str, ...]:
    """As the flag takes them: KEY=VALUE, the value in YAML."""
    return tuple(f"{key}={yaml.safe_dump(value, default_flow_style=True)}" for key, value in fields.items())


def _frame(rows: Sequence[Sequence[object]], columns: Sequence[str]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
