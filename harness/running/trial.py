"""One finished trial: its score on the development pairs, what it cost, and how its probes went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import UserError, unknown_name
from harness.jsonl import read_jsonl
from harness.pipeline.trials import Draw
from harness.pipeline.tuning_pruning import METRIC, Curve
from harness.records import FailedStage, PlannedCell, Score, StageResult, TrainFacts, TuningTrial
from harness.running.tracked import cell_costs
from harness.store.run_dir import RunRoot


@dataclass(frozen=True)
class Metric:
    """What trials are compared by: `benchmark.metric`, and which way is better."""

    name: str
    higher_is_better: bool

    def of(self, scores: list[Score]) -> Score | None:
        """Its score among others."""
        return next((one for one in scores if f"{one.benchmark}.{one.metric}" == self.name), None)

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is better than `b`."""
        return a > b if self.higher_is_better else a < b


def metric_of(name: str, scores: list[Score], where: str) -> Metric:
    """The metric called `name`, by what the benchmark scored; raises UserError for none, or one of which
    neither direction is better."""
    known = {f"{one.benchmark}.{one.metric}": one.higher_is_better for one in scores}
    directed = [metric for metric, higher in known.items() if higher is not None]
    if name not in known:
        raise unknown_name("metric of tuning", name, directed, where=where)
    higher = known[name]
    if higher is None:
        raise UserError(
            f"tuning.metric is {name}, of which neither direction is better",
            where=where,
            remedy=f"give one of {', '.join(directed)}",
        )
    return Metric(name, higher)


def trial_of(
    draw: Draw,
    cell: PlannedCell,
    metric: Metric,
    results: Mapping[str, StageResult],
    failed: Mapping[str, FailedStage],
) -> TuningTrial:
    """A trial whose stages have run, or failed, which leaves its costs unknown."""
    score = reason = None
    evaluated = results.get(cell.evaluate or "")
    if evaluated is None:
        broken = next((failed[d] for d in [*cell.stages, cell.evaluate or ""] if d in failed), None)
        reason = "a stage that it needs has no result" if broken is None else f"{broken.name} {broken.cause}"
    else:
        found = metric.of(evaluated.scores)
        score = found.estimate if found is not None else None
        reason = None if score is not None else (found and found.reason) or f"no score {metric.name}"
    trained = [results[digest] for digest in cell.stages if digest in results]
    costs = cell_costs(trained) if len(trained) == len(cell.stages) else {}
    return TuningTrial(
        arm=draw.arm,
        number=draw.number,
        settings=draw.settings,
        score=score,
        reason=reason,
        pruned_at=_pruned_at(results.get(cell.stages[-1])),
        stages=cell.stages,
        evaluate=cell.evaluate,
        seconds=costs.get("cost/wall_seconds"),
        flops=costs.get("cost/flops"),
    )


def _pruned_at(last: StageResult | None) -> float | None:
    ended = None if last is None else last.facts_as(TrainFacts).ended_early
    return None if ended is None else ended.step / ended.steps


def curve_of(root: RunRoot, last: StageResult) -> Curve:
    """The probes of a trial's last stage, by the share of its steps; none where nothing was probed."""
    rows = read_jsonl(root.stage_folder(last.digest) / last.outputs["steps"])
    probes = [(row["step"], float(row["metrics"][METRIC])) for row in rows if METRIC in row["metrics"]]
    ended = last.facts_as(TrainFacts).ended_early
    steps = ended.steps if ended is not None else max((step for step, _ in probes), default=0)
    return [(step / steps, value) for step, value in probes] if steps else []
