"""A comparison seen from another terminal: what its status says, and whether it is healthy."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import make_record

from harness.commands import status as command
from harness.errors import Interrupted, StageFailed, UserError
from harness.records import Plan
from harness.running.course import Course
from harness.running.health import SILENT_SECONDS, STALE_SECONDS, Seen, signs
from harness.running.lines import duration, live_lines, plain_line
from harness.running.progress import Terminal
from harness.running.showing import Showing, StatusFile
from harness.running.status import Process, Status, is_alive, read_status, this_process
from harness.store.run_dir import RunRoot

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def step(number: int, total: int = 28, loss: float = 0.5, **metrics: float) -> dict[str, Any]:
    return {"step": number, "total": total, "metrics": {"loss": loss, **metrics}, "memory": 3 << 30}


def plan() -> Plan:
    return make_record(full=True).plan


@pytest.fixture
def course() -> Course:
    """Before its first training stage; every rehearsal is done."""
    record = make_record(full=True)
    kept = {d: r for d, r in record.results.items() if r.kind in ("prepare", "rehearse")}
    return Course(record.plan, kept)


def started(course: Course, *messages: dict[str, Any]) -> Status:
    stage = course.plan.stages["dpo0"]
    course.begins(stage)
    for message in messages:
        course.hears(stage, message)
    return course.status()


def test_it_says_what_the_stage_does(course: Course) -> None:
    assert started(course).does == "starting"
    assert started(course, {"phase": "train"}, step(3)).does == "training"
    assert started(course, {"phase": "train"}, {"phase": "evaluation"}).does == "probing held-out pairs"
    counting = started(course, {"phase": "train"}, step(28), {"phase": None}, {"phase": "counting"})
    assert counting.does == "counting FLOPs"
    assert started(course, step(28), {"phase": "save"}, {"phase": None}).does == "finishing"


def test_steps_loss_memory_and_tokens(course: Course) -> None:
    """2,000 tokens in 28 steps, as the rehearsal walked them, by the stage's own clock."""
    running = started(course, step(1, elapsed_seconds=0.5), step(3, elapsed_seconds=0.52)).stage
    assert running is not None
    assert (running.step, running.total, running.loss, running.memory_bytes) == (3, 28, 0.5, 3 << 30)
    assert running.tokens_per_second == pytest.approx(2 * 2_000 / 28 / 0.02)


def test_a_loss_that_is_not_finite_stays_in_the_status(course: Course) -> None:
    status = started(course, step(3, loss=float("nan")), step(4, loss=0.3))
    assert status.diverged == ("sft_dpo/dpo@0",)
    json.loads(status.model_dump_json())


def test_results_make_the_stage_done(course: Course) -> None:
    record = make_record(full=True)
    before = course.status().done
    course.begins(course.plan.stages["sft0"])
    course.ends(course.plan.stages["sft0"], record.results["sft0"])
    status = course.status()
    assert (status.done, status.stage) == (before + 1, None)
    assert course.ended is not None


def healthy(status: Status, *, alive: bool | None = True, after: float = 1.0, free: int = 1 << 40) -> bool:
    seen = Seen(status.updated_at + timedelta(seconds=after), alive, free)
    return all(sign.well for sign in signs(status, seen))


def test_health(course: Course) -> None:
    status = started(course, step(3))
    assert healthy(status)
    assert healthy(status, alive=None)
    assert not healthy(status, alive=False)
    assert not healthy(status, after=STALE_SECONDS + 1)
    assert not healthy(status, free=1 << 20)
    assert not healthy(status.model_copy(update={"diverged": ("dpo",)}))
    assert status.stage is not None
    silent = status.stage.model_copy(update={"heard_at": NOW - timedelta(seconds=SILENT_SECONDS)})
    assert not healthy(status.model_copy(update={"stage": silent, "updated_at": NOW}))


@pytest.mark.parametrize(("state", "well"), [("finished", True), ("failed", False), ("interrupted", False)])
def test_an_ended_comparison_is_as_healthy_as_its_end(course: Course, state: Any, well: bool) -> None:
    status = course.status(state)
    assert healthy(status, alive=False, after=1e6) is well
    assert status.seconds_left is None


def test_a_process_is_told_from_a_later_one_of_its_number() -> None:
    mine = this_process()
    assert is_alive(mine) is True
    if mine.started is not None:
        assert is_alive(mine.model_copy(update={"started": mine.started + 1})) is False
    assert is_alive(mine.model_copy(update={"host": "elsewhere"})) is None
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    assert is_alive(Process(host=mine.host, pid=child.pid)) is False


