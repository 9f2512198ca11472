"""Memory that runs out in mid-run: all arms go on with smaller micro-batches, and it is said."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.commands import compare
from harness.errors import OutOfMemory, StageFailed
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.resolved import Resolved
from harness.records import StageError, StageResult
from harness.running import execute
from harness.running.execute import Asked, Execution
from harness.stages import child, memory_limit, runner
from harness.store.run_dir import RunRoot

FULL = OutOfMemory(
    "orpo/orpo@1", cause="memory ran out (CUDA out of memory)", log_path="log.txt", log_tail=""
)


def run_all(monkeypatch: pytest.MonkeyPatch, outcomes: list[Exception | None]) -> tuple[list[int], str]:
    """The halvings that were tried, and what was said, where training ends as `outcomes` say."""
    asked: list[int] = []
    heard = io.StringIO()

    def make_ready(*_: Any, halvings: int, **__: Any) -> Any:
        asked.append(halvings)
        return SimpleNamespace()

    def train(*_: Any) -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    monkeypatch.setattr(compare, "_train_and_score", train)
    for name in ("forecast", "check_parity", "audit_now"):
        monkeypatch.setattr(compare, name, lambda *_, **__: None)
    compare._run_all(make_ready, Console(file=heard, width=300), lambda plan: (), 1.0)
    return asked, heard.getvalue()


def test_every_arm_is_tried_with_half_and_half_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, heard = run_all(monkeypatch, [FULL, FULL, None])
    assert asked == [0, 1, 2]
    assert heard.count("orpo/orpo@1: memory ran out (CUDA out of memory). Every arm trains with") == 2


def test_without_an_error_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_all(monkeypatch, [None]) == ([0], "")


@pytest.mark.parametrize(
    ("micro_batches", "raised"),
    [
        (("training.micro_batch_size=16",), True),
        (("training.micro_batch_size=1",), False),
        (("training.micro_batch_size=8", "stages.orpo.micro_batch_size=1"), False),
    ],
)
def test_a_training_of_one_pair_is_a_failed_cell(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, micro_batches: tuple[str, ...], raised: bool
) -> None:
    from harness.pipeline.plan import plan_comparison

    overrides = Overrides(seeds="1", arms=["orpo"], sets=micro_batches)
    spec = load_comparison(find_comparison("embedded", model=None), overrides)
    plan = plan_comparison(spec, Resolved())
    root = RunRoot(tmp_path)
    root.open_for_writing()

    def run_stage(folder: Path, **_: Any) -> StageResult:
        raise FULL

    monkeypatch.setattr(execute, "run_stage", run_stage)
    execution = Execution(plan, root, [], offline=True, asked=Asked(spec, Resolved()))
    training = [digest for digest in plan.order if plan.stages[digest].kind == "train"][:1]
    if raised:
        with pytest.raises(OutOfMemory):
            execution.run(training, go_on=True)
    else:
        execution.run(training, go_on=True)
        assert list(execution.failed) == training


def test_the_child_says_that_memory_ran_out(tmp_path: Path) -> None:
    error = StageError(kind="out_of_memory", message="OutOfMemoryError: CUDA out of memory\nmore")
    (tmp_path / "error.json").write_text(error.model_dump_json())
    with pytest.raises(OutOfMemory, match=r"memory ran out \(OutOfMemoryError: CUDA out of memory\)"):
        runner._outcome(tmp_path, "t", 1)
    assert issubclass(OutOfMemory, StageFailed)


def test_the_hosts_memory_counts_too() -> None:
    import torch

    with pytest.raises(RuntimeError) as full:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert child._is_full(full.value)
    assert child._is_full(MemoryError())
    assert not child._is_full(RuntimeError("device-side assert triggered"))


def test_the_accelerators_memory_is_not_taken_for_the_hosts() -> None:
    said = "OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    assert memory_limit.WORDS.search(said) is None
    assert memory_limit.WORDS.search("MemoryError: Unable to allocate 3 GiB") is not None
