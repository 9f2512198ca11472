"""A plan run on several devices: the units of each phase side by side, each by a worker of its own.

All else is as on one device. The driver alone tells watchers and decides between phases, and what it knows
of stages it reads in the run root.
"""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from harness.errors import Interrupted, JobsLeft
from harness.executors import Executor
from harness.pipeline.blocks import PHASES, Unit, units_in, units_of
from harness.pipeline.covers import digest_of
from harness.running.execute import Execution
from harness.running.offline import NO_NETWORK, PLACES
from harness.running.reusable import ran_out_of_memory, reusable
from harness.running.unit_files import UNITS, UnitOrder, plan_file
from harness.running.unit_run import UnitRun
from harness.running.unit_seconds import longest_units_first

POLL_SECONDS, BEAT_SECONDS = 0.25, 1.0
BESIDE_THE_PLAN = ("checkpoint_minutes", "stage_timeout_minutes", "stage_retries", "stage_start")
"""Settings that a plan does not hold and a stage's run goes by."""


class Spread(Execution):
    """An `Execution` whose units run wherever `executor` has a place. Judges run in the driver's process."""

    def __init__(self, *arguments: Any, executor: Executor, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._executor = executor
        self._offline = settings["offline"]
        self._own = uuid.uuid4().hex[:8]

    def run(self, digests: Sequence[str], *, go_on: bool = False) -> None:
        """As on one device, phase by phase; StageFailed of one unit stops those beside it."""
        wanted = set(digests)
        for phase in PHASES:
            units = [unit for unit in units_in(units_of(self.plan), phase) if wanted & set(unit.stages)]
            spread = [unit for unit in units if phase != "judge" and self._has_to_run(unit, wanted)]
            self._run_side_by_side(longest_units_first(spread, self.plan, self.results), wanted, go_on)
            here = [d for unit in units if unit not in spread for d in unit.stages if d in wanted]
            super().run(here, go_on=go_on)
        self.results = {d: self.results[d] for d in [*self.plan.order, *self.results] if d in self.results}

    def _has_to_run(self, unit: Unit, wanted: set[str]) -> bool:
        found = {d: reusable(self.root, self.plan, d) for d in unit.stages if d in wanted}
        return any(
            result is None or (ran_out_of_memory(result) and digest not in self._tried)
            for digest, result in found.items()
        )

    def _run_side_by_side(self, units: Sequence[Unit], wanted: set[str], go_on: bool) -> None:
        if not units:
            return
        names = {unit.name for unit in units}
        folder = self.root.path / UNITS / self._session()
        runs = list[UnitRun]()
        try:
            for unit in units:
                runs.append(
                    UnitRun(
                        unit,
                        self._order(unit, wanted, go_on),
                        (folder / _as_file(unit.name)).resolve(),
                        plan=self.plan,
                        root=self.root,
                        watchers=self._watchers,
                        executor=self._executor,
                        variables=self._variables(),
                        needs=tuple(name for name in unit.needs if name in names),
                    )
                )
            self._wait_for(runs)
        except BaseException as error:
            stopped = isinstance(error, KeyboardInterrupt)
            if stopped and self._executor.lasting and (left := self._executor.leave()):
                raise JobsLeft(self.plan.name, left) from error
            if not isinstance(error, JobsLeft):
                _stop(runs)
            if stopped:
                raise Interrupted(", ".join(run.unit.name for run in runs if not run.over)) from error
            raise
        finally:
            self._take(runs, wanted)
        for run in runs:
            run.tidy()
        plan_file(folder, self.plan.id).unlink(missing_ok=True)
        for empty in (folder, folder.parent):
            with suppress(OSError):
                empty.rmdir()

    def _session(self) -> str:
        """The folder of the units: where jobs last, the next command has to find them there."""
        return self.plan.name if self._executor.lasting else f"{self.plan.id}.{self._own}"

    def _order(self, unit: Unit, wanted: set[str], go_on: bool) -> UnitOrder:
        spec = self.asked.spec
        return UnitOrder(
            name=unit.name,
            plan=self.plan.id,
            root=str(self.root.path.resolve()),
            kind=self.asked.resolved.device,
            stages=[digest for digest in unit.stages if digest in wanted],
            offline=self._offline,
            go_on=go_on,
            spec={name: getattr(spec, name) for name in BESIDE_THE_PLAN},
            tried=sorted(self._tried),
            anew=sorted(self._anew),
            failed=list(self.failed.values()),
        )

    def _variables(self) -> Mapping[str, str]:
        """What the stages' digests say that they compute with, whatever a node's own settings are, and where
        their libraries find what this command does."""
        found = {name: os.environ[name] for name in (*PLACES, *NO_NETWORK) if name in os.environ}
        return found | dict(self.asked.resolved.environment)

    def _wait_for(self, runs: Sequence[UnitRun]) -> None:
        """Until all are over; raises what stopped one, and JobsLeft where this command is not to wait."""
        beat = time.monotonic()
        if not self._executor.waits:
            for run in runs:
                run.look()
            if any(not run.over and run.error is None for run in runs):
                raise JobsLeft(self.plan.name, self._executor.leave())
        while not all(run.over for run in runs):
            time.sleep(POLL_SECONDS)
            for run in (run for run in runs if not run.over):
                run.look()
                if run.error is not None:
                    raise run.error
            if time.monotonic() - beat >= BEAT_SECONDS:
                beat = time.monotonic()
                for run in runs:
                    run.beat()

    def _take(self, runs: Sequence[UnitRun], wanted: set[str]) -> None:
        """What the units' stages came to."""
        for run in runs:
            self._tried |= run.begun
            self.failed.update({one.digest: one for one in run.failed})
            found = {d: reusable(self.root, self.plan, d) for d in run.unit.stages if d in wanted}
            self.results.update({digest: result for digest, result in found.items() if result is not None})


def _stop(runs: Iterable[UnitRun]) -> None:
    """End all workers at once, and tell the rest of what they did."""
    open_runs = [run for run in runs if not run.over]
    with ThreadPoolExecutor(max_workers=max(1, len(open_runs))) as pool:
        list(pool.map(UnitRun.stop, open_runs))
    for run in open_runs:
        run.drain()


def _as_file(name: str) -> str:
    """A unit's folder, the same in every command."""
    plain = re.sub(r"[^\w.@-]+", "_", name)[:60]
    return f"{plain}-{digest_of(name)[:6]}"
