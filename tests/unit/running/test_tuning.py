"""The search before a comparison, by stages without a process: what it makes, finds again and chooses."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import ENVIRONMENT, PREPARED, foretold, measured

from harness.errors import OutOfMemory, StageFailed, UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.pipeline.trials import for_trials
from harness.pipeline.tuning_pruning import METRIC
from harness.records import (
    EndedEarly,
    EvaluateFacts,
    RehearseEvaluateFacts,
    RehearseFacts,
    Score,
    StageRequest,
    StageResult,
    TrainFacts,
    TuningRecord,
    TuningTrial,
)
from harness.running import execute, room, tuning
from harness.running.execute import Asked, Execution
from harness.running.room import bytes_of
from harness.running.showing import Showing
from harness.running.status import all_statuses
from harness.running.tracked import trial_run
from harness.running.trial import metric_of
from harness.running.tuning import Search, settings_of
from harness.store.run_dir import RunRoot

BEST = {"sft": 0.003, "dpo": 0.0005, "orpo": 0.004}
FLOPS = {"sft": 1e12, "dpo": 3e12, "orpo": 2e12}


class Killed(BaseException):
    """The command is gone."""


class Machine:
    """Ends every stage at once. A model is as good as its learning rates are near the best ones; every stage
    is probed half way and at its end. After `most` stages the command is killed."""

    def __init__(
        self, root: RunRoot, *, fails: str = "", error: type[StageFailed] = StageFailed, most: int = 10_000
    ) -> None:
        self.root, self.fails, self.error, self.most = root, fails, error, most
        self.ran: list[str] = []
        self.held = 0

    def run_stage(self, folder: Path, *, name: str, **_: Any) -> StageResult:
        if len(self.ran) >= self.most:
            raise Killed
        self.ran.append(name)
        self.held = max(self.held, len(self.weights()))
        asked = self.root.request(folder.name)
        assert asked is not None
        if self.fails and self.fails in name:
            raise self.error(name, cause="diverged at step 3", log_path="log", log_tail="", again=False)
        result = self._result(asked, folder)
        (folder / "result.json").write_text(result.model_dump_json())
        return result

    def weights(self) -> list[Path]:
        return list(self.root.path.glob("stages/*/model"))

    def _result(self, asked: StageRequest, folder: Path) -> StageResult:
        facts: Any = PREPARED
        ledger, scores = [], []
        if asked.kind == "train":
            method, end = asked.config["method"], self._train(asked, folder)
            share = end.step / end.steps if end else 1.0
            facts = TrainFacts(ended_early=end)
            ledger = [
                measured("flops", share * FLOPS[method], "FLOP"),
                measured("wall_seconds", share * FLOPS[method] / 1e12, "s"),
            ]
        elif asked.kind == "evaluate":
            quality = self._quality(asked.inputs.get("model"))
            facts = EvaluateFacts()
            scores = [
                Score(benchmark="preference", metric="accuracy", estimate=quality, n=20),
                Score(benchmark="preference", metric="logp_chosen", estimate=-1, n=20, higher_is_better=None),
            ]
        elif asked.kind == "rehearse_evaluate":
            facts = RehearseEvaluateFacts()
        return StageResult(
            digest=asked.digest,
            attempt=asked.attempt,
            kind=asked.kind,
            name=asked.name,
            seed=asked.seed,
            started_at="2026-01-01T00:00:00+00:00",
            finished_at="2026-01-01T00:00:01+00:00",
            environment=ENVIRONMENT,
            facts=facts,
            ledger=ledger,
            scores=scores,
            outputs={"model": "model", "steps": "steps.jsonl"} if asked.kind == "train" else {},
        )

    def _train(self, asked: StageRequest, folder: Path) -> EndedEarly | None:
        """Writes probes, and obeys the rule of the request as a stage does."""
        method, rate = asked.config["method"], asked.config["config"]["learning_rate"]
        good = 0.9 - 0.2 * abs(math.log10(rate / BEST[method]))
        quality = min(good, self._quality(asked.inputs["model"])) if "model" in asked.inputs else good
        (folder / "quality").write_text(str(quality))
        (folder / "model").mkdir(exist_ok=True)
        rows = [{"step": step, "metrics": {METRIC: quality - 0.1 + step / 100}} for step in (0, 5, 10)]
        least = dict(map(tuple, asked.config.get("end_early", {}).get("least", []))).get(0.5)
        value = rows[1]["metrics"][METRIC]  # type: ignore[index]
        ended = least is not None and value < least
        kept = rows[:2] if ended else rows
        (folder / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))
        return (
            EndedEarly(by="median", step=5, steps=10, value=value, least=least) if ended and least else None
        )

    def _quality(self, folder: str | None) -> float:
        return float((Path(folder) / "quality").read_text()) if folder else 0.5


def search(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *sets: str, said: Any = None, **machine: Any
) -> tuple[Search, Machine]:
    root = RunRoot(folder)
    root.open_for_writing()
    made = Machine(root, **machine)
    monkeypatch.setattr(execute, "run_stage", made.run_stage)
    monkeypatch.setattr(tuning, "resolve", lambda spec: Resolved())
    spec = load_comparison(find_comparison("tuned", model=None), Overrides(sets=sets))
    plan = plan_comparison(spec, Resolved())
    ready = Execution(plan, root, (), offline=True, asked=Asked(spec, Resolved()))
    for digest in plan.rehearsals:
        method = plan.stages[digest].config["job"]["method"]
        told = foretold(flops=FLOPS[method], seconds=FLOPS[method] / 1e12)
        facts = RehearseFacts(prediction=told)
        ready.results[digest] = StageResult.model_construct(facts=facts, kind="rehearse", name="r")
    console = Console(file=said or io.StringIO(), width=200)
    return Search(ready, root, console, showing=Showing(root, console), starter=None), made


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, *sets: str, **more: Any) -> TuningRecord:
    found, _ = search(folder, monkeypatch, *sets, **more)
    found.run()
    return found.record()


def of(record: TuningRecord, arm: str) -> list[TuningTrial]:
    return [trial for trial in record.trials if trial.arm == arm]


def test_every_arm_has_its_trials_and_shared_stages_are_trained_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = io.StringIO()
    found, machine = search(tmp_path, monkeypatch, "tuning.budget.amount=4", said=said)
    found.run()
    record = found.record()
    assert {arm: len(of(record, arm)) for arm in found.trials} == {"sft": 4, "sft_dpo": 4, "orpo": 4}
    trained = Counter(name.partition(" ")[0] for name in machine.ran if "evaluate" not in name)
    assert (trained["sft/sft"] + trained["sft_dpo/sft"], trained["sft_dpo/dpo"], trained["orpo/orpo"]) == (
        4,
        4,
        4,
    )
    for first, second in zip(of(record, "sft"), of(record, "sft_dpo"), strict=True):
        assert first.settings["sft"] == second.settings["sft"]
        assert (first.flops, second.flops) == (1e12, 4e12)
    best = max(of(record, "orpo"), key=lambda trial: trial.score or 0)
    assert record.chosen["orpo"] == best.number
    assert settings_of(record)["orpo"] == best.settings
    assert "trial 3 of 4 of orpo: preference.accuracy 0." in said.getvalue()
    assert "of tuning left" in said.getvalue()
    status = all_statuses(tmp_path)
    assert [(one.name, one.state) for one in status] == [("tuned-trials", "finished")]


@pytest.mark.parametrize("axis", ["flops", "device_seconds"])
def test_budgets_are_equal_within_one_trial(
    axis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    amount = 13e12 if axis == "flops" else 13.0
    record = run(tmp_path, monkeypatch, f"tuning.budget={{axis: {axis}, amount: {amount}}}")
    for arm in record.chosen:
        costs = [trial.flops if axis == "flops" else trial.seconds for trial in of(record, arm)]
        assert abs(sum(cost or 0 for cost in costs) - amount) <= max(cost or 0 for cost in costs) / 2
    # 14 is as near to 13 as 12.
    assert {arm: len(of(record, arm)) for arm in record.chosen} == {"sft": 13, "sft_dpo": 3, "orpo": 7}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
@pytest.mark.parametrize("pruner", ["none", "median"])
def test_a_killed_search_goes_on_to_the_same_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sampler: str, pruner: str
) -> None:
    sets = ("tuning.budget.amount=13", f"tuning.sampler={sampler}", f"tuning.pruner={pruner}")
    whole, machine = search(tmp_path / "whole", monkeypatch, *sets)
    whole.run()
    half = len(machine.ran) * 2 // 3
    with pytest.raises(Killed):
        run(tmp_path / "killed", monkeypatch, *sets, most=half)
    again, rest = search(tmp_path / "killed", monkeypatch, *sets)
    again.run()
    assert again.record() == whole.record()
    assert len(rest.ran) == len(machine.ran) - half


def test_pruned_trials_are_charged_what_they_used_and_never_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(tmp_path, monkeypatch, "tuning.pruner=median")
    pruned = [trial for trial in record.trials if trial.pruned_at is not None]
    assert pruned
    assert all(trial.number > 5 for trial in pruned)
    assert all(trial.pruned_at == 0.5 for trial in pruned)
    orpo = [trial for trial in pruned if trial.arm == "orpo"]
    assert {trial.flops for trial in orpo} == {1e12}
    # Of DPO alone half was done: the SFT before it ran to its end.
    assert {trial.flops for trial in pruned if trial.arm == "sft_dpo"} <= {2.5e12}
    assert not {(t.arm, t.number) for t in pruned} & set(record.chosen.items())


@pytest.mark.parametrize("error", [StageFailed, OutOfMemory])
def test_a_trial_that_fails_says_why_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[StageFailed]
) -> None:
    record = run(tmp_path, monkeypatch, "tuning.budget.amount=3", fails="orpo of trial 2", error=error)
    failed = of(record, "orpo")[1]
    assert failed.score is None
    assert failed.reason == "orpo/orpo of trial 2 diverged at step 3"
    assert failed.flops is None
    assert len(record.trials) == 9
    assert record.chosen["orpo"] in (1, 3)


def test_an_arm_whose_trials_all_fail_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StageFailed, match=r"tuning of orpo failed: no trial came to its end; .* diverged"):
        run(tmp_path, monkeypatch, "tuning.budget.amount=2", fails="orpo/orpo")


def test_a_budget_below_one_trial_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"one trial of sft_dpo should take 4e\+12; give more of it"):
        run(tmp_path, monkeypatch, "tuning.budget={axis: flops, amount: 1.0e+12}")


def test_weights_go_when_no_trial_can_start_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 8 rounds the 8 SFT models stay to the end, of DPO and ORPO those of one round."""
    found, machine = search(tmp_path, monkeypatch, "tuning.budget.amount=8")
    found.run()
    assert len([name for name in machine.ran if "of trial" in name and "evaluate" not in name]) == 24
    assert machine.held == 8 + 2
    assert machine.weights() == []
    again, rest = search(tmp_path, monkeypatch, "tuning.budget.amount=8")
    again.run()
    assert rest.ran == []
    assert again.record() == found.record()


