"""Run a plan: every stage that is not finished, in order; then the record of it all."""

from __future__ import annotations

import shlex
import sys
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from harness.errors import OutOfMemory, StageFailed
from harness.pipeline.covers import TEST_PAIRS
from harness.pipeline.parity import audit
from harness.pipeline.remaining import remaining
from harness.pipeline.resolved import Resolved
from harness.pipeline.spec import ComparisonSpec
from harness.records import (
    ComparisonRecord,
    FailedStage,
    MissingCell,
    ParityCheck,
    Plan,
    PlannedStage,
    StageRequest,
    StageResult,
    StageUse,
)
from harness.running.reusable import ran_out_of_memory, reusable, why_again
from harness.running.room import check_room_for
from harness.running.watch import Watcher
from harness.stages.others import devices_of
from harness.stages.runner import run_stage
from harness.stages.starting import Starter
from harness.store.run_dir import RunRoot

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def typed_command() -> str:
    """The command line, as a record tells it."""
    return shlex.join(["harness", *sys.argv[1:]])


@dataclass(frozen=True)
class Asked:
    """What a plan was made of."""

    spec: ComparisonSpec
    resolved: Resolved


class Execution:
    """The state of one comparison while it runs; `watchers` are told of every stage.

    `tried` are rehearsals that this command has run, in an earlier execution too: what did not fit is
    tried once a command. `failed` are stages that ended without a result, by digest, and `missing` the cells
    that `leave_out_failed` took out of the plan, which it makes again of what was `asked`. `starter` makes
    the stages' processes, where the comparison does not ask for fresh ones. Stages that run `anew` take over
    nothing that another one measured. Without `halves` a training whose memory runs out fails like any other.
    """

    def __init__(
        self,
        plan: Plan,
        root: RunRoot,
        watchers: Sequence[Watcher],
        *,
        offline: bool,
        tried: set[str] | None = None,
        asked: Asked | None = None,
        starter: Starter | None = None,
        anew: Collection[str] = (),
        halves: bool = True,
    ) -> None:
        self.plan = plan
        self.root = root
        self._watchers = watchers
        self.results: dict[str, StageResult] = {}
        self.failed: dict[str, FailedStage] = {}
        self.missing: list[MissingCell] = []
        self._asked = asked
        fresh = asked is not None and asked.spec.stage_start == "fresh"
        self._starter = None if fresh else starter
        self._environment: Mapping[str, str] = OFFLINE if offline else {}
        self._tried = set() if tried is None else tried
        self._anew = anew
        self._halves = halves

    @property
    def asked(self) -> Asked:
        """What the plan was made of, with settings that fit this machine."""
        assert self._asked is not None, "only what is looked at, and not run, was made of a plan alone"
        return self._asked

    def run(self, digests: Sequence[str], *, go_on: bool = False) -> None:
        """Run or reuse the stages in this order; what goes on from one that did not fit is left out.

        With `go_on` so is what goes on from one that fails, and the others run; else StageFailed is raised,
        and OutOfMemory always where a training could do with smaller micro-batches.
        """
        for digest in digests:
            stage, done = self.plan.stages[digest], reusable(self.root, self.plan, digest)
            full, broken = self._did_not_fit(stage), self._lacks(stage) if go_on else None
            if broken is not None:
                self._say(stage, f"left out, since {broken} failed")
            elif full is not None:
                self._say(stage, f"left out, since {full} did not fit")
            elif done is None or self._worth_trying_again(stage, done):
                self._tried.add(digest)
                self._run_or_note(stage, go_on=go_on)
            else:
                self.results[digest] = done
                self._say(stage, f"reused, finished {done.finished_at[:19]}Z")

    def _run_or_note(self, stage: PlannedStage, *, go_on: bool) -> None:
        try:
            self.results[stage.digest] = self._run_with_retries(stage)
        except StageFailed as error:
            if not go_on or self._calls_for_halving(stage, error):
                raise
            log = str((self.root.stage_folder(stage.digest) / "log.txt").relative_to(self.root.path))
            self.failed[stage.digest] = FailedStage(
                digest=stage.digest, name=stage.name, cause=error.cause, log=log
            )

    def _run_with_retries(self, stage: PlannedStage) -> StageResult:
        """Once, and as often again as the comparison allows where that may help."""
        left = self._asked.spec.stage_retries if self._asked is not None else 0
        while True:
            try:
                return self._run_one(stage)
            except StageFailed as error:
                if not left or not error.again or self._calls_for_halving(stage, error):
                    raise
            left -= 1
            self._say(stage, f"tried again, and {left} time(s) more if that fails")

    def _calls_for_halving(self, stage: PlannedStage, error: StageFailed) -> bool:
        """Whether all arms are to train with smaller micro-batches, which is no matter of this cell alone."""
        if stage.kind != "train" or not isinstance(error, OutOfMemory) or self._asked is None:
            return False
        if not self._halves:
            return False
        return bool(stage.config["config"]["micro_batch_size"] > 1)

    def _lacks(self, stage: PlannedStage) -> str | None:
        """The name of a stage that `stage` needs and that failed, or was left out itself."""
        for digest in stage.needs.values():
            if digest in self.failed:
                return self.failed[digest].name
            needed = self.plan.stages.get(digest)
            lacking = None if needed is None or digest in self.results else self._lacks(needed)
            if lacking is not None:
                return lacking
        return None

    def leave_out_failed(self, watch: Callable[[Plan], Sequence[Watcher]]) -> None:
        """Go on with the cells that can be compared, watched anew; raises StageFailed where none is left."""
        if not self.failed:
            return
        assert self._asked is not None
        left = remaining(self.plan, self._asked.spec, self._asked.resolved, set(self.results), self.failed)
        if left is None:
            first, *more = self.failed.values()
            others = f"; so did {len(more)} more stage(s), and no cell is left" if more else ""
            raise StageFailed(
                first.name,
                cause=f"{first.cause}{others}",
                log_path=str(self.root.path / first.log),
                log_tail="",
            )
        self.plan, self.missing = left.plan, left.missing
        self._watchers = watch(self.plan)

    def _did_not_fit(self, stage: PlannedStage) -> str | None:
        """The name of the rehearsal that `stage` needs an output of and that left none."""
        for digest in stage.needs.values():
            needed = self.results.get(digest)
            if needed is not None and ran_out_of_memory(needed):
                return needed.name
            if needed is None and digest in self.plan.rehearsals:
                return self.plan.stages[digest].name
        return None

    def _worth_trying_again(self, stage: PlannedStage, done: StageResult) -> bool:
        """Whether `done` measured a moment that may have passed: others may have held the memory."""
        if not ran_out_of_memory(done) or stage.digest in self._tried:
            return False
        self._say(stage, "did not fit last time, trying again")
        return True

    def _say(self, stage: PlannedStage, text: str) -> None:
        for watcher in self._watchers:
            watcher.says(stage, text)

    def _run_one(self, stage: PlannedStage) -> StageResult:
        check_room_for(stage, self.plan, self.results, self.root.path)
        for line in why_again(self.root, stage.digest):
            self._say(stage, line)
        inputs = {role: str(self.root.stage_folder(d).resolve()) for role, d in stage.needs.items()}
        request = StageRequest(
            digest=stage.digest,
            kind=stage.kind,
            name=stage.name,
            seed=stage.seed,
            attempt=uuid.uuid4().hex,
            checkpoint_seconds=self._seconds("checkpoint_minutes"),
            anew=stage.digest in self._anew,
            config=stage.config,
            inputs=inputs,
            covers=stage.covers,
        )
        folder = self.root.start_stage(request, owner=self.plan.id).resolve()
        for watcher in self._watchers:
            watcher.begins(stage)
        outcome: StageResult | BaseException
        try:
            outcome = run_stage(
                folder,
                name=stage.name,
                listen=partial(self._hear, stage),
                environment=self._environment,
                patience_seconds=self._seconds("stage_timeout_minutes"),
                starter=self._starter,
                devices=devices_of(request),
            )
        except BaseException as error:
            outcome = error
        for watcher in self._watchers:
            watcher.ends(stage, outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _seconds(self, setting: str) -> float | None:
        """A setting of minutes; None where it is 0 for never."""
        minutes: float = getattr(self._asked.spec, setting) if self._asked is not None else 0.0
        return 60 * minutes if minutes else None

    def _hear(self, stage: PlannedStage, message: dict[str, Any]) -> None:
        for watcher in self._watchers:
            watcher.hears(stage, message)

    def audit(self) -> list[ParityCheck]:
        """The audit after training, with the held-out pairs that each stage's probes read."""
        trained = [d for d in self.results if d in self.plan.stages and self.plan.stages[d].kind == "train"]
        requests = {d: self.root.request(d) for d in trained}
        covers = {d: request.covers for d, request in requests.items() if request is not None}
        probed = {
            d: c.beside[TEST_PAIRS] for d, c in covers.items() if c is not None and TEST_PAIRS in c.beside
        }
        return audit(self.plan, self.results, probed)

    def record(self) -> ComparisonRecord:
        """Everything that a report needs."""
        uses = {}
        for digest in self.results:
            owner = self.root.owner(digest)
            uses[digest] = StageUse(digest=digest, reused_from=owner if owner != self.plan.id else None)
        last = max(result.finished_at for result in self.results.values())
        return ComparisonRecord(
            id=self.plan.id,
            name=self.plan.name,
            created_at=last or datetime.now(UTC).isoformat(),
            plan=self.plan,
            results=self.results,
            uses=uses,
            parity=self.audit(),
            failed=list(self.failed.values()),
            missing=self.missing,
            command=typed_command(),
        )
