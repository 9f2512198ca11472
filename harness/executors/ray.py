"""A Ray cluster: each job is one task on one node, with one accelerator or some of its cores."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.errors import UserError
from harness.executors import (
    LOCK,
    LOG,
    OVER,
    PLACE,
    THREADS,
    EndsWithCommand,
    Job,
    JobState,
    OwnJob,
    Place,
)
from harness.executors._process import (
    GRACE_SECONDS,
    WHERE,
    place_said,
    say_place,
    start_process,
    state_of,
    stop_process,
)
from harness.measure.environment import cpu_kind, cpu_name
from harness.measure.nvml import list_gpus
from harness.pipeline.executor_spec import RaySpec

try:
    import ray
    from ray.exceptions import GetTimeoutError, RayError, RayTaskError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError:
    raise UserError(
        "the executor ray needs Ray",
        where="executor",
        remedy="install it by pip install 'orpo-harness[ray]', on this machine and on all nodes",
    ) from None

POLL_SECONDS, PROBE_SECONDS = 0.2, 120.0


def places_of(spec: RaySpec) -> Sequence[Place]:
    """The devices of a cluster's nodes that live; connects to it. Raises UserError where there is none of
    use, or where they are of several kinds."""
    _connect(spec)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    with_gpus = [node for node in nodes if _gives(node["Resources"], spec)]
    places = _gpu_places(with_gpus) if with_gpus else _core_places(nodes, spec)
    if not places:
        wanted = f" of type {spec.accelerator_type}" if spec.accelerator_type else ""
        raise UserError(
            f"the cluster has no device{wanted} for a block",
            where="executor",
            remedy="`ray status` lists what it has",
        )
    kinds = list(dict.fromkeys(place.kind for place in places))
    if len(kinds) > 1:
        raise UserError(
            f"the cluster has several kinds of device ({', '.join(kinds)})",
            where="executor",
            remedy="choose one by accelerator_type, or connect to a cluster of one kind",
        )
    return places


def opened(spec: RaySpec, places: Sequence[Place]) -> RayExecutor:
    """The executor on the cluster of `spec`, which one command may open several times."""
    _connect(spec)
    return RayExecutor(spec, places)


def _connect(spec: RaySpec) -> None:
    """Join the cluster, or make one; Ray's own handlers of signals are not those of a command."""
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(address=spec.address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RayError, ValueError) as error:
        raise UserError(
            f"no Ray cluster could be joined ({str(error).splitlines()[0]})",
            where=f"executor.address: {spec.address}",
            remedy="start one by `ray start --head`, or make one by executor.address=local",
        ) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _gives(resources: Mapping[str, float], spec: RaySpec) -> bool:
    if spec.accelerator_type is None:
        return resources.get("GPU", 0) >= 1
    return resources.get("GPU", 0) >= 1 and f"accelerator_type:{spec.accelerator_type}" in resources


def _gpu_places(nodes: Sequence[Mapping[str, Any]]) -> list[Place]:
    names = _asked(_gpu_names, nodes)
    return [
        Place(node["NodeManagerHostname"], f"cuda:{gpus[0]}", f"GPU {index} of node {node['NodeID'][:8]}")
        for node, gpus in zip(nodes, names, strict=True)
        for index in range(int(node["Resources"]["GPU"]))
    ]