@pytest.mark.parametrize(
    ("sets", "held"),
    [
        ([], 3 + 8),
        (["tuning.space.sft={}", "arms=[sft_dpo, orpo]", "baseline=orpo", "questions=[]"], 2 + 1),
    ],
)
def test_a_search_that_does_not_fit_the_disk_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[str], held: int
) -> None:
    """The last stages of one round, and what DPO starts from: as often as SFT is tried, or once."""
    found, machine = search(tmp_path, monkeypatch, "tuning.budget.amount=8", *sets)
    free = held * bytes_of(foretold()) - 1
    monkeypatch.setattr(room, "free_bytes", lambda _: free)
    with pytest.raises(UserError, match="the weights that a search holds at once need"):
        found.run()
    assert not [name for name in machine.ran if "trial" in name]
    monkeypatch.setattr(room, "free_bytes", lambda _: free + 2)
    found.run()


def test_an_unknown_metric_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, machine = search(tmp_path, monkeypatch, "tuning.metric=preference.acuracy")
    with pytest.raises(UserError, match=r'unknown metric of tuning "preference.acuracy"; did you mean "pref'):
        found.run()
    assert not [name for name in machine.ran if "trial" in name]


def test_a_metric_without_a_direction_is_refused() -> None:
    score = Score(benchmark="preference", metric="logp_chosen", estimate=-1, n=1, higher_is_better=None)
    with pytest.raises(UserError, match=r"of which neither direction is better"):
        metric_of("preference.logp_chosen", [score], "tuning.metric")


