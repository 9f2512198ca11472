"""The parent's side of a stage: start the child, watch it, stop it, read what it wrote."""

from __future__ import annotations

import functools
import os
import selectors
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.errors import Interrupted, OutOfMemory, StageFailed, UserError
from harness.full_disk import EXIT_CODE, TIGHT_BYTES, free_bytes, full_disk
from harness.judges import COMMAND
from harness.measure import gpus
from harness.records import StageError, StageRequest, StageResult
from harness.redact import redact_file
from harness.stages import memory_limit
from harness.stages.context import read_result
from harness.stages.messages import Messages
from harness.stages.starting import SPAWNED_AT, Child, FreshProcess, Order, Starter
from harness.stages.vigil import BEAT, Silence, Vigil, state_in_words, where_it_hangs

Listener = Callable[[dict[str, Any]], None]
GRACE_SECONDS, GONE_SECONDS = 10.0, 60.0
LOOK_SECONDS = 1.0
TAIL_LINES = 15


def run_stage(
    folder: Path,
    *,
    name: str,
    listen: Listener,
    environment: Mapping[str, str] | None = None,
    patience_seconds: float | None = None,
    starter: Starter | None = None,
    devices: int = 1,
) -> StageResult:
    """Run the stage whose `request.json` stands in `folder` in a fresh process.

    `listen` gets every progress message. Raises UserError for what the user can fix, StageFailed
    for a crash, no progress for longer than `patience_seconds` or a missing result, Interrupted on Ctrl-C.
    `starter` makes the process, a fresh interpreter where there is none, which sees so many `devices`.
    """
    log = folder / "log.txt"
    read_end, write_end = os.pipe()
    # Nothing is ever written into the lifeline: it breaks when this process ends, however it does.
    childs_lifeline, lifeline = os.pipe()
    with log.open("wb") as sink:
        order = Order(
            folder=folder,
            environment={
                **child_environment(devices),
                **(environment or {}),
                SPAWNED_AT: str(time.monotonic()),
            },
            log=sink.fileno(),
            pipe=write_end,
            lifeline=childs_lifeline,
        )
        try:
            child = (starter or FreshProcess()).start(order)
        except KeyboardInterrupt as asked:
            os.close(read_end)
            os.close(lifeline)
            raise Interrupted(name) from asked
        finally:
            os.close(write_end)
            os.close(childs_lifeline)
    try:
        hung = _watch(child, read_end, listen, patience_seconds, log)
    except KeyboardInterrupt as asked:
        stop(child)
        raise Interrupted(name) from asked
    finally:
        os.close(read_end)
        os.close(lifeline)
        # The child's Python writes none; what libraries below it wrote is cleaned here.
        redact_file(log)
    if hung is not None:
        raise _failed(folder, name, hung)
    return _outcome(folder, name, child.wait())


def child_environment(devices: int = 1) -> dict[str, str]:
    """The parent's environment, with as many GPUs as the stage has devices, and with what keeps libraries
    quiet and deterministic.

    Large logits on a CPU are new memory at every chunk, and touching it page by page took more
    time than the products; huge pages halve the time. The user's own setting wins.
    """
    return {
        "THP_MEM_ALLOC_ENABLE": "1",
        COMMAND: _this_command(),
        **os.environ,
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Nobody else's conversion of pickled weights is loaded in their place.
        "DISABLE_SAFETENSORS_CONVERSION": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "PYTHONUNBUFFERED": "1",
        # NVML, which names the device in the plan, numbers GPUs by slot; CUDA then does too.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        # An index means a place among the parent's GPUs; the child has one.
        gpus.DEVICE: "",
        **gpus.hiding(devices),
    }


@functools.cache
def _this_command() -> str:
    """A name that all stages of this process share, and no other command has."""
    return uuid.uuid4().hex


def stop(child: Child) -> None:
    """Ask the child's process group to end, and end it after a grace period.

    A process that waits for a dead file system cannot be ended, and is not waited for without end.
    """
    for number, patience in ((signal.SIGINT, GRACE_SECONDS), (signal.SIGKILL, GONE_SECONDS)):
        try:
            os.killpg(child.pid, number)
        except ProcessLookupError:
            break
        try:
            child.wait(patience)
            break
        except subprocess.TimeoutExpired:
            continue


