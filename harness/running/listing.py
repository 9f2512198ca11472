"""A plan beside what is finished: what would run, what would be reused, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from harness.pipeline.covers import changes
from harness.records import Covers, Plan, PlannedStage, Record, StageKind
from harness.running.again import to_run_again
from harness.running.reusable import ran_out_of_memory, reusable
from harness.store.aside import newest_of
from harness.store.run_dir import RunRoot

State = Literal["finished", "to run", "to run again"]


class ListedStage(Record):
    """One stage of a plan, in the order of execution.

    `why` says for a stage that would run what changed since `newest`, the newest finished stage of its
    name; it is None where that was not asked.
    """

    digest: str
    name: str
    kind: StageKind
    seed: int
    arm: str | None
    needs: dict[str, str]
    state: State
    newest: str | None = None
    why: list[str] | None = None
    covers: Covers | None = None


class Listing(Record):
    """What `harness plan --format json` prints."""

    schema_version: Literal[1] = 1
    id: str
    name: str
    stages: list[ListedStage]


def list_stages(plan: Plan, root: RunRoot, *, again: tuple[str, ...] = (), why: bool = False) -> Listing:
    """Every stage with its state; raises UserError for an unknown word in `again`."""
    chosen = to_run_again(plan, again)
    stages = []
    for digest in plan.order:
        stage, done = plan.stages[digest], reusable(root, plan, digest)
        finished = done is not None and not ran_out_of_memory(done)
        state: State = "to run"
        if finished:
            state = "to run again" if digest in chosen else "finished"
        newest, reasons = _why(stage, root, state) if why else (None, None)
        stages.append(
            ListedStage(
                digest=digest,
                name=stage.name,
                kind=stage.kind,
                seed=stage.seed,
                arm=stage.arm,
                needs=stage.needs,
                state=state,
                newest=newest,
                why=reasons,
                covers=stage.covers,
            )
        )
    return Listing(id=plan.id, name=plan.name, stages=stages)


def _why(stage: PlannedStage, root: RunRoot, state: State) -> tuple[str | None, list[str]]:
    """The newest finished stage of the same name, and what changed since."""
    if state == "finished":
        return None, []
    if state == "to run again":
        return stage.digest, ["named by --again, or made from what is"]
    newest = newest_of(root, stage.name)
    if newest is None:
        return None, ["no finished stage of this name is here"]
    if newest.covers is None or stage.covers is None:
        return newest.digest, ["it does not say what its digest covers"]
    lines = changes(newest.covers, stage.covers)
    return newest.digest, lines or ["nothing that its digest covers: it was set aside, or its files are gone"]


def grouped_reasons(listing: Listing) -> Mapping[tuple[str, ...], list[str]]:
    """Reasons -> the names of the stages that would run for them; seeds of one stage share theirs."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for stage in listing.stages:
        if stage.why:
            groups.setdefault(tuple(stage.why), []).append(stage.name)
    return groups
