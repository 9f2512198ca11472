"""A stage on two devices, as processes: started by the stage or by torchrun, and a rank that dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from func.test_orphans import stages_in

from harness.errors import StageFailed
from harness.records import StageRequest, StageResult, TrainFacts
from harness.sealed import read_sealed
from harness.stages import runner
from harness.store.run_dir import RunRoot

DATA = {"max_length": 64, "limit": 96, "test_limit": 5}
TRAINING = {"learning_rate": 0.005, "batch_size": 8, "micro_batch_size": 4, "precision": "float32"}
PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> RunRoot:
    """A root with prepared pairs, and the stage `alone` on one device."""
    root = RunRoot(tmp_path_factory.mktemp("root"))
    root.open_for_writing()
    run(root, "prepared", "prepare", {"model": "embedded", "data": DATA})
    run(root, "alone", "train", job(root, devices=1))
    return root


def job(root: RunRoot, *, devices: int, **settings: Any) -> dict[str, Any]:
    return {"method": "orpo", "config": {**TRAINING, "lambda": 0.25, "devices": devices, **settings}}


def started(root: RunRoot, digest: str, kind: Any, config: dict[str, Any]) -> Path:
    inputs = {} if kind == "prepare" else {"prepared": str(root.stage_folder("prepared").resolve())}
    attempt = os.urandom(4).hex()
    request = StageRequest(
        digest=digest, kind=kind, name=digest, seed=0, attempt=attempt, config=config, inputs=inputs
    )
    return root.start_stage(request, owner="run")


def run(root: RunRoot, digest: str, kind: Any, config: dict[str, Any], listen: Any = lambda _: None) -> Any:
    devices = config["config"]["devices"] if kind == "train" else 1
    folder = started(root, digest, kind, config)
    return runner.run_stage(folder, name=digest, listen=listen, devices=devices)


def counted(result: StageResult) -> dict[str, Any]:
    names = ("flops", "tokens_real", "tokens_padded", "tokens_scored", "pairs", "steps")
    return {m.quantity: m.value for m in result.ledger if m.quantity in names}


def loss_of(result: StageResult) -> float:
    probe = result.facts_as(TrainFacts).first_loss
    assert probe is not None
    return probe


@pytest.mark.slow
def test_a_stage_starts_its_other_rank_and_charges_for_both(root: RunRoot) -> None:
    alone = root.finished("alone")
    both: StageResult = run(root, "both", "train", job(root, devices=2))
    assert alone is not None
    assert counted(both) == counted(alone)
    assert loss_of(both) == pytest.approx(loss_of(alone), abs=1e-5)
    figures = {m.quantity: m.value for m in both.ledger}
    assert figures["device_seconds"] == pytest.approx(2 * (figures["wall_seconds"] or 0))
    parallel = both.facts_as(TrainFacts).parallel
    assert parallel is not None
    seconds = [rank.seconds or 0.0 for rank in parallel.ranks]
    assert seconds[0] == figures["wall_seconds"]
    assert seconds[1] == pytest.approx(seconds[0], rel=0.05)
    assert all(0 < (rank.waited_seconds or 0.0) < (rank.seconds or 0.0) for rank in parallel.ranks)
    peaks = [rank.peak_memory_bytes or 0.0 for rank in parallel.ranks]
    assert figures["peak_memory_bytes"] == max(peaks)
    assert figures["summed_memory_bytes"] == sum(peaks)
    assert (root.stage_folder("both") / "rank_1.log").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "said"),
    [(1, r"rank 1 was ended by SIGKILL; its log is rank_1\.log"), (0, "its process was ended by SIGKILL")],
)
def test_a_rank_that_dies_ends_the_stage(root: RunRoot, rank: int, said: str) -> None:
    began = time.monotonic()

    def kill(message: dict[str, Any]) -> None:
        if message.get("step") == 3:
            os.kill(sorted(stages_in(root.stage_folder("broken")))[rank], signal.SIGKILL)

    with pytest.raises(StageFailed, match=said):
        run(root, "broken", "train", job(root, devices=2, epochs=50.0), kill)
    while stages_in(root.stage_folder("broken")):
        assert time.monotonic() - began < PATIENCE_SECONDS
        time.sleep(0.1)


@pytest.mark.slow
def test_torchrun_starts_the_ranks_too(root: RunRoot) -> None:
    folder = started(root, "torchrun", "train", job(root, devices=2))
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29617"]
    done = subprocess.run(
        [*launch, "-m", "harness.stages.child", str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=runner.child_environment(2),
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    alone, both = root.finished("alone"), read_sealed(folder / "result.json", StageResult)
    assert alone is not None
    assert counted(both) == counted(alone)
    assert loss_of(both) == pytest.approx(loss_of(alone), abs=1e-5)


@pytest.mark.slow
def test_another_number_of_processes_is_refused(root: RunRoot) -> None:
    folder = started(root, "three", "train", job(root, devices=2))
    environment = {**runner.child_environment(2), "RANK": "0", "WORLD_SIZE": "3", "LOCAL_RANK": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "harness.stages.child", str(folder)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env=environment,
        check=False,
    )
    assert done.returncode == 2
    assert (
        "3 processes were started for a stage with training.devices: 2" in (folder / "error.json").read_text()
    )
