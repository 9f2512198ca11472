"""A finished comparison as the runs that trackers are told, parents first. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.records import ComparisonRecord, MissingCell, PlannedCell, StageResult
from harness.running.tracked import (
    BASE,
    Series,
    Whole,
    base_run,
    cell_costs,
    cell_key,
    cell_run,
    comparison_run,
    data_set,
    final_weights,
    milliseconds,
    score_values,
    stage_ended,
    stage_points,
    stage_run,
    stamp_of,
    trial_run,
)
from harness.store.run_dir import scores_by_cell
from harness.tracking import DataSet, Ended, Point, TrackedRun

FolderOf = Callable[[StageResult], Path]


def whole_runs(record: ComparisonRecord, series: Series, folder_of: FolderOf) -> list[Whole]:
    """The comparison, its cells and their training stages; `folder_of` says where a stage's files lie."""
    return _Tree(record, series, folder_of).runs()


class _Tree:
    def __init__(self, record: ComparisonRecord, series: Series, folder_of: FolderOf) -> None:
        self.record, self.series, self.folder_of = record, series, folder_of
        prepared = record.results.get(record.plan.prepare)
        self.data: DataSet | None = None if prepared is None else data_set(prepared)
        # A judge's scores of a cell change with every cell, so all runs but stages bear the whole's stamp.
        self.stamp = stamp_of(list(record.results.values()))
        self.scores: dict[str, dict[str, float]] = {}
        for cell, _, score in scores_by_cell(record):
            self.scores.setdefault(cell, {}).update(score_values([score]))

    def runs(self) -> list[Whole]:
        plan, results = self.record.plan, self.record.results
        everything = list(results.values())
        cells = [*plan.cells, *map(_planned, self.record.missing)]
        missing = [name for cell in cells for name in self._missing(cell)]
        why = _without(list(dict.fromkeys([*missing, *(one.name for one in self.record.failed)])))
        whole = [self._over(everything, self._comparison, self._arm_means(), why)]
        for cell in cells:
            whole += [self._cell(cell)]
            whole += [self._stage(cell, digest) for digest in cell.stages if digest in results]
        if plan.base_evaluate in results:
            stages = [results[plan.base_evaluate]]
            run = self._over(
                stages,
                lambda began: base_run(plan, began, self.data, self.stamp),
                self.scores.get(BASE, {}),
            )
            whole.append(run)
        return [*whole, *self._trials()]

    def _trials(self) -> list[Whole]:
        """The trials of the search, which were over before the comparison was."""
        tuning, at = self.record.tuning, milliseconds(self.record.created_at)
        if tuning is None:
            return []
        return [trial_run(self.record.plan.id, trial, tuning.metric, at) for trial in tuning.trials]

    def _over(
        self,
        stages: Sequence[StageResult],
        made: Callable[[int], TrackedRun],
        values: dict[str, float],
        why: str | None = None,
    ) -> Whole:
        """A run that began when the first of `stages` did and ended when the last did; `why` it failed."""
        began = min(milliseconds(stage.started_at) for stage in stages)
        ended = max(milliseconds(stage.finished_at) for stage in stages)
        run = made(began)
        tags = final_weights(stages[-1], self.folder_of(stages[-1])) if run.kind == "cell" and not why else {}
        over = Ended("failed" if why else "finished", ended, why, tags, self.stamp)
        return Whole(run, [Point(0, ended, values)], over)

    def _comparison(self, began: int) -> TrackedRun:
        return comparison_run(self.record.plan, began, self.stamp)

    def _cell(self, cell: PlannedCell) -> Whole:
        plan, results = self.record.plan, self.record.results
        done = [results[digest] for digest in cell.stages if digest in results]
        # A cell of which nothing was trained stands at the time of what came before it.
        stages = done or [results.get(plan.prepare) or next(iter(results.values()))]
        return self._over(
            stages,
            lambda began: cell_run(plan, cell, began, self.data, self.stamp),
            self._cell_values(cell),
            _without(self._missing(cell)),
        )

    def _missing(self, cell: PlannedCell) -> list[str]:
        """Names of the cell's stages that have no result."""
        plan, asked = self.record.plan, [*cell.stages, *([cell.evaluate] if cell.evaluate else [])]
        return [plan.stages[digest].name for digest in asked if digest not in self.record.results]

    def _cell_values(self, cell: PlannedCell) -> dict[str, float]:
        """Costs of a cell that was trained whole, and its scores."""
        results = self.record.results
        whole = all(digest in results for digest in cell.stages)
        costs = cell_costs([results[digest] for digest in cell.stages]) if whole else {}
        return costs | ({} if cell.repeat else self.scores.get(cell_key(cell), {}))

    def _stage(self, cell: PlannedCell, digest: str) -> Whole:
        result, use = self.record.results[digest], self.record.uses.get(digest)
        reused = (use and use.reused_from) or (result.name if result.name.split("/")[0] != cell.arm else None)
        began = milliseconds(result.started_at)
        run = stage_run(self.record.plan, cell, digest, began, self.data, stamp_of([result]))
        ended = stage_ended(result, self.folder_of(result), reused)
        return Whole(run, stage_points(result, self.series.get(digest, [])), ended)

    def _arm_means(self) -> dict[str, float]:
        """`<arm>/<metric>`: means over seeds of what every cell of the arm has; bytes the maximum."""
        values_by_metric: dict[tuple[str, str], list[float]] = {}
        scored = Counter(cell.arm for cell in self.record.plan.cells if not cell.repeat)
        for cell in self.record.plan.cells:
            for name, value in self._cell_values(cell).items():
                values_by_metric.setdefault((cell.arm, name), []).append(value)
        return {
            f"{arm}/{name}": max(values) if name.endswith("_bytes") else sum(values) / len(values)
            for (arm, name), values in values_by_metric.items()
            if len(values) >= scored[arm]
        }


def _planned(cell: MissingCell) -> PlannedCell:
    """A cell that was asked for and is compared with nothing."""
    return PlannedCell(
        arm=cell.arm, seed=cell.seed, stages=cell.stages, evaluate=cell.evaluate, repeat=cell.repeat
    )


def _without(missing: Sequence[str]) -> str | None:
    """Why a run failed, by the stages that have no result; None where there are none."""
    return f"No result of {', '.join(missing)}; the same command tries again." if missing else None
