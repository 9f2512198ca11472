"""What ranks took, put together: joules and bytes, and who is blamed where one of them ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.measure.conditions import cpu_seconds_of
from harness.measure.ranks import Ranks
from harness.measure.window import Window
from harness.records import Measurement, ParallelFacts, RankFacts, StageError, StageRequest
from harness.stages.others import Others, devices_of, error_of, log_of
from harness.stages.shares import Share, add_joules, device_ledger, highest, with_shares


def share(peak: int, *, joules: float | None = None, waited: float = 0.0) -> Share:
    memory = [
        Measurement(quantity=name, value=value, unit="B", scope="stage", source="made", reason=why)
        for name, value, why in (("peak_memory_bytes", peak, None), ("peak_allocated_bytes", None, "no GPU"))
    ]
    return Share(
        {"train": 4.0},
        {"train": waited, "audit": 9.0},
        {} if joules is None else {"train": joules},
        memory,
        "cpu",
    )


def test_memory_is_the_highest_and_the_sum() -> None:
    shares = [share(5), share(7)]
    found = {m.quantity: m for m in highest(shares[0].memory, shares)}
    assert found["peak_memory_bytes"].value == 7
    assert found["peak_memory_bytes"].source == "the highest of 2 ranks; rank 0: made"
    assert found["summed_memory_bytes"].value == 12
    assert found["peak_allocated_bytes"].value is None
    assert highest(shares[0].memory, shares[:1]) == shares[0].memory


def test_joules_are_those_of_all_devices_or_absent() -> None:
    window = Window()
    window.joules = {"train": 10.0}
    add_joules(window, [share(1, joules=5.0), share(1, joules=6.0)])
    assert window.joules == {"train": 21.0}
    add_joules(window, [share(1, joules=5.0), share(1)])
    assert window.joules == {}


def test_device_seconds_and_waiting_are_of_the_headlines_phases() -> None:
    window = Window()
    window.seconds = {"train": 4.0, "audit": 100.0}
    shares = [share(1, waited=0.5), share(1, waited=1.0)]
    found = {m.quantity: m.value for m in device_ledger(window, shares)}
    assert found == {"device_seconds": 8.0, "waiting_seconds": 1.5}
    assert device_ledger(window, shares[:1]) == []


def test_each_rank_keeps_what_it_took() -> None:
    ranks = [RankFacts(rank=i, micro_batches=1, pairs=1, tokens_real=1, tokens_padded=1) for i in range(2)]
    facts = ParallelFacts(devices=2, how="ddp", ranks=ranks)
    first, second = with_shares(facts, [share(5, waited=0.5), share(7, joules=3.0)]).ranks
    assert (first.seconds, first.waited_seconds, first.peak_memory_bytes, first.joules) == (4.0, 0.5, 5, None)
    assert (second.peak_memory_bytes, second.joules) == (7, 3.0)


def request(kind: Any, **config: Any) -> StageRequest:
    return StageRequest(digest="d", kind=kind, name="t", seed=0, config=config)


def test_training_and_its_rehearsal_have_several_devices_and_nothing_else() -> None:
    job = {"method": "sft", "config": {"devices": 3}}
    assert devices_of(request("train", **job)) == 3
    assert devices_of(request("rehearse", job=job, steps=2)) == 3
    assert devices_of(request("train", method="sft", config={})) == 1
    assert devices_of(request("evaluate", config={"devices": 3})) == 1


class Failed(Others):
    """One other rank, which has ended."""

    def __init__(self, folder: Path, code: str) -> None:
        super().__init__(folder, 1)
        log_of(folder, 1).write_text("its last words\n")
        process: Any = subprocess.Popen([sys.executable, "-c", code])
        process.wait()
        self._processes = {1: process}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "rank 1 ended with exit code 3; its log is rank_1.log"),
        ("import os; os.kill(os.getpid(), 9)", "rank 1 was ended by SIGKILL; its log is rank_1.log"),
    ],
)
def test_a_lost_rank_is_named(tmp_path: Path, code: str, said: str, capsys: Any) -> None:
    blamed = Failed(tmp_path, code).blame()
    assert blamed is not None
    assert (blamed.kind, blamed.message) == ("failure", said)
    assert "its last words" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (StageError(kind="out_of_memory", message="full"), "rank 1: full; its log is rank_1.log"),
        (StageError(kind="diverged", message="diverged at step 2"), "diverged at step 2"),
    ],
)
def test_what_a_rank_said_itself_is_passed_on(tmp_path: Path, told: StageError, said: str) -> None:
    error_of(tmp_path, 1).write_text(told.model_dump_json())
    blamed = Failed(tmp_path, "raise SystemExit(1)").blame()
    assert blamed is not None
    assert (blamed.kind, blamed.message) == (told.kind, said)


def test_nobody_is_blamed_where_all_is_well(tmp_path: Path) -> None:
    assert Others(tmp_path, 1).blame() is None
    assert Failed(tmp_path, "pass").blame(patience=0.1) is None


def test_one_process_tells_nobody_and_waits_for_nobody() -> None:
    alone = Ranks()
    assert alone.in_turn([1, 2]) == [1, 2]
    assert alone.told("x") == ["x"]
    alone.wait()
    assert alone.waited == {}


def test_cpu_seconds_of_all_ranks_are_the_stages_own(tmp_path: Path) -> None:
    for pid, ticks in ((11, "100 20 3 4"), (12, "50 0 0 0")):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a (b) c) R {'0 ' * 10}{ticks} 9 9")
    hertz = os.sysconf("SC_CLK_TCK")
    assert cpu_seconds_of([11, 12, 13], tmp_path) == 177 / hertz
