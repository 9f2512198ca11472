"""Real stages forked from a process that has imported: as fresh ones, and gone when they should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from func.test_orphans import wait_for
from func.test_stages import start

from harness import at_work
from harness.errors import StageFailed
from harness.records import StageResult
from harness.stages import fork_server, runner, starting
from harness.stages.starting import ForkServer
from perf.soak import started_with

pytestmark = pytest.mark.skipif(not starting.can_fork(), reason="forks on Linux alone")
KNOWN_THREADS = {"python", "jemalloc_bg_thd"}
"""Of BLAS libraries, which are called as their process and which forks restart, and of Arrow's allocator."""
COMPUTES = """
import json, os, sys
from harness.stages import fork_server
fork_server.import_all()
threads = {open(f"/proc/self/task/{one}/comm").read().strip() for one in os.listdir("/proc/self/task")}
print(json.dumps([sorted(threads), fork_server.fit_to_fork()]), flush=True)
import numpy, pyarrow, pyarrow.compute, scipy.linalg, torch
if os.fork() == 0:
    square = numpy.random.default_rng(0).normal(size=(300, 300))
    scipy.linalg.inv(square)
    pyarrow.compute.sum(pyarrow.array(square.ravel()))
    loss = (torch.from_numpy(square).float().requires_grad_() @ torch.ones(300, 300)).sum()
    loss.backward()
    print("computed", numpy.linalg.eigvals(square).shape, flush=True)
    os._exit(0)
os.wait()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    with ForkServer() as one:
        yield one


def run(folder: Path, server: ForkServer, listen: Any = lambda message: None, **settings: Any) -> StageResult:
    folder.mkdir()
    return runner.run_stage(start(folder, **settings), name="t", listen=listen, starter=server)


def server_of(server: ForkServer) -> int:
    assert server._server is not None
    return server._server._process.pid


@pytest.mark.slow
def test_a_stage_starts_at_once_and_says_the_same(
    tmp_path: Path, server: ForkServer, fresh: StageResult
) -> None:
    first, second = (run(tmp_path / name, server) for name in ("a", "b"))
    assert second.facts == first.facts == fresh.facts
    digests = [{n: a.digest for n, a in one.artifacts.items()} for one in (first, second, fresh)]
    assert digests[0] == digests[1] == digests[2]
    assert second.environment == fresh.environment


@pytest.mark.slow
def test_what_is_imported_does_not_survive_a_fork_badly() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMPUTES], capture_output=True, text=True, check=True, timeout=120
    )
    said, computed = done.stdout.strip().splitlines()
    threads, fit = json.loads(said)
    assert fit
    assert set(threads) <= KNOWN_THREADS
    assert computed == "computed (300,)"


@pytest.mark.slow
def test_an_opened_accelerator_makes_stages_fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'harness.stages.fork_server' in ' '.join(sys.orig_argv):\n"
        "    import torch\n"
        "    # As torch says of itself in a child whose parent counted CUDA's devices.\n"
        "    torch.cuda._is_in_bad_fork = lambda: True\n"
    )
    (tmp_path / "stage").mkdir()
    environment = {"PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    with ForkServer() as one:
        runner.run_stage(
            start(tmp_path / "stage"),
            name="t",
            listen=lambda message: None,
            environment=environment,
            starter=one,
        )
        assert one._given_up
        assert one._server is None


@pytest.mark.slow
def test_errors_and_signals_are_told_as_of_fresh_stages(tmp_path: Path, server: ForkServer) -> None:
    with pytest.raises(StageFailed, match="stage t failed: ValidationError") as failure:
        run(tmp_path / "wrong", server, nonsense=1)
    assert "Extra inputs are not permitted" in failure.value.log_tail

    def kill(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            os.kill(int((tmp_path / "killed" / at_work.AT_WORK).read_text()), signal.SIGKILL)

    with pytest.raises(StageFailed, match="ended by SIGKILL"):
        run(tmp_path / "killed", server, kill)
    assert run(tmp_path / "after", server).facts.kind == "prepare"


@pytest.mark.slow
def test_a_server_that_dies_takes_its_stage_and_is_started_again(tmp_path: Path, server: ForkServer) -> None:
    run(tmp_path / "before", server)
    first = server_of(server)

    def kill(message: dict[str, Any]) -> None:
        if message.get("phase") == "start-up":
            os.kill(first, signal.SIGKILL)

    with pytest.raises(StageFailed, match="ended by SIGKILL"):
        run(tmp_path / "during", server, kill)
    assert run(tmp_path / "after", server).facts.kind == "prepare"
    assert server_of(server) != first


@pytest.mark.slow
def test_a_stage_hears_its_own_environment_and_not_the_servers(tmp_path: Path, server: ForkServer) -> None:
    run(tmp_path / "one", server)
    first = server_of(server)
    (tmp_path / "two").mkdir()
    other = {"READ_ON_IMPORT": "1"}
    runner.run_stage(
        start(tmp_path / "two"), name="t", listen=lambda message: None, environment=other, starter=server
    )
    assert server_of(server) != first


COMMAND = """
import sys
from pathlib import Path
from harness.stages import runner
from harness.stages.starting import ForkServer
with ForkServer() as server:
    runner.run_stage(Path(sys.argv[1]), name="t", listen=lambda message: None, starter=server)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_command_leaves_neither_stage_nor_server(tmp_path: Path, stopped: bool) -> None:
    folder = start(tmp_path, data={"max_length": 64, "limit": 20_000})
    mark = f"{tmp_path}/mark"
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(folder)], env={**os.environ, "MARK_OF_TEST": mark}
    )
    at_work_file = folder / at_work.AT_WORK
    wait_for(lambda: at_work_file.exists() and at_work_file.read_text(), seconds=120.0)
    if stopped:
        os.kill(int(at_work_file.read_text()), signal.SIGSTOP)
    command.kill()
    command.wait()
    wait_for(lambda: not started_with(mark), seconds=10.0)
    assert not (folder / "result.json").exists()


def test_every_import_of_the_server_is_a_module() -> None:
    from importlib.util import find_spec

    assert all(find_spec(name) is not None for name in fork_server.IMPORTS)
