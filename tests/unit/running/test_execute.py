"""Which stages run: what is finished is reused, and what did not fit at its time is tried again."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import ENVIRONMENT, foretold

from harness.errors import StageFailed, UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.resolved import Resolved
from harness.records import Plan, PlannedStage, RehearseFacts, StageKind, StageResult
from harness.running import execute, ready
from harness.running.course import Course
from harness.running.execute import Asked, Execution
from harness.running.forecast import check_memory
from harness.running.listing import list_stages
from harness.running.progress import Terminal
from harness.store.run_dir import RunRoot

FULL = RehearseFacts(out_of_memory=True)
FITS = RehearseFacts(prediction=foretold())
SETTINGS = {"micro_batch_size": 2, "gradient_checkpointing": True, "lora": {"r": 16}, "quantization": "none"}


def stage(name: str, kind: StageKind = "rehearse", **needs: str) -> PlannedStage:
    config = {"stage": name, "arms": ["sft_dpo"], "job": {"config": SETTINGS}}
    return PlannedStage(digest=name, kind=kind, name=f"{kind} {name}", seed=0, config=config, needs=needs)


def chain() -> Plan:
    """LoRA: the rehearsal of DPO goes on from the adapters of that of SFT."""
    stages = [stage("sft"), stage("dpo", model="sft"), stage("orpo")]
    order = [one.digest for one in stages]
    return Plan(
        id="p",
        name="p",
        spec={},
        stages={one.digest: one for one in stages},
        cells=[],
        order=order,
        prepare="prepare",
        rehearsals=order,
    )


class Machine:
    """Runs rehearsals without a process; `facts` says what each finds out now."""

    def __init__(self, root: RunRoot, facts: Callable[[str], RehearseFacts]) -> None:
        self.root, self.facts = root, facts
        self.ran: list[str] = []

    def run_stage(self, folder: Path, **_: Any) -> StageResult:
        digest = folder.name
        self.ran.append(digest)
        asked = self.root.request(digest)
        assert asked is not None
        result = StageResult(
            digest=digest,
            attempt=asked.attempt,
            kind="rehearse",
            name=f"rehearse {digest}",
            seed=0,
            started_at="2026",
            finished_at="2026",
            environment=ENVIRONMENT,
            facts=self.facts(digest),
        )
        (folder / "result.json").write_text(result.model_dump_json())
        return result


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    machine = Machine(root, lambda digest: FITS)
    monkeypatch.setattr(execute, "run_stage", machine.run_stage)
    return machine


def executed(machine: Machine, **settings: Any) -> tuple[Execution, str]:
    """The chain's rehearsals run or reused, and what the console heard."""
    heard = io.StringIO()
    plan = chain()
    course = Course(plan, {})
    watchers = [course, Terminal(Console(file=heard, width=200), course)]
    execution = Execution(plan, machine.root, watchers, offline=True, **settings)
    execution.run(execution.plan.rehearsals)
    return execution, heard.getvalue()


def test_what_fitted_is_reused(machine: Machine) -> None:
    executed(machine)
    _, heard = executed(machine)
    assert machine.ran == ["sft", "dpo", "orpo"]
    assert heard.count("reused") == 3


def test_a_stage_that_is_to_run_again_is_told_to_measure_anew(machine: Machine) -> None:
    executed(machine, anew={"dpo"})
    asked = [machine.root.request(digest) for digest in ("sft", "dpo", "orpo")]
    assert [one.anew for one in asked if one is not None] == [False, True, False]


def test_what_did_not_fit_is_tried_again_by_the_next_command(machine: Machine) -> None:
    machine.facts = lambda digest: FULL if digest == "orpo" else FITS
    execution, _ = executed(machine)
    assert ready.too_large(execution)
    machine.facts = lambda digest: FITS
    execution, heard = executed(machine)
    assert machine.ran == ["sft", "dpo", "orpo", "orpo"]
    assert "rehearse orpo: did not fit last time, trying again" in heard
    assert not ready.too_large(execution)
    assert set(ready.predictions(execution)) == {"sft", "dpo", "orpo"}