def test_trials_train_on_a_seed_and_pairs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(tmp_path, monkeypatch, "tuning.budget.amount=1")
    spec = load_comparison(find_comparison("tuned", model=None), Overrides(tuned=settings_of(record)))
    compared = plan_comparison(spec, Resolved())
    tried = {digest for trial in record.trials for digest in [*trial.stages, trial.evaluate]}
    assert not tried & set(compared.stages)
    assert for_trials(spec).seeds == [1000]
    orpo = next(cell for cell in compared.cells if cell.arm == "orpo")
    config = compared.stages[orpo.stages[0]].config["config"]
    assert {key: config[key] for key in ("learning_rate", "lambda")} == settings_of(record)["orpo"]["orpo"]


def test_trackers_are_told_of_every_trial() -> None:
    settings: Any = {"dpo": {"beta": 0.2}}
    good = TuningTrial(arm="sft_dpo", number=3, settings=settings, score=0.8, seconds=4.0, flops=1e12)
    told = trial_run("c", good, "preference.accuracy", 7)
    assert (told.run.key, told.run.kind, told.run.parent) == ("sft_dpo trial 3", "trial", "")
    assert told.run.settings == {"arm": "sft_dpo", "trial": 3, "dpo.beta": 0.2}
    assert told.points[0].values == {
        "tuning/preference.accuracy": 0.8,
        "cost/wall_seconds": 4.0,
        "cost/flops": 1e12,
    }
    assert told.ended.status == "finished"
    failed = good.model_copy(update={"score": None, "reason": "diverged"})
    ended = trial_run("c", failed, "preference.accuracy", 7).ended
    assert (ended.status, ended.reason) == ("failed", "diverged")
