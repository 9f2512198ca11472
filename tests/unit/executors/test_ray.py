"""Which places a cluster has, and what becomes of a task: without a cluster, where Ray is installed."""

from __future__ import annotations

import importlib.util
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UserError
from harness.executors import LOCK, LOG, Job, Place
from harness.executors.opening import places_of
from harness.pipeline.executor_spec import RaySpec

CARD = {"GPU": 2.0, "CPU": 8.0, "accelerator_type:H200": 1.0}


def test_without_ray_one_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "harness.executors.ray", raising=False)
    with pytest.raises(UserError, match=r"needs Ray; install it by pip install 'orpo-harness\[ray\]'"):
        places_of(RaySpec(address="nowhere"))


@pytest.fixture
def module() -> Any:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    import harness.executors.ray as module

    return module


def cluster(monkeypatch: pytest.MonkeyPatch, module: Any, nodes: list[dict[str, float]], answer: Any) -> None:
    """A cluster of these nodes, the last of which is dead, each of which answers the same or by number."""
    listed = [
        {"NodeID": f"{i}" * 16, "NodeManagerHostname": f"n{i}", "Resources": one, "Alive": True}
        for i, one in enumerate(nodes)
    ]
    listed.append({**listed[0], "Alive": False})
    monkeypatch.setattr(module, "_connect", lambda spec: None)
    monkeypatch.setattr(module.ray, "nodes", lambda: listed)
    monkeypatch.setattr(module, "_asked", lambda what, of: [answer(int(node["NodeID"][0])) for node in of])


def test_each_gpu_is_a_place(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, module, [{"CPU": 4.0}, CARD], lambda i: ["NVIDIA H200", "NVIDIA H200"])
    found = module.places_of(RaySpec())
    assert [(place.node, place.kind) for place in found] == [("n1", "cuda:NVIDIA H200")] * 2
    assert len({place.device for place in found}) == 2
    with pytest.raises(UserError, match="no device of type A100 for a block"):
        module.places_of(RaySpec(accelerator_type="A100"))


def test_several_kinds_are_refused_and_one_is_chosen(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"GPU": 1.0, "accelerator_type:A100": 1.0}
    names = lambda i: [["H", "H"], ["A"]][i]  # noqa: E731
    cluster(monkeypatch, module, [CARD, other], names)
    with pytest.raises(UserError, match=r"several kinds of device \(cuda:H, cuda:A\); choose one by accel"):
        module.places_of(RaySpec())
    assert [place.kind for place in module.places_of(RaySpec(accelerator_type="A100"))] == ["cuda:A"]


def test_cores_are_shared_out_alike(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster(monkeypatch, module, [{"CPU": 4.0}, {"CPU": 2.0}, {}], lambda i: "x")
    assert [place.kind for place in module.places_of(RaySpec(cpus=1))] == ["cpu:x:1"] * 6
    assert {place.variables["OMP_NUM_THREADS"] for place in module.places_of(RaySpec(cpus=4))} == {"4"}
    with pytest.raises(UserError, match="no device for a block"):
        module.places_of(RaySpec(cpus=8))


class Raises:
    def __init__(self, error: BaseException | None) -> None:
        self.error = error

    def __call__(self, task: object) -> str:
        if self.error is not None:
            raise self.error
        return "finished"


def test_a_task_without_its_node_is_lost_and_one_that_broke_has_failed(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from ray.exceptions import NodeDiedError, RayTaskError, WorkerCrashedError

    broke = RayTaskError("run_job", "no module named harness", ImportError("no module"))
    asked = RayTaskError("run_job", "stopped", KeyboardInterrupt())
    endings = [(None, "finished"), (NodeDiedError("gone"), "lost"), (WorkerCrashedError(), "lost")]
    endings += [(asked, "lost"), (broke, "failed")]
    monkeypatch.setattr(module.ray, "wait", lambda tasks, timeout: (tasks, []))
    for error, state in endings:
        monkeypatch.setattr(module.ray, "get", Raises(error))
        assert module._RayJob(Job("unit", tmp_path, ("true",)), "task").state() == state
    assert "no module named harness" in (tmp_path / LOG).read_text()


@pytest.mark.parametrize(
    ("code", "parents", "state"),
    [
        ("pass", [7, 7], "finished"),
        ("raise SystemExit(3)", [7, 7], "failed"),
        ("import time; time.sleep(60)", [7, 7, 1], "lost"),
    ],
)
def test_a_task_ends_with_the_daemon_of_its_node(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str, parents: list[int], state: str
) -> None:
    monkeypatch.setattr(module, "_this_place", lambda: Place("n", "", "cores of node 0"))
    monkeypatch.setattr(module.os, "getppid", lambda: parents.pop(0) if len(parents) > 1 else parents[0])
    job = Job("unit", tmp_path, ("another node's python", "-c", code))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert module.run_job(job, {}) == state
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert module._RayJob(job, "task").place() == Place("n", "", "cores of node 0")


def test_a_task_that_does_not_stop_is_ended(
    module: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[dict[str, bool]] = []
    monkeypatch.setattr(module.ray, "wait", lambda tasks, timeout: ([], tasks))
    monkeypatch.setattr(module.ray, "cancel", lambda task, **how: asked.append(how))
    module._RayJob(Job("unit", tmp_path, ("true",)), "task").stop()
    assert asked == [{}, {"force": True}]


def test_a_block_takes_one_gpu_of_the_type_or_its_cores(module: Any) -> None:
    gpu = module.RayExecutor(RaySpec(accelerator_type="H200"), [Place("n", "cuda:H", "GPU 0")])
    assert gpu._resources() == {"num_gpus": 1, "accelerator_type": "H200"}
    assert gpu._lock() == {LOCK: "1"}
    cores = module.RayExecutor(RaySpec(), [Place("n", "cpu:x:3", "3 cores", {"OMP_NUM_THREADS": "3"})])
    assert cores._resources() == {"num_cpus": 3}
    assert cores._lock() == {}
