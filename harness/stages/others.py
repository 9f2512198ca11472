"""The other ranks of a stage on several devices: started by its own process, watched, and ended with it.

Whoever was started by torchrun or `accelerate launch` has the others already.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.measure import gpus
from harness.measure.ranks import ADDRESS, LOCAL_RANK, PORT, RANK, SIZE
from harness.records import StageError, StageRequest
from harness.redact import redact_file
from harness.whole_file import write_atomically

HERE = "127.0.0.1"
TAIL_LINES = 15
LAUNCH = (RANK, SIZE, LOCAL_RANK, ADDRESS, PORT, "LOCAL_WORLD_SIZE", "GROUP_RANK")
"""What a launcher says to a process; a stage that a comparison started has no business with it."""
ACCELERATES = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_USE_MEGATRON_LM")
BLAME_SECONDS, LEAVE_SECONDS = 5.0, 60.0


def devices_of(request: StageRequest) -> int:
    """How many devices a stage is to have; scoring and preparing have one."""
    if request.kind not in ("train", "rehearse"):
        return 1
    job = request.config.get("job", request.config)
    return int(job.get("config", {}).get("devices", 1))


def log_of(folder: Path, rank: int) -> Path:
    """What a rank other than 0 printed."""
    return folder / f"rank_{rank}.log"


def error_of(folder: Path, rank: int) -> Path:
    """Why a rank ended without having done its part."""
    return folder / ("error.json" if rank == 0 else f"error_{rank}.json")


class Others:
    """Ranks 1, 2, ... of the stage in `folder`: none of a stage on one device.

    One that dies takes the whole stage with it, at once, with the cause in `error.json`.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._ending = folder, False
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._lifeline: tuple[int, int] | None = None
        if size == 1:
            return
        os.environ.update(_launch(0, size, _free_port()))
        self._lifeline = os.pipe()
        for rank in range(1, size):
            error_of(folder, rank).unlink(missing_ok=True)
            self._processes[rank] = self._start(rank, size)
            threading.Thread(target=self._watch, args=(rank,), name=f"rank {rank}", daemon=True).start()

    def _start(self, rank: int, size: int) -> subprocess.Popen[bytes]:
        """In this process's group, so that whoever ends the stage ends all of it."""
        assert self._lifeline is not None
        with log_of(self._folder, rank).open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "harness.stages.child", str(self._folder), "", str(self._lifeline[0])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[self._lifeline[0]],
                env={**os.environ, **_launch(rank, size, int(os.environ[PORT]))},
            )

    def blame(self, patience: float = BLAME_SECONDS) -> StageError | None:
        """Why another rank has failed, which shows here as a lost connection; None where none has in time."""
        until = time.monotonic() + patience
        while self._processes:
            for rank, process in self._processes.items():
                if process.poll():
                    return self._cause(rank, process.returncode)
            if time.monotonic() > until:
                return None
            time.sleep(0.05)
        return None

    def leave(self) -> None:
        """Return when all have ended by themselves, as they do once their part is done."""
        self._ending = True
        for process in self._processes.values():
            try:
                process.wait(LEAVE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        self._clean()

    def end(self) -> None:
        """End them."""
        self._ending = True
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._clean()

    def _watch(self, rank: int) -> None:
        code = self._processes_when_started(rank).wait()
        # A moment for this process's own words, should both fail by the same cause.
        time.sleep(0.2)
        if code and not self._ending:
            write_atomically(error_of(self._folder, 0), self._cause(rank, code).model_dump_json(indent=1))
            self.end()
            os._exit(1)

    def _processes_when_started(self, rank: int) -> subprocess.Popen[bytes]:
        while rank not in self._processes:
            time.sleep(0.01)
        return self._processes[rank]

    def _cause(self, rank: int, code: int) -> StageError:
        log = log_of(self._folder, rank)
        redact_file(log)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        print("\n".join([f"the end of {log.name}:", *lines]), flush=True)
        try:
            told = StageError.model_validate_json(error_of(self._folder, rank).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return StageError(kind="failure", message=f"rank {rank} {how}; its log is {log.name}")
        if told.kind in ("user", "interrupted", "diverged"):
            return told
        return told.model_copy(update={"message": f"rank {rank}: {told.message}; its log is {log.name}"})

    def _clean(self) -> None:
        for rank in self._processes:
            redact_file(log_of(self._folder, rank))


def gather_ranks(request: StageRequest, folder: Path, *, by_command: bool) -> Others:
    """The other ranks that `request` needs, with this process's place among them in the environment.

    `by_command`: a comparison started this process, and not a launcher. Raises UserError where a launcher
    started another number of processes than the settings ask for.
    """
    devices, launched = devices_of(request), int(os.environ.get(SIZE, "1"))
    started_here = by_command or launched == 1
    if started_here and (by_command or devices > 1):
        for name in LAUNCH:
            os.environ.pop(name, None)
        launched = devices
        others = Others(folder, devices)
    elif _shards_by_itself():
        raise UserError(
            "accelerate's configuration asks for FSDP or DeepSpeed",
            where=str(folder / "request.json"),
            remedy="launch plain processes; training.parallel says how a stage is shared",
        )
    elif launched != devices:
        raise UserError(
            f"{launched} processes were started for a stage with training.devices: {devices}",
            where=str(folder / "request.json"),
            remedy=f"start {devices}, or let harness compare start them",
        )
    else:
        others = Others(folder, 1)
    take_own_device()
    return others


def _shards_by_itself() -> bool:
    """Whether `accelerate launch` was told to wrap models, which would be done twice."""
    return any(os.environ.get(name, "").lower() == "true" for name in ACCELERATES)


def take_own_device() -> None:
    """See the GPU of this rank alone, which is then the first of this process."""
    if int(os.environ.get(SIZE, "1")) > 1 and gpus.narrow_to(int(os.environ[LOCAL_RANK])):
        os.environ[LOCAL_RANK] = "0"


def _launch(rank: int, size: int, port: int) -> dict[str, str]:
    told: dict[str, Any] = {RANK: rank, LOCAL_RANK: rank, SIZE: size, "LOCAL_WORLD_SIZE": size}
    return {name: str(value) for name, value in {**told, ADDRESS: HERE, PORT: port}.items()}


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HERE, 0))
        return int(one.getsockname()[1])