def test_the_file_is_written_at_most_once_a_second_and_always_whole(course: Course, tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "run", course, Console(file=io.StringIO()))
    stage = course.plan.stages["dpo0"]
    course.begins(stage)
    file.begins(stage)
    first = read_status(tmp_path / "run")
    for number in range(50):
        course.hears(stage, step(number))
        file.hears(stage, step(number))
    assert read_status(tmp_path / "run") == first
    file._written -= 2
    file.hears(stage, {})
    later = read_status(tmp_path / "run")
    assert later is not None
    assert later.stage is not None
    assert later.stage.step == 49
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["status.json"]


def test_a_disk_that_takes_no_status_costs_the_status_alone(course: Course, tmp_path: Path) -> None:
    heard = io.StringIO()
    (tmp_path / "file").write_text("")
    file = StatusFile(tmp_path / "file" / "run", course, Console(file=heard, width=200))
    file.write()
    file.write()
    assert heard.getvalue().count("is not written") == 1


class Stopped(Exception):
    """Anything else that ends a comparison."""


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (None, "finished", None),
        (Interrupted("dpo"), "interrupted", "the same command continues"),
        (StageFailed("dpo", cause="out of luck", log_path="x", log_tail=""), "failed", "dpo: out of luck"),
        (UserError("is wrong", remedy="mend it", where="here"), "failed", "here: is wrong; mend it."),
        (Stopped("boom"), "failed", "boom"),
    ],
)
def test_every_end_is_told(error: Exception | None, state: str, said: str | None, tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()

    def runs() -> None:
        with Showing(root, Console(file=io.StringIO())) as showing:
            showing.watch(plan())
            if error is not None:
                raise error

    if error is None:
        runs()
    else:
        with pytest.raises(type(error)):
            runs()
    status = read_status(root.run_folder(plan().id))
    assert status is not None
    assert status.state == state
    assert (said or "") in (status.message or "")


def test_the_report_is_timed_and_foretells_the_next(tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    with Showing(root, Console(file=io.StringIO())) as showing:
        showing.watch(plan())
        with showing.report():
            time.sleep(0.02)
    status = read_status(root.run_folder(plan().id))
    assert status is not None
    assert status.report_seconds == Showing(root, Console()).report_seconds() >= 0.02


def test_a_plan_that_came_to_nothing_leaves_no_status(tmp_path: Path) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    with Showing(root, Console(file=io.StringIO())) as showing:
        showing.watch(plan().model_copy(update={"id": "too-large"}))
        StatusFile.write(showing._file)  # type: ignore[arg-type]
        showing.watch(plan())
    assert [path.parent.name for path in tmp_path.glob("*/status.json")] == [plan().id]


def run_command(name: str | None, out: Path, capsys: Any) -> tuple[int, str]:
    code = command.run(name, out=out)
    return code, capsys.readouterr().out


def test_the_command_tells_of_the_newest_and_of_a_named_run(
    course: Course, tmp_path: Path, capsys: Any
) -> None:
    stage = course.plan.stages["dpo0"]
    course.begins(stage)
    course.hears(stage, step(3))
    StatusFile(tmp_path / course.plan.id, course, Console()).write()
    code, text = run_command(None, tmp_path, capsys)
    assert code == 0
    assert re.search(r"now  \[\d+/\d+\] sft_dpo/dpo@0: starting 3/28", text)
    assert f"process  {os.getpid()} runs" in text
    assert "time left" in text
    assert run_command(course.plan.id, tmp_path, capsys) == run_command(None, tmp_path, capsys)
    with pytest.raises(UserError, match=f"known: {course.plan.id}"):
        command.run("other", out=tmp_path)
    with pytest.raises(UserError, match="no comparison has run here"):
        command.run(None, out=tmp_path / "stages")


def test_the_command_tells_of_a_killed_one(course: Course, tmp_path: Path, capsys: Any) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    course._process = Process(host=this_process().host, pid=child.pid)
    course.begins(course.plan.stages["dpo0"])
    StatusFile(tmp_path / course.plan.id, course, Console()).write()
    code, text = run_command(None, tmp_path, capsys)
    assert code == 1
    assert "state  killed" in text
    assert "the same command continues" in text
    assert "time left" not in text
    assert not re.search(r"was at .* left", text)


@pytest.mark.parametrize("width", [40, 80, 120, 300])
def test_live_lines_fit_and_keep_what_matters(course: Course, width: int) -> None:
    for messages in (
        [],
        [{"phase": "train"}, step(3)],
        [{"phase": "train"}, step(28), {"phase": "counting"}],
    ):
        lines = live_lines(started(course, *messages), width)
        assert len(lines) == 2
        assert all(len(line) <= width for line in lines)
    assert width < 80 or ("counting FLOPs" in lines[0] and "left, until" in lines[1])


def test_nobody_says_0_s() -> None:
    assert duration(0.01) == "1 s"
    assert [duration(seconds) for seconds in (52.4, 240, 9000, 200_000)] == [
        "52 s",
        "4 min",
        "2.5 h",
        "2.3 days",
    ]


def test_a_pipe_hears_once_a_minute_in_whole_lines(course: Course, monkeypatch: pytest.MonkeyPatch) -> None:
    heard, stage = io.StringIO(), course.plan.stages["dpo0"]
    terminal = Terminal(Console(file=heard, width=40), course)
    now = [1000.0]
    monkeypatch.setattr("harness.running.progress.time.monotonic", lambda: now[0])
    course.begins(stage)
    terminal.begins(stage)
    for _ in range(180):
        now[0] += 1
        course.hears(stage, {})
        terminal.hears(stage, {})
    lines = heard.getvalue().splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[\d+/\d+\] sft_dpo/dpo@0: starting", line)
        assert "whole comparison: " in line


def test_a_terminal_shows_both_bars_and_leaves_a_line_a_stage(course: Course) -> None:
    record, heard = make_record(full=True), io.StringIO()
    terminal = Terminal(Console(file=heard, width=80, force_terminal=True), course)
    stage = course.plan.stages["dpo0"]
    for watcher in (course, terminal):
        watcher.begins(stage)
    for message in ({"phase": "train"}, step(3)):
        course.hears(stage, message)
    terminal._shown = 0.0
    terminal.hears(stage, {})
    assert "whole comparison ─" in heard.getvalue()
    for watcher in (course, terminal):
        watcher.ends(stage, record.results["dpo0"])
    assert re.search(r"\d\d:\d\d:\d\d \[\d+/\d+\] sft_dpo/dpo@0: .*loss 0.5, 3 GiB\n", heard.getvalue())


def screen(text: str, width: int) -> list[str]:
    """What a terminal shows after `text`: a cursor that wraps, goes up, returns and erases."""
    rows, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|[\s\S]", text):
        if part == "\n":
            row, column = row + 1, 0
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b[") and part[-1] == "A":
            row -= int(part[2:-1] or 1)
        elif part == "\x1b[2K":
            rows[row] = ""
        elif not part.startswith("\x1b"):
            row, column = (row + 1, 0) if column == width else (row, column)
            rows += [""] * (row + 1 - len(rows))
            rows[row] = rows[row][:column].ljust(column) + part + rows[row][column + 1 :]
            column += 1
        rows += [""] * (row + 1 - len(rows))
    return [line.rstrip() for line in rows if line.strip()]


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("echo", ["", "^C", "^C^C"])
def test_ctrl_c_leaves_one_line_of_the_stage(course: Course, echo: str, width: int) -> None:
    """A terminal echoes ^C where the cursor stands, which is at the end of the bars."""
    heard, stage = io.StringIO(), course.plan.stages["dpo0"]
    terminal = Terminal(Console(file=heard, width=width, force_terminal=True), course)
    for watcher in (course, terminal):
        watcher.begins(stage)
    for message in ({"phase": "train"}, step(3)):
        course.hears(stage, message)
    terminal._show()
    assert len(screen(heard.getvalue(), width)) == 2
    heard.write(echo)
    terminal.ends(stage, Interrupted("sft_dpo/dpo@0"))
    lines = screen(heard.getvalue(), width)
    assert re.fullmatch(r"\d\d:\d\d:\d\d \[\d+/\d+\] sft_dpo/dpo@0: stopped after 1 s", " ".join(lines)), (
        lines
    )


def test_a_line_for_logs_has_it_all(course: Course) -> None:
    line = plain_line(started(course, {"phase": "train"}, step(3)))
    assert re.search(
        r"sft_dpo/dpo@0: 3/28, \d+ s left; whole comparison: .* left, until .*; loss 0.5, 3 GiB", line
    )


@pytest.mark.parametrize("jump", [timedelta(days=1), timedelta(days=-1)])
def test_a_clock_that_was_set_makes_no_comparison_ill(course: Course, jump: timedelta) -> None:
    """How long nothing was heard is told by the machine's steady clock."""
    told = started(course, {"phase": "train"}, step(3))
    assert told.updated_uptime is not None
    seen = Seen(told.updated_at + jump, True, 1 << 40, told.updated_uptime + 5)
    by_name = {sign.name: sign for sign in signs(told, seen)}
    assert by_name["last message"].well
    assert by_name["last message"].text == "5 s ago"
    assert Seen(told.updated_at - timedelta(days=1), None, 1 << 40).since(told.updated_at, None) == 0.0
