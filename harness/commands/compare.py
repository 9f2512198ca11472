"""`harness compare`: make ready, train, audit, score, record, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rich.console import Console

from harness.commands import report as report_command
from harness.commands import sweep as sweep_command
from harness.commands.closing import failed_lines, print_closing
from harness.commands.view import view_of
from harness.errors import OutOfMemory, UserError
from harness.evidence.answers import Answer, answers
from harness.evidence.sequence import Saved, open_questions, saved
from harness.evidence.statistics.looks import weights
from harness.executors import Executor
from harness.executors.opening import jobs_in, opened, spreads
from harness.pipeline.load import find_comparison, load_comparison, most_devices
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.questions_spec import LookSpec
from harness.pipeline.registration import file_digest
from harness.pipeline.rescore import with_earlier_scores
from harness.pipeline.spec import ComparisonSpec
from harness.records import ComparisonRecord, Plan, TuningRecord
from harness.running.again import Again, to_run_again
from harness.running.execute import Execution, typed_command
from harness.running.forecast import forecast
from harness.running.needs import every_spec
from harness.running.neighbours import print_neighbours
from harness.running.offline import check_needs
from harness.running.ready import Watch, audit_now, check_parity, make_ready
from harness.running.resolve import resolve
from harness.running.showing import Showing
from harness.running.tracking import Tracking
from harness.running.trials_shown import settings_in_words
from harness.running.tuning import settings_of, tune
from harness.running.unit_files import UNITS, forget_units, note_asked
from harness.running.watch import Watcher
from harness.stages.starting import ForkServer, Starter
from harness.store.run_dir import RunRoot
from harness.terminal import PlainConsole
from harness.tracking import check_installed
from harness.units import seconds


def run(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    mlflow: bool = True,
    again: Sequence[str] = (),
    until_decided: bool = False,
    offline: Path | None = None,
) -> int:
    """Run a comparison and print its last lines; returns 0, or 1 where some stage failed.

    `offline` is the folder that all of it has to come from, where there is one.
    """
    console = PlainConsole()
    path = find_comparison(comparison, model=overrides.model)
    spec = load_comparison(path, overrides)
    if offline is not None:
        check_needs(every_spec(path, overrides), offline)
    if spec.sweep:
        if again or until_decided:
            flag = "--again" if again else "--until-decided"
            fact, remedy = f"{flag} is not for a sweep", "leave it out, or run one point by --set sweep={}"
            raise UserError(fact, where=str(path), remedy=remedy)
        at = partial(run_comparison, str(path), out=out, console=console, mlflow=mlflow)
        return sweep_command.run(path, spec, overrides, at, out=out, console=console)
    run_it = run_until_decided if until_decided else run_comparison
    record = run_it(comparison, overrides, out=out, console=console, mlflow=mlflow, again=again)
    print_closing(RunRoot(out).run_folder(record.id) / "report", console)
    for line in failed_lines(record.failed, out):
        console.print(line, style="red", highlight=False, markup=False, soft_wrap=True)
    return 1 if record.failed else 0


def run_comparison(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    console: Console,
    mlflow: bool = True,
    again: Sequence[str] = (),
    command: str | None = None,
) -> ComparisonRecord:
    """Run a comparison and write its record and report; `console` hears how far it is.

    `again` names finished stages that run once more, with all that is made from them. `command` is what
    asked for it, where that was not the command line.
    """
    path = find_comparison(comparison, model=overrides.model)
    # Mistakes in the settings are told at once, also while another comparison holds the device.
    spec = load_comparison(path, overrides)
    _check_executor(spec)
    to_run_again(plan_comparison(spec, resolve(spec)), again)
    trackers = [name for name in spec.tracking if mlflow or name != "mlflow"]
    check_installed(trackers)
    root = RunRoot(out)
    root.open_for_writing()
    what = f"comparison {spec.name} in {root.path.resolve()}"
    with (
        root.lock(what),
        opened(spec.executor, what, most_devices(spec)) as executor,
        Again(root, again, console) as chosen,
        Showing(root, console, devices=len(executor.places()) if executor else 1) as showing,
        Tracking(trackers, root, spec.name, console) as tracking,
        ForkServer() as starter,
    ):
        _check_jobs(root, spec, executor)
        if executor is not None:
            forget_units(root.path, executor.holds)
            note_asked(root.path, spec.name, executor, command or typed_command())

        def watch(plan: Plan) -> Sequence[Watcher]:
            tracking.plans(plan)
            return [*showing.watch(plan), tracking]

        print_neighbours(console)
        make = partial(make_ready, path, root=root, console=console, watch=watch, starter=starter)
        tuning = None
        if spec.tuning is not None:
            untuned = make(overrides)
            tuning = _tuned(untuned, root, console, showing, starter)
            overrides = replace(overrides, tuned=settings_of(tuning))
        ready = partial(make, overrides, again=chosen, executor=executor)
        execution = _run_all(ready, console, watch, showing.report_seconds())
        record = with_earlier_scores(execution.record(), root.earlier(execution.plan.id))
        asked = {
            "file": str(path.resolve()),
            "file_digest": file_digest(path),
            "tuning": tuning,
            "chain": spec.chain,
        }
        record = record.model_copy(update=asked | ({"command": command} if command else {}))
        with showing.report():
            root.write_record(record)
            tracking.completes(record, report_command.write(record, root))
        if executor is not None:
            forget_units(root.path, executor.holds)
    return record


def _check_jobs(root: RunRoot, spec: ComparisonSpec, executor: Executor | None) -> None:
    """Raise UserError where jobs that an earlier command left still work in the root, and this one would not
    find them: a stage could run twice."""
    for name, jobs in jobs_in(root.path / UNITS).items():
        if name != spec.name or executor is None or not executor.lasting:
            raise UserError(
                f"jobs of comparison {name} are not over ({', '.join(jobs)})",
                where=str(root.path),
                remedy=f"`harness collect {name}` goes on with them, `scancel` ends them",
            )


def _check_executor(spec: ComparisonSpec) -> None:
    """Raise UserError for a search on several devices: each trial hangs on what the one before found."""
    if spec.tuning is not None and spreads(spec.executor, most_devices(spec)):
        raise UserError(
            "a search runs its trials one after the other, on one device",
            where="executor",
            remedy="leave `executor` out, or run the settings that a search found without `tuning`",
        )


def _tuned(
    untuned: Execution, root: RunRoot, console: Console, showing: Showing, starter: Starter
) -> TuningRecord:
    """The search, once what stops a comparison has had its chance to: no trial is made in vain."""
    forecast(untuned, console, report=showing.report_seconds())
    check_parity(audit_now(untuned))
    record = tune(untuned, root, console, showing=showing, starter=starter)
    for arm, settings in settings_of(record).items():
        console.print(
            f"Tuned {arm}: {settings_in_words(settings)} (trial {record.chosen[arm]})",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    return record


def run_until_decided(
    comparison: str | None,
    overrides: Overrides,
    *,
    out: Path,
    console: Console,
    mlflow: bool = True,
    again: Sequence[str] = (),
    command: str | None = None,
) -> ComparisonRecord:
    """Run the registered looks until every tested question is decided; returns the last look's record.

    Each look is a run of its own that reuses the stages of those before it. Raises UserError for a file that
    registers none.
    """
    path = find_comparison(comparison, model=overrides.model)
    looks, earlier = _registered_looks(path, overrides, again), list[str]()
    shares = list(weights(len(looks)))
    for number in range(1, len(looks) + 1):
        look = LookSpec(number=number, weights=shares, earlier=earlier)
        record = run_comparison(
            comparison,
            replace(overrides, look=look),
            out=out,
            console=console,
            mlflow=mlflow,
            command=command,
        )
        view = view_of(record, RunRoot(out))
        undecided = open_questions(answers(view))
        console.print(_look_in_words(look, len(view.seeds), undecided), highlight=False)
        if not undecided or record.failed:
            break
        earlier = [*earlier, record.id]
    console.print(_saved_in_words(saved(view), looks[-1]), highlight=False)
    return record


def _registered_looks(path: Path, overrides: Overrides, again: Sequence[str]) -> list[int]:
    """How many seeds each look uses; raises UserError where nothing was registered to look for."""
    spec = load_comparison(path, overrides)
    if spec.looks is None:
        raise UserError(
            "--until-decided needs looks, and none are registered",
            where=str(path),
            remedy="write `looks: [3, 5, 10]` into it: how many of its seeds each look uses, the last at "
            "most all of them",
        )
    if not spec.questions:
        raise UserError(
            "asks no questions, so nothing can be decided",
            where=str(path),
            remedy="write `questions:` into it; docs/evidence.md says how",
        )
    if again:
        raise UserError(
            "--again and --until-decided do not go together",
            remedy="run stages again without --until-decided first",
        )
    return spec.looks


def _look_in_words(look: LookSpec, seeds_used: int, undecided: Sequence[Answer]) -> str:
    """Which look is done, and which questions are still open."""
    done = f"Look {look.number} of {len(look.weights)}, {seeds_used} seeds: "
    if not undecided:
        return f"{done}every question is decided."
    listed = "; ".join(f"{one.quantity}, {one.a} against {one.b}: {one.verdict.text}" for one in undecided)
    return f"{done}{len(undecided)} question(s) open ({listed})."


def _saved_in_words(one: Saved, most: int) -> str:
    """What stopping here leaves out."""
    if not one.seeds:
        return f"All {most} seeds were trained: nothing was saved."
    time = "time not known" if one.seconds is None else f"about {seconds(one.seconds)} of training"
    return f"Saved: {one.seeds} of {most} seeds were not trained ({time}, by the mean of a block)."


def _run_all(
    ready: Callable[..., Execution], console: Console, watch: Watch, report_seconds: float
) -> Execution:
    """Make ready, train and score; where memory runs out in training, with smaller micro-batches for all."""
    halvings = 0
    while True:
        execution = ready(halvings=halvings)
        forecast(execution, console, report=report_seconds)
        check_parity(audit_now(execution))
        try:
            _train_and_score(execution, watch)
        except OutOfMemory as full:
            halvings += 1
            console.print(
                f"{full.stage}: {full.cause}. Every arm trains with micro-batches of half the size, at the "
                "same effective batch, so that their costs stay comparable; what was trained runs again.",
                highlight=False,
                markup=False,
            )
        else:
            return execution


def _train_and_score(execution: Execution, watch: Watch) -> None:
    """What training shows to be unequal stops the run before anything is scored.

    A stage that fails takes its cell with it and no other; arms are compared at the seeds that are left.
    """
    plan = execution.plan
    rest = [plan.stages[digest] for digest in plan.order if digest not in execution.results]
    execution.run([stage.digest for stage in rest if stage.kind == "train"], go_on=True)
    check_parity(execution.audit())
    execution.run([stage.digest for stage in rest if stage.kind == "evaluate"], go_on=True)
    execution.leave_out_failed(watch)
    left = [digest for digest in execution.plan.order if digest not in execution.results]
    execution.run(left, go_on=True)
