"""Several stages at once: all are shown with where they run, and the time left is that of all devices."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import make_record

from harness.commands.status import _facts
from harness.errors import Interrupted
from harness.running import tracking as module
from harness.running.course import Course
from harness.running.health import SILENT_SECONDS, Seen, signs
from harness.running.lines import live_lines, plain_line
from harness.running.outlook import look_ahead
from harness.running.progress import Terminal
from harness.running.time_left import At, left_of_stage, time_left
from harness.running.time_left_on import time_left_on
from harness.running.told import Ends, Logged
from harness.running.tracking import Tracking
from harness.store.run_dir import RunRoot

BEFORE = ("prepare", "rehearse")


def course(devices: int = 2) -> Course:
    """Every rehearsal is done."""
    record = make_record(full=True)
    return Course(record.plan, {d: r for d, r in record.results.items() if r.kind in BEFORE}, devices=devices)


def both_run(course: Course, *watchers: Terminal) -> None:
    for digest, place in (("dpo0", "a, GPU-0"), ("dpo1", "b, GPU-1")):
        for watcher in (course, *watchers):
            watcher.begins(course.plan.stages[digest])
            watcher.hears(course.plan.stages[digest], {"place": place})
    message = {"step": 3, "total": 28, "metrics": {"loss": 0.5}}
    for watcher in (course, *watchers):
        watcher.hears(course.plan.stages["dpo1"], message)


def test_the_status_holds_every_stage_that_runs() -> None:
    known = course()
    both_run(known)
    status = known.status()
    assert status.stage is not None
    shown = [(one.name, one.place, one.step) for one in (status.stage, *status.beside)]
    assert shown == [("sft_dpo/dpo@0", "a, GPU-0", 0), ("sft_dpo/dpo@1", "b, GPU-1", 3)]
    record = make_record(full=True)
    known.ends(known.plan.stages["dpo0"], record.results["dpo0"])
    status = known.status()
    assert (status.stage and status.stage.name, status.beside) == ("sft_dpo/dpo@1", ())
    assert known.ended is not None
    assert known.ended.name == "sft_dpo/dpo@0"


def test_every_view_shows_all_of_them() -> None:
    known = course()
    both_run(known)
    status = known.status()
    stage_lines = live_lines(status, 200)
    assert len(stage_lines) == 3
    assert "sft_dpo/dpo@0" in stage_lines[0]
    assert stage_lines[1].endswith("on b, GPU-1")
    assert all(name in plain_line(status) for name in ("sft_dpo/dpo@0", "sft_dpo/dpo@1"))
    facts = _facts(status, Seen(datetime.now(UTC), True, 1 << 40))
    assert [text for name, text in facts if name == "on"] == ["a, GPU-0", "b, GPU-1"]


def test_one_silent_stage_is_enough_to_be_not_well() -> None:
    known = course()
    both_run(known)
    status = known.status()
    assert status.stage is not None
    assert status.stage.heard_uptime is not None
    silent = status.stage.model_copy(update={"heard_uptime": 0.0})
    uptime = SILENT_SECONDS + 1
    late = status.model_copy(
        update={"stage": status.stage.model_copy(update={"heard_uptime": uptime}), "beside": (silent,)}
    )
    late = late.model_copy(update={"updated_uptime": uptime})
    sign = next(
        s for s in signs(late, Seen(datetime.now(UTC), True, 1 << 40, uptime)) if s.name == "last message"
    )
    assert not sign.well


def test_each_stage_is_told_with_its_own_time() -> None:
    heard, known, record = io.StringIO(), course(), make_record(full=True)
    terminal = Terminal(Console(file=heard, width=200), known)
    both_run(known, terminal)
    for digest in ("dpo1", "dpo0"):
        for watcher in (known, terminal):
            watcher.ends(known.plan.stages[digest], record.results[digest])
    lines = heard.getvalue().splitlines()
    assert ["dpo@1" in lines[0], "dpo@0" in lines[1]] == [True, True]


def test_two_devices_take_the_units_that_are_left_side_by_side() -> None:
    record = make_record(full=True)
    plan = record.plan
    results = {d: r for d, r in record.results.items() if r.kind in BEFORE}
    ahead = look_ahead(plan, results)
    one = time_left(ahead, None, report=7.0).whole
    two = time_left_on(plan, 2, ahead, [], report=7.0).whole
    assert one is not None
    assert two is not None
    assert time_left_on(plan, 1, ahead, [], report=7.0).whole == one
    # Two equal blocks of training; nothing else is foretold in this plan.
    assert two - 7 == pytest.approx((one - 7) / 2)
    assert time_left_on(plan, 64, ahead, [], report=7.0).whole == pytest.approx(two)


def test_what_runs_is_left_of_it_alone() -> None:
    record = make_record(full=True)
    results = {d: r for d, r in record.results.items() if r.kind in BEFORE}
    ahead = look_ahead(record.plan, results)
    at = At("dpo0", now=5.0)
    found = time_left_on(record.plan, 2, ahead, [at])
    assert found.stages == {"dpo0": left_of_stage(ahead.stages["dpo0"].parts, at)}
    unknown = look_ahead(record.plan, {})
    assert time_left_on(record.plan, 2, unknown, [at]).whole is None


class Box:
    """A tracker's queue that keeps what it is told."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.name, self.refused, self.waiting, self.failures = "box", None, 0, 0

    def tell(self, item: Any) -> None:
        self.items.append(item)

    def settle(self, seconds: float) -> None:
        """At once."""

    def close(self, seconds: float) -> None:
        """At once."""


def test_steps_of_two_stages_go_to_their_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box, plan = Box(), make_record(full=True).plan
    monkeypatch.setattr(module, "outbox", lambda *_: box)
    with Tracking(["box"], RunRoot(tmp_path), "made", Console(file=io.StringIO())) as tracking:
        tracking.plans(plan)
        both = [plan.stages[digest] for digest in ("dpo0", "dpo1")]
        for stage in both:
            tracking.begins(stage)
        for loss, stage in enumerate(both):
            tracking.hears(stage, {"step": 1, "total": 9, "metrics": {"loss": float(loss)}})
        tracking.ends(both[1], Interrupted("its node was lost"))
        tracking.hears(both[0], {"step": 2, "total": 9, "metrics": {"loss": 0.5}})
    logged = [(item.key, item.point.step) for item in box.items if isinstance(item, Logged)]
    assert logged[:2] == [("sft_dpo/dpo@0", 1), ("sft_dpo/dpo@1", 1)]
    ended = [(item.key, item.ended.status) for item in box.items if isinstance(item, Ends)]
    assert ("sft_dpo/dpo@1", "killed") in ended
    assert "sft_dpo/dpo@0" not in [key for key, _ in ended]
