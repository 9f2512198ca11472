"""The search before a comparison: trials of every arm, round by round, until each has used its budget.

A round is one trial of each arm that goes on. What comes next follows from the finished trials alone, and
their stages are found by digest, so that the same command goes on after an interruption, and trials that
share a stage train it once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

from rich.console import Console

from harness.errors import StageFailed, UserError
from harness.pipeline.covers import digest_of
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ArmSpec, ComparisonSpec
from harness.pipeline.trials import Draw, for_trials, plan_trials
from harness.pipeline.tuning_budget import goes_on, trials_left
from harness.pipeline.tuning_draws import Drawn, draw_trial, space_of
from harness.pipeline.tuning_pruning import Curve, end_rule
from harness.pipeline.tuning_spec import TuningSpec
from harness.pipeline.tuning_tpe import check_installed, draw_by_tpe
from harness.records import Plan, StageResult, TuningRecord, TuningTrial
from harness.running.execute import Asked, Execution
from harness.running.ready import predictions
from harness.running.resolve import is_local, resolve
from harness.running.reusable import reusable
from harness.running.showing import Showing
from harness.running.trial import Metric, curve_of, metric_of, trial_of
from harness.running.trial_room import TrialRoom
from harness.running.trials_shown import TrialCourse, print_trial
from harness.stages.starting import Starter
from harness.store.run_dir import RunRoot


def tune(
    ready: Execution, root: RunRoot, console: Console, *, showing: Showing, starter: Starter | None
) -> TuningRecord:
    """Search the settings of every arm of a comparison that is rehearsed; raises UserError for a metric that
    is none and a budget below one trial, StageFailed where no trial of an arm came to its end."""
    search = Search(ready, root, console, showing=showing, starter=starter)
    search.run()
    return search.record()


def settings_of(record: TuningRecord) -> dict[str, Drawn]:
    """The settings of each arm's best trial."""
    best = [trial for trial in record.trials if record.chosen.get(trial.arm) == trial.number]
    return {trial.arm: trial.settings for trial in best}