def test_within_one_command_it_is_tried_once(machine: Machine) -> None:
    machine.facts = lambda digest: FULL
    tried: set[str] = set()
    executed(machine, tried=tried)
    executed(machine, tried=tried)
    assert machine.ran == ["sft", "orpo"]


def test_a_chain_whose_first_stage_did_not_fit_ends_in_the_remedy(machine: Machine) -> None:
    """The rehearsal of DPO needs the adapters that the one of SFT did not leave."""
    machine.facts = lambda digest: FULL if digest == "sft" else FITS
    execution, heard = executed(machine)
    assert machine.ran == ["sft", "orpo"]
    assert "rehearse dpo: left out, since rehearse sft did not fit" in heard
    assert ready.too_large(execution)
    assert set(ready.predictions(execution)) == {"orpo"}
    with pytest.raises(UserError, match=r"stage sft does not fit .*micro_batch_size=1 or .*4bit"):
        check_memory(execution)


def test_a_plan_shows_what_did_not_fit_as_still_to_run(machine: Machine) -> None:
    machine.facts = lambda digest: FULL if digest == "orpo" else FITS
    executed(machine)
    states = {one.name: one.state for one in list_stages(chain(), machine.root).stages}
    assert states == {"rehearse sft": "finished", "rehearse dpo": "finished", "rehearse orpo": "to run"}


def failing(machine: Machine, *digests: str) -> list[str]:
    """Run the chain where these stages crash, and go on; what the console heard, by line."""

    def crash(folder: Path, **settings: Any) -> StageResult:
        if folder.name in digests:
            raise StageFailed(folder.name, cause="diverged at step 3", log_path="log.txt", log_tail="")
        return machine.run_stage(folder, **settings)

    heard = io.StringIO()
    plan = chain()
    course = Course(plan, {})
    watchers = [course, Terminal(Console(file=heard, width=200), course)]
    execution = Execution(plan, machine.root, watchers, offline=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "run_stage", crash)
        execution.run(plan.rehearsals, go_on=True)
    assert set(execution.failed) == set(digests)
    assert course.status().failed == tuple(f"rehearse {one} diverged at step 3" for one in digests)
    return heard.getvalue().splitlines()


def test_what_fails_takes_along_what_goes_on_from_it_and_nothing_else(machine: Machine) -> None:
    lines = failing(machine, "sft")
    assert machine.ran == ["orpo"]
    assert re.search(r"rehearse sft: failed after \d s: diverged at step 3 \(log: log\.txt\)", lines[0])
    assert lines[1].endswith("rehearse dpo: left out, since rehearse sft failed")


def test_what_failed_runs_again_in_the_next_command(machine: Machine) -> None:
    failing(machine, "dpo")
    executed(machine)
    assert machine.ran == ["sft", "orpo", "dpo"]


@pytest.mark.parametrize(("helps", "runs"), [(True, 3), (False, 1)])
def test_a_stage_is_tried_again_as_often_as_allowed_where_that_may_help(
    machine: Machine, helps: bool, runs: int
) -> None:
    spec = load_comparison(find_comparison("embedded", model=None), Overrides(sets=("stage_retries=2",)))
    ran: list[str] = []

    def crash(folder: Path, **_: Any) -> StageResult:
        ran.append(folder.name)
        raise StageFailed("sft", cause="ended by SIGKILL", log_path="log.txt", log_tail="", again=helps)

    asked = Asked(spec, Resolved())
    execution = Execution(chain(), machine.root, [], offline=True, asked=asked)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "run_stage", crash)
        execution.run(["orpo"], go_on=True)
    assert ran == ["orpo"] * runs
    assert list(execution.failed) == ["orpo"]


def test_a_stage_that_succeeds_when_it_is_tried_again_has_not_failed() -> None:
    plan = chain()
    course = Course(plan, {})
    crashed = StageFailed("orpo", cause="ended by SIGKILL", log_path="log.txt", log_tail="")
    course.begins(plan.stages["orpo"])
    course.ends(plan.stages["orpo"], crashed)
    assert course.status().failed == ("rehearse orpo ended by SIGKILL",)
    course.begins(plan.stages["orpo"])
    assert course.status().failed == ()