def _watch(child: Child, fd: int, listen: Listener, patience: float | None, log: Path) -> str | None:
    """Pass messages on until the child closes its end; why it was ended, if it was.

    The parent sleeps in `select` between messages, so that it takes no time from the child.
    """
    vigil, messages = Vigil(patience), Messages()
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while True:
            if not selector.select(LOOK_SECONDS if patience is None else min(LOOK_SECONDS, patience)):
                listen({})
                if child.poll() is not None:
                    return None
                # What the child said while this process stood still waits in the pipe, and is no silence.
                silence = None if selector.select(0) else vigil.notices()
                if silence is not None and (ended := _about(silence, child, log, listen)) is not None:
                    return ended
                continue
            chunk = os.read(fd, 65536)
            if not chunk:
                child.wait()
                return None
            for message in messages.feed(chunk):
                vigil.hears(message)
                if BEAT not in message:
                    listen(message)


def _about(silence: Silence, child: Child, log: Path, listen: Listener) -> str | None:
    """Say what a silence means; where it was too long end the child, and return why."""
    if silence.kind == "unanswered":
        text = (
            f"process {child.pid} has not answered for {silence.seconds:.0f} s: {state_in_words(child.pid)}"
        )
        listen({"say": text})
        return None
    frame = where_it_hangs(child.pid, log)
    where = f"at {frame}; all stacks are in {log}" if frame else state_in_words(child.pid)
    text = f"no step and no phase for {silence.seconds:.0f} s: {where}"
    if silence.kind == "stuck":
        listen({"say": text})
        return None
    stop(child)
    return f"{text}; ended by --stage-timeout"


def _outcome(folder: Path, name: str, code: int) -> StageResult:
    if code == 0 and (folder / "result.json").is_file():
        return _own_result(folder, name)
    if not folder.is_dir():
        raise UserError(
            f"the folder of stage {name} was removed while it ran",
            where=str(folder),
            remedy="see that nothing clears the folder of runs; the same command goes on with what is left",
        )
    error_file = folder / "error.json"
    if _ran_out_of_disk(folder, code):
        raise full_disk(folder, f"the disk is full, so stage {name} stopped")
    if error_file.is_file():
        error = StageError.model_validate_json(error_file.read_text(encoding="utf-8"))
        if error.kind == "user":
            raise UserError(
                error.fact or error.message, remedy=error.remedy or "see the log", where=error.where
            )
        cause = memory_limit.explained(error.message)
        if error.kind == "out_of_memory":
            # torch says in many lines what it had allocated.
            cause = f"memory ran out ({cause.strip().splitlines()[0]})" if cause == error.message else cause
            raise OutOfMemory(name, cause=cause, log_path=str(folder / "log.txt"), log_tail="")
        raise _failed(folder, name, cause, again=error.kind != "diverged")
    failed = _failed(folder, name, f"its process ended with exit code {code} and no result")
    if code < 0:
        hint = ", which is how Linux ends a process when memory runs out" if code == -9 else ""
        failed = _failed(folder, name, f"its process was ended by {signal.Signals(-code).name}{hint}")
    killed = code == -signal.SIGKILL
    raise _failed(folder, name, memory_limit.explained(failed.cause, failed.log_tail, killed=killed))


def _ran_out_of_disk(folder: Path, code: int) -> bool:
    """Whether the child said so, or could not say anything where next to nothing is free."""
    if code == EXIT_CODE:
        return True
    return code > 0 and not (folder / "error.json").is_file() and free_bytes(folder) < TIGHT_BYTES


def _own_result(folder: Path, name: str) -> StageResult:
    """The result, if it is of the attempt that was asked for."""
    try:
        result = read_result(folder)
    except ValueError as error:
        raise _failed(folder, name, f"its result cannot be read ({str(error).splitlines()[0]})") from error
    asked = StageRequest.model_validate_json((folder / "request.json").read_text(encoding="utf-8"))
    if result.attempt != asked.attempt:
        raise _failed(folder, name, "its result is of another attempt, whose process still ran")
    return result


def _failed(folder: Path, name: str, cause: str, *, again: bool = True) -> StageFailed:
    """The failure with the log's last lines, which tell nothing where trying again does not help."""
    log = folder / "log.txt"
    if not again:
        return StageFailed(name, cause=cause, log_path=str(log), log_tail="", again=False)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return StageFailed(name, cause=cause, log_path=str(log), log_tail="\n".join(lines[-TAIL_LINES:]))