class Search:
    """The trials so far, and what of each arm comes next."""

    def __init__(
        self,
        ready: Execution,
        root: RunRoot,
        console: Console,
        *,
        showing: Showing,
        starter: Starter | None,
    ) -> None:
        self.spec: ComparisonSpec = for_trials(ready.asked.spec)
        assert self.spec.tuning is not None
        self.tuning: TuningSpec = self.spec.tuning
        if self.tuning.sampler == "tpe":
            check_installed()
        self._resolved: Resolved = resolve(self.spec)
        self._id = f"{self.spec.name}-{digest_of(self.spec.model_dump(mode='json', by_alias=True))[:10]}"
        self._root, self._console, self._showing, self._starter = root, console, showing, starter
        self._foretold = _foretold(ready)
        self._room: TrialRoom = TrialRoom(ready, self.tuning, root)
        self._has_room = False
        self._results: dict[str, StageResult] = {}
        self.trials: dict[str, list[TuningTrial]] = {arm.name: [] for arm in self.spec.arms}
        self._curves: dict[str, dict[int, Curve]] = {arm.name: {} for arm in self.spec.arms}
        self._metric: Metric | None = None
        self._began_at, self._made, self._seconds = datetime.now(UTC).isoformat(), 0, 0.0

    def run(self) -> None:
        """Round by round; the base model is scored first, which shows that the metric is one."""
        title = f"Tuning {', '.join(self.trials)}: {self.tuning.in_words()}."
        self._console.print(title, highlight=False, soft_wrap=True)
        for arm in self.trials:
            if not self._goes_on(arm):
                raise self._too_little(arm)
        self._execute([])
        while draws := [self._draw(arm) for arm in self.spec.arms if self._goes_on(arm.name)]:
            self._execute(draws)
        self._room.close()
        self._showing.ends_search()

    def record(self) -> TuningRecord:
        """All trials, and the best of each arm; raises StageFailed where an arm has none."""
        chosen = {}
        for arm, trials in self.trials.items():
            best = self._best(arm)
            if best is None:
                raise StageFailed(
                    f"tuning of {arm}",
                    cause=f"no trial came to its end; the last: {trials[-1].reason}",
                    log_path=str(self._root.path),
                    log_tail="",
                    again=False,
                )
            chosen[arm] = best.number
        return TuningRecord(
            metric=self.tuning.metric,
            higher_is_better=self.metric.higher_is_better,
            sampler=self.tuning.sampler,
            pruner=self.tuning.pruner,
            axis=self.tuning.budget.axis,
            amount=self.tuning.budget.amount,
            seed=self.tuning.seed,
            space=self.tuning.space_as_written(),
            trials=[trial for trials in self.trials.values() for trial in trials],
            chosen=chosen,
        )

    @property
    def metric(self) -> Metric:
        """What trials are compared by, once the base model is scored."""
        assert self._metric is not None
        return self._metric

    def _goes_on(self, arm: str) -> bool:
        budget = self.tuning.budget
        return goes_on(self.trials[arm], budget.axis, budget.amount, self._foretold[arm][budget.axis])

    def _left(self, arm: str) -> int:
        budget = self.tuning.budget
        return trials_left(self.trials[arm], budget.axis, budget.amount, self._foretold[arm][budget.axis])

    def _draw(self, arm: ArmSpec) -> Draw:
        """What the arm tries next, by its earlier trials."""
        tuning, earlier, number = self.tuning, self.trials[arm.name], len(self.trials[arm.name]) + 1
        space = space_of(tuning.space, arm)
        if tuning.sampler == "tpe":
            higher = self.metric.higher_is_better
            settings = draw_by_tpe(space, earlier, seed=tuning.seed, number=number, higher_is_better=higher)
        else:
            settings = draw_trial(space, seed=tuning.seed, number=number)
        return Draw(arm.name, number, settings, end_rule(tuning.pruner, self._curves[arm.name], number))

    def _execute(self, draws: list[Draw]) -> None:
        """Run, or find, the stages of one round."""
        began = time.monotonic()
        plan = plan_trials(self.spec, self._resolved, draws, run_id=self._id)
        self._check_room(plan)
        course = partial(TrialCourse, seconds_left=self._seconds_left)
        execution = Execution(
            plan,
            self._root,
            self._showing.watch(plan, course=course),
            offline=is_local(self.spec),
            asked=Asked(self.spec, self._resolved),
            starter=self._starter,
            halves=False,
        )
        execution.results.update({d: r for d, r in self._results.items() if d in plan.stages})
        execution.run([digest for digest in plan.order if digest not in execution.results], go_on=bool(draws))
        self._results |= execution.results
        if self._metric is None:
            scored = self._results[plan.base_evaluate or ""].scores
            self._metric = metric_of(self.tuning.metric, scored, "tuning.metric")
        if any(one.finished_at > self._began_at for one in execution.results.values()):
            self._made += len(draws)
            self._seconds += (time.monotonic() - began) if draws else 0.0
        noted = [self._noted(draw, plan, execution) for draw in draws]
        self._room.after(plan, execution.results)
        for trial in noted:
            best, left = self._best(trial.arm), self._left(trial.arm)
            seconds = self._seconds_left()
            print_trial(self._console, trial, self.metric, best, left=left, seconds_left=seconds)

    def _check_room(self, plan: Plan) -> None:
        """Once, when the first trial is about to be made: what earlier commands made lies on the disk."""
        new = any(reusable(self._root, plan, d) is None for cell in plan.cells for d in cell.stages)
        if new and not self._has_room:
            self._room.check({arm: self._left(arm) for arm in self.trials})
            self._has_room = True

    def _noted(self, draw: Draw, plan: Plan, execution: Execution) -> TuningTrial:
        cell = next(one for one in plan.cells if one.arm == draw.arm)
        trial = trial_of(draw, cell, self.metric, execution.results, execution.failed)
        self.trials[draw.arm].append(trial)
        if cell.stages[-1] in execution.results:
            last = execution.results[cell.stages[-1]]
            self._curves[draw.arm][draw.number] = curve_of(self._root, last)
        return trial

    def _best(self, arm: str) -> TuningTrial | None:
        """The first of the best trials that ran to their end."""
        best = None
        for trial in self.trials[arm]:
            whole = trial.score is not None and trial.pruned_at is None
            if whole and (best is None or self.metric.better(_score(trial), _score(best))):
                best = trial
        return best

    def _seconds_left(self) -> float:
        """By the rounds that this command has made; before the first, by what rehearsals foretold."""
        left = {arm: self._left(arm) for arm in self.trials}
        if not self._made:
            return sum(count * self._foretold[arm]["device_seconds"] for arm, count in left.items())
        return self._seconds / self._made * sum(left.values())

    def _too_little(self, arm: str) -> UserError:
        axis = self.tuning.budget.axis
        return UserError(
            f"tuning.budget is {self.tuning.budget.amount:g} {axis}, and one trial of {arm} should take "
            f"{self._foretold[arm][axis]:.3g}",
            where="tuning.budget",
            remedy="give more of it, or count trials (axis: trials)",
        )


def _score(trial: TuningTrial) -> float:
    assert trial.score is not None
    return trial.score


def _foretold(ready: Execution) -> Mapping[str, Mapping[str, float]]:
    """What one trial of each arm should take on each axis, by the rehearsals of its stages."""
    told = {arm.name: {"trials": 1.0, "flops": 0.0, "device_seconds": 0.0} for arm in ready.asked.spec.arms}
    for digest, prediction in predictions(ready).items():
        config = ready.plan.stages[digest].config
        for arm in config["arms"]:
            told[arm]["flops"] += prediction.flops
            told[arm]["device_seconds"] += prediction.seconds
    return told