def _core_places(nodes: Sequence[Mapping[str, Any]], spec: RaySpec) -> list[Place]:
    """As many as fit: each has the same number of cores, by default those of the smallest node."""
    having = {node["NodeID"]: int(node["Resources"].get("CPU", 0)) for node in nodes}
    nodes = [node for node in nodes if having[node["NodeID"]] >= (spec.cpus or 1)]
    if not nodes or spec.accelerator_type is not None:
        return []
    cores = spec.cpus or min(having[node["NodeID"]] for node in nodes)
    names = _asked(cpu_name, nodes)
    return [
        Place(
            node["NodeManagerHostname"],
            cpu_kind(cores, name),
            f"{cores} core(s) of node {node['NodeID'][:8]}",
            {THREADS: str(cores)},
        )
        for node, name in zip(nodes, names, strict=True)
        for _ in range(having[node["NodeID"]] // cores)
    ]


def _gpu_names() -> list[str]:
    return [gpu.name for gpu in list_gpus() if gpu.name]


def _asked(question: Any, nodes: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What each node answers; asking takes none of its devices."""
    asked = ray.remote(question)
    answers = [
        asked.options(
            num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote()
        for node in nodes
    ]
    try:
        found: list[Any] = ray.get(answers, timeout=PROBE_SECONDS)
    except (RayError, GetTimeoutError) as error:
        raise UserError(
            f"a node does not answer ({str(error).strip().splitlines()[-1]})",
            where="executor",
            remedy="install this harness on every node, at the same version",
        ) from None
    return found


class RayExecutor(EndsWithCommand):
    """Hands jobs to the cluster, which queues them; a node that is lost loses its jobs."""

    def __init__(self, spec: RaySpec, places: Sequence[Place]) -> None:
        self._spec, self._places = spec, places
        self._jobs: dict[str, _RayJob] = {}

    def places(self) -> Sequence[Place]:
        """As they were when the comparison began."""
        return self._places

    def start(self, job: Job) -> _RayJob:
        """A task that starts once those of `needs` have ended."""
        needed = [self._jobs[name].task for name in job.needs if name in self._jobs]
        (job.folder / WHERE).unlink(missing_ok=True)
        task = ray.remote(run_job).options(max_retries=0, **self._resources())
        made = self._jobs[job.name] = _RayJob(job, task.remote(job, self._lock(), *needed))
        return made

    def _resources(self) -> dict[str, Any]:
        kind, variables = self._places[0].kind, self._places[0].variables
        if kind.startswith("cpu:"):
            return {"num_cpus": int(variables[THREADS])}
        named = {"accelerator_type": self._spec.accelerator_type} if self._spec.accelerator_type else {}
        return {"num_gpus": 1, **named}

    def _lock(self) -> dict[str, str]:
        """A GPU may be used by others than Ray; cores are the cluster's alone."""
        return {} if self._places[0].kind.startswith("cpu:") else {LOCK: "1"}

    def close(self) -> None:
        """Stop what runs, and leave the cluster, which ends where it was made for this command."""
        for job in self._jobs.values():
            job.stop()
        ray.shutdown()


class _RayJob(OwnJob):
    """A task, and what it says of itself in the job's folder."""

    def __init__(self, job: Job, task: Any) -> None:
        self._job, self.task = job, task
        self._over: JobState | None = None

    def state(self) -> JobState:
        """A task whose node, worker or dependency is gone is lost."""
        if self._over is None:
            done, _ = ray.wait([self.task], timeout=0)
            if not done:
                return "running" if (self._job.folder / WHERE).exists() else "waiting"
            self._over = self._outcome()
        return self._over

    def _outcome(self) -> JobState:
        try:
            state: JobState = ray.get(self.task)
        except RayTaskError as error:
            if isinstance(error.cause, KeyboardInterrupt | RayError):
                return "lost"
            with (self._job.folder / LOG).open("a", encoding="utf-8") as log:
                log.write(f"{error}\n")
            return "failed"
        except RayError:
            return "lost"
        return state

    def place(self) -> Place | None:
        """Where its task says that it runs."""
        return place_said(self._job.folder)

    def stop(self) -> None:
        """Ask its task to stop; one that does not is ended, and its worker with it."""
        if self.state() in OVER:
            return
        ray.cancel(self.task)
        ended, _ = ray.wait([self.task], timeout=GRACE_SECONDS + 10)
        if not ended:
            ray.cancel(self.task, force=True)


def run_job(job: Job, variables: Mapping[str, str], *needed: JobState) -> JobState:
    """The task: the job's command on this node, by its interpreter, until it ends or is asked to stop.

    Ray starts it once it has all that was `needed`. A task outlives the daemon of its node: it ends by
    itself then, so that nobody works in a stage's folder when the unit starts again elsewhere.
    """
    # Ray stops a task by the signal of Ctrl-C, which a cluster started in the background may ignore.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    place, daemon = _this_place(), os.getppid()
    here = replace(job, command=(sys.executable, *job.command[1:]))
    process = start_process(here, {**variables, PLACE: str(place)})
    try:
        say_place(job.folder, place)
        while process.poll() is None and os.getppid() == daemon:
            time.sleep(POLL_SECONDS)
        if os.getppid() == daemon:
            return state_of(process)
    except BaseException:
        stop_process(process)
        raise
    stop_process(process)
    return "lost"


def _this_place() -> Place:
    gpus = ray.get_gpu_ids()
    what = f"GPU {', '.join(map(str, gpus))}" if gpus else "cores"
    return Place(socket.gethostname(), "", f"{what} of node {ray.get_runtime_context().get_node_id()[:8]}")
