"""Units on several devices: what is told of them, what follows from a lost one, what comes out."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from synthetic import ENVIRONMENT

from harness.errors import Interrupted, JobsLeft, OutOfMemory, StageFailed, UserError
from harness.executors import Job, JobState, Place
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.resolved import Resolved
from harness.records import Plan, PlannedCell, PlannedStage, RehearseFacts, StageKind, StageResult
from harness.running import execute, spread, worker
from harness.running.execute import Asked
from harness.running.spread import Spread
from harness.running.unit_files import Events, Tail, as_json, error_of, forget_units, read_order
from harness.running.worker import execution_of
from harness.stages.starting import FreshProcess
from harness.store.run_dir import RunRoot

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides())
PLACES = [Place("a", "cpu:x:1", "core 0"), Place("b", "cpu:x:1", "core 1")]


def stage(name: str, kind: StageKind, **needs: str) -> PlannedStage:
    return PlannedStage(digest=name, kind=kind, name=f"stage {name}", seed=0, config={}, needs=needs)


def two_blocks() -> Plan:
    """Data, then for each of two seeds a training stage and one that goes on from it."""
    trained = [(f"first{i}", f"second{i}") for i in (0, 1)]
    stages = [stage("prepare", "prepare")]
    for first, second in trained:
        stages += [stage(first, "train", prepared="prepare"), stage(second, "train", model=first)]
    return Plan(
        id="run",
        name="run",
        spec={**SPEC.model_dump(mode="json", by_alias=True), "seeds": [0, 1]},
        stages={one.digest: one for one in stages},
        cells=[PlannedCell(arm="a", seed=i, stages=[*pair], evaluate=None) for i, pair in enumerate(trained)],
        order=[one.digest for one in stages],
        prepare="prepare",
    )


class Log:
    """A watcher that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def says(self, stage: PlannedStage, text: str) -> None:
        self.told.append(("says", stage.digest, text))

    def begins(self, stage: PlannedStage) -> None:
        self.told.append(("begins", stage.digest))

    def hears(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        if message:
            self.told.append(("hears", stage.digest, message))

    def ends(self, stage: PlannedStage, outcome: StageResult | BaseException) -> None:
        self.told.append(("ends", stage.digest, type(outcome).__name__))


class Done:
    """A job that is over as soon as it is started, in one of several ways."""

    def __init__(self, state: JobState, place: Place, *, found: bool = False) -> None:
        self._state, self._place, self.found = state, place, found

    def told(self) -> str | None:
        return None

    def state(self) -> JobState:
        return self._state

    def place(self) -> Place:
        return self._place

    def stop(self) -> None:
        self._state = "lost"


class EndsWhenAsked(Done):
    """A job of an earlier command that still runs, and is over when its state is asked for again."""

    def __init__(self, unit: Path) -> None:
        super().__init__("running", PLACES[0], found=True)
        self._unit = unit

    def state(self) -> JobState:
        before = super().state()
        if before == "running":
            order, plan = read_order(self._unit)
            events = Events(self._unit)
            execution_of(order, plan, events, FreshProcess()).run(order.stages, go_on=True)
            events.over({}, None)
            self._state = "finished"
        return before


class Here:
    """An executor that does the worker's work in this process.

    `loses` names units to lose in their last stage, as often as they stand there; `hangs` those to hang. With
    `lasting` its jobs outlive a command, and `queue` holds those of an earlier one by name.
    """

    def __init__(
        self,
        *,
        loses: Sequence[str] = (),
        hangs: Sequence[str] = (),
        lasting: bool = False,
        waits: bool = True,
        queue: Mapping[str, Done] = MappingProxyType({}),
    ) -> None:
        self.loses, self.hangs, self.started = list(loses), hangs, list[Job]()
        self.lasting, self.waits, self.queue, self.left = lasting, waits, queue, False
        self.made: dict[str, Done] = {}

    def holds(self, folder: Path) -> bool:
        return False

    def leave(self) -> list[str]:
        self.left = True
        return sorted(name for name, job in self.made.items() if job.state() == "running")

    def places(self) -> Sequence[Place]:
        return PLACES

    def start(self, job: Job) -> Done:
        self.started.append(job)
        order, plan = read_order(job.folder)
        events, place = Events(job.folder), PLACES[len(self.started) % 2]
        if job.name in self.loses:
            self.loses.remove(job.name)
            events.begins(plan.stages[order.stages[-1]])
            state: JobState = "lost"
        elif job.name in self.queue:
            self.made[job.name] = self.queue[job.name]
            return self.made[job.name]
        elif job.name in self.hangs:
            events.begins(plan.stages[order.stages[0]])
            state = "running"
        else:
            state = self._work(events, job)
        self.made[job.name] = Done(state, place)
        return self.made[job.name]

    def _work(self, events: Events, job: Job) -> JobState:
        order, plan = read_order(job.folder)
        execution, error = execution_of(order, plan, events, FreshProcess()), None
        try:
            execution.run(order.stages, go_on=order.go_on)
        except (UserError, StageFailed, Interrupted) as stopped:
            error = stopped
        events.over(execution.failed, error)
        return "failed" if error else "finished"

    def close(self) -> None:
        """Nothing is left."""


class Machine:
    """Stands in for the stages' processes; `breaks` raises in the stages that it is to."""

    def __init__(self, root: RunRoot) -> None:
        self.root, self.ran = root, list[str]()
        self.breaks: dict[str, BaseException] = {}

    def run_stage(self, folder: Path, *, listen: Callable[[dict[str, Any]], None], **_: Any) -> StageResult:
        asked = self.root.request(folder.name)
        assert asked is not None
        self.ran.append(folder.name)
        listen({})
        listen({"phase": "train"})
        if folder.name in self.breaks:
            raise self.breaks[folder.name]
        result = StageResult(
            digest=folder.name,
            attempt=asked.attempt,
            kind=asked.kind,
            name=asked.name,
            seed=0,
            started_at="2026",
            finished_at="2026",
            environment=ENVIRONMENT,
            facts=RehearseFacts(),
        )
        (folder / "result.json").write_text(result.model_dump_json())
        return result


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    machine = Machine(root)
    monkeypatch.setattr(execute, "run_stage", machine.run_stage)
    monkeypatch.setattr(spread, "POLL_SECONDS", 0.001)
    return machine


def spread_over(machine: Machine, executor: Here, *watchers: Log) -> Spread:
    asked = Asked(SPEC, Resolved(device="cpu:x:1", environment={"OMP_NUM_THREADS": "1"}))
    return Spread(two_blocks(), machine.root, list(watchers), offline=True, asked=asked, executor=executor)


def test_each_block_is_a_job_and_the_driver_is_told_of_every_stage(machine: Machine) -> None:
    executor, log = Here(), Log()
    execution = spread_over(machine, executor, log)
    execution.run(execution.plan.order, go_on=True)
    assert [job.name for job in executor.started] == ["prepare", "train seed 0", "train seed 1"]
    assert list(execution.results) == execution.plan.order
    of_one = [told for told in log.told if told[1] == "second1"]
    assert of_one == [
        ("begins", "second1"),
        ("hears", "second1", {"place": "b, core 1"}),
        ("hears", "second1", {"phase": "train"}),
        ("ends", "second1", "StageResult"),
    ]
    job = executor.started[-1]
    assert job.environment["OMP_NUM_THREADS"] == "1"
    assert job.command[1:3] == ("-m", "harness.running.worker")
    assert not (machine.root.path / "units").exists()


def test_a_job_looks_where_the_command_was_told_to_and_asks_no_network(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `--offline FOLDER` set here is not in the environment of a node's own processes."""
    monkeypatch.setenv("HF_HUB_CACHE", "/shared/fetched/hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    executor = Here()
    spread_over(machine, executor).run(["prepare"])
    told = executor.started[0].environment
    assert (told["HF_HUB_CACHE"], told["HF_HUB_OFFLINE"]) == ("/shared/fetched/hub", "1")


def test_what_is_finished_starts_no_job(machine: Machine) -> None:
    first = spread_over(machine, Here())
    first.run(first.plan.order)
    executor, log = Here(), Log()
    second = spread_over(machine, executor, log)
    second.run(second.plan.order)
    assert executor.started == []
    assert {told[2] for told in log.told} == {"reused, finished 2026Z"}
    assert list(second.results) == second.plan.order


def test_a_lost_unit_starts_again_and_runs_nothing_twice(machine: Machine) -> None:
    """The first attempt was in the second stage of the block; the first stage had been finished before."""
    before = spread_over(machine, Here())
    before.run(["prepare", "first0"])
    executor, log = Here(loses=["train seed 0"]), Log()
    execution = spread_over(machine, executor, log)
    execution.run(execution.plan.order, go_on=True)
    assert sorted(machine.ran) == sorted(execution.plan.order)
    assert [told[0] for told in log.told if told[1] == "second0"] == [
        *("begins", "hears", "ends"),
        *("begins", "hears", "hears", "ends"),
    ]
    assert ("ends", "second0", "Interrupted") in log.told
    assert ("says", "first0", "its worker was lost on b, core 1; train seed 0 starts again") in log.told


def test_a_unit_that_is_lost_every_time_fails(machine: Machine) -> None:
    execution = spread_over(machine, Here(loses=["train seed 0"] * 4))
    with pytest.raises(StageFailed, match=r"its worker was lost on .*, for the 4th time"):
        execution.run(execution.plan.order, go_on=True)


def test_a_stage_that_fails_takes_its_block_alone(machine: Machine) -> None:
    machine.breaks = {"first0": StageFailed("stage first0", cause="broke", log_path="l", log_tail="")}
    log = Log()
    execution = spread_over(machine, Here(), log)
    execution.run(execution.plan.order, go_on=True)
    assert execution.failed["first0"].cause == "broke"
    assert set(execution.results) == {"prepare", "first1", "second1"}
    assert ("says", "second0", "left out, since stage first0 failed") in log.told


@pytest.mark.parametrize(
    "error",
    [
        UserError("no key", remedy="give one", where="judge"),
        StageFailed("stage prepare", cause="broke", log_path="l", log_tail="t", again=False),
        OutOfMemory("stage prepare", cause="full", log_path="l", log_tail=""),
    ],
)
def test_what_stops_a_unit_stops_the_comparison_as_on_one_device(machine: Machine, error: Exception) -> None:
    machine.breaks = {"prepare": error}
    execution = spread_over(machine, Here())
    with pytest.raises(type(error)) as raised:
        execution.run(execution.plan.order)
    assert str(raised.value) == str(error)
    assert type(raised.value) is type(error)


def test_ctrl_c_stops_all_workers_and_ends_their_stages(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor, log = Here(hangs=["train seed 0", "train seed 1"]), Log()
    execution = spread_over(machine, executor, log)

    def pressed(seconds: float) -> None:
        if "train seed 1" in executor.made:
            raise KeyboardInterrupt

    monkeypatch.setattr(spread.time, "sleep", pressed)
    with pytest.raises(Interrupted):
        execution.run(execution.plan.order, go_on=True)
    assert [executor.made[f"train seed {seed}"].state() for seed in (0, 1)] == ["lost", "lost"]
    ended = [told[1:] for told in log.told if told[0] == "ends" and told[1] != "prepare"]
    assert ended == [("first0", "Interrupted"), ("first1", "Interrupted")]


def test_a_worker_that_others_interrupt_is_a_lost_one(machine: Machine) -> None:
    """A scheduler asks a worker to end; the comparison was not asked."""
    executor = Here()
    machine.breaks = {"second1": Interrupted("stage second1")}
    run_stage = machine.run_stage

    def once(folder: Path, **settings: Any) -> StageResult:
        try:
            return run_stage(folder, **settings)
        finally:
            machine.breaks.pop(folder.name, None)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execute, "run_stage", once)
        execution = spread_over(machine, executor)
        execution.run(execution.plan.order, go_on=True)
    assert [job.name for job in executor.started].count("train seed 1") == 2
    assert machine.ran.count("first1") == 1
    assert set(execution.results) == set(execution.plan.order)


def test_jobs_that_last_are_left_by_ctrl_c_and_found_by_the_next_command(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Here(hangs=["train seed 1"], lasting=True)

    def pressed(seconds: float) -> None:
        if "train seed 1" in first.made:
            raise KeyboardInterrupt

    execution = spread_over(machine, first)
    with monkeypatch.context() as patch:
        patch.setattr(spread.time, "sleep", pressed)
        with pytest.raises(JobsLeft, match=r"1 job\(s\) go on.*train seed 1.*harness collect run"):
            execution.run(execution.plan.order, go_on=True)
    assert first.left
    (unit,) = machine.root.path.glob("units/run/train_seed_1-*")
    Events(unit).says(execution.plan.stages["second1"], "told before")
    log = Log()
    second = Here(lasting=True, queue={"train seed 1": EndsWhenAsked(unit)})
    again = spread_over(machine, second, log)
    again.run(again.plan.order, go_on=True)
    assert set(again.results) == set(again.plan.order)
    assert machine.ran.count("second1") == 1
    assert ("says", "second1", "told before") in log.told
    assert ("ends", "second1", "StageResult") in log.told


def test_a_command_that_is_not_to_wait_leaves_once_all_is_handed_over(machine: Machine) -> None:
    executor = Here(hangs=["train seed 0"], lasting=True, waits=False)
    execution = spread_over(machine, executor)
    with pytest.raises(JobsLeft, match="train seed 0"):
        execution.run(execution.plan.order, go_on=True)
    assert "train seed 1" in executor.made
    assert executor.left


def test_what_a_killed_command_left_goes(tmp_path: Path) -> None:
    (tmp_path / "units" / "run.0" / "0-prepare").mkdir(parents=True)
    (tmp_path / "stages").mkdir()
    forget_units(tmp_path, lambda unit: unit.name == "0-prepare")
    assert (tmp_path / "units" / "run.0" / "0-prepare").is_dir()
    forget_units(tmp_path, lambda unit: False)
    forget_units(tmp_path, lambda unit: False)
    assert [path.name for path in tmp_path.iterdir()] == ["stages"]


def test_half_a_line_waits_and_a_cut_one_is_left_out(tmp_path: Path) -> None:
    tail, one = Tail(tmp_path), stage("s", "train")
    assert tail.read() == []
    Events(tmp_path).says(one, "first")
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"event": "says", "stage"')
    assert [event["text"] for event in tail.read()] == ["first"]
    assert tail.read() == []
    Events(tmp_path).says(one, "after the worker was killed")
    assert [event["text"] for event in tail.read()] == ["after the worker was killed"]


def test_an_error_that_no_one_foresaw_is_a_failure_of_the_unit(tmp_path: Path) -> None:
    said = as_json(ZeroDivisionError("by zero"))
    made = error_of(said, unit="train seed 0", log=tmp_path / "log.txt")
    assert isinstance(made, StageFailed)
    assert (made.stage, made.cause) == ("train seed 0", "ZeroDivisionError: by zero")
    assert isinstance(error_of(as_json(KeyboardInterrupt()), unit="u", log=tmp_path), Interrupted)


def test_the_warning_of_a_queue_to_all_its_processes_ends_no_worker() -> None:
    known = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)}
    try:
        worker._listen()
        os.kill(os.getpid(), signal.SIGUSR2)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in known.items():
            signal.signal(number, handler)
