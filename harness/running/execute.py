"""Run a plan: every stage that is not finished, in order; then the record of it all."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from datetime import UTC, datetime

from rich.console import Console

from harness.pipeline.covers import TEST_PAIRS
from harness.pipeline.parity import audit
from harness.records import (
    ComparisonRecord,
    ParityCheck,
    Plan,
    PlannedStage,
    StageRequest,
    StageResult,
    StageUse,
)
from harness.running.progress import StageDisplay
from harness.stages.runner import run_stage
from harness.store.run_dir import RunRoot

OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


class Execution:
    """The state of one comparison while it runs."""

    def __init__(self, plan: Plan, root: RunRoot, console: Console, *, offline: bool) -> None:
        self.plan = plan
        self.root = root
        self.console = console
        self.results: dict[str, StageResult] = {}
        self._environment: Mapping[str, str] = OFFLINE if offline else {}

    def run(self, digests: list[str]) -> None:
        """Run or reuse the stages in this order."""
        for digest in digests:
            stage = self.plan.stages[digest]
            number = self.plan.order.index(digest) + 1
            done = self.root.finished(digest)
            if done is not None:
                self.results[digest] = done
                self.console.print(
                    f"[{number}/{len(self.plan.order)}] {stage.name}: reused, "
                    f"finished {done.finished_at[:19]}Z",
                    highlight=False,
                )
                continue
            self.results[digest] = self._run_one(stage, number)

    def _run_one(self, stage: PlannedStage, number: int) -> StageResult:
        inputs = {role: str(self.root.stage_folder(d).resolve()) for role, d in stage.needs.items()}
        request = StageRequest(
            digest=stage.digest,
            kind=stage.kind,
            name=stage.name,
            seed=stage.seed,
            config=stage.config,
            inputs=inputs,
            covers=stage.covers,
        )
        folder = self.root.start_stage(request, owner=self.plan.id).resolve()
        total = len(self.plan.order)
        with StageDisplay(self.console, number=number, total=total, name=stage.name) as display:
            return run_stage(folder, name=stage.name, listen=display.listen, environment=self._environment)

    def audit(self) -> list[ParityCheck]:
        """The audit after training, with the held-out pairs that each stage's probes read."""
        requests = {d: self.root.request(d) for d in self.results if self.plan.stages[d].kind == "train"}
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
            command=shlex.join(["harness", *sys.argv[1:]]),
        )
