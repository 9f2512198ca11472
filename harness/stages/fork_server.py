"""A process that has imported what stages need, and forks one process for each of them.

Importing torch and its libraries takes seconds, and a comparison has dozens of stages. This process imports
and does nothing else: it opens no accelerator, computes nothing and starts no thread of its own, so what it
forks is a fresh process that need not import. It talks to the command that started it in messages of JSON
over a socket, and ends with that.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import NoReturn, TypedDict

IMPORTS = (
    "harness.stages.child",
    "harness.stages.prepare",
    "harness.stages.check",
    "harness.stages.rehearse",
    "harness.stages.rehearse_evaluate",
    "harness.stages.train",
    "harness.stages.evaluate",
    "harness.stages.judge",
    "harness.data.prepare",
    "harness.generate.answer",
    "harness.generate.engines.continuous",
    "harness.generate.engines.padded",
    "harness.generate.load",
    "harness.generate.logprobs",
    "harness.measure.memory",
    "harness.training.rehearse",
    "harness.training.run",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
)
LARGEST = 1 << 20
PR_SET_NAME = 15


class Wanted(TypedDict):
    """An order as it comes over the socket; its log, pipe and lifeline come beside it."""

    folder: str
    environment: dict[str, str]


def main(arguments: list[str]) -> int:
    """Import, then serve the command at the other end of the socket of `arguments[0]` until it is gone."""
    with socket.socket(fileno=int(arguments[0])) as command:
        # Ctrl-C in a terminal is the command's to hear, and it ends its stage itself.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        import_all()
        gc.collect()
        # What is here now is looked at by no collector again, so children share its pages.
        gc.freeze()
        _tell(command, {"ready": os.getpid(), "fit": fit_to_fork()})
        _serve(command)
    return 0


def import_all() -> None:
    """All that stages import, and what they would each read or make before their work."""
    for name in IMPORTS:
        importlib.import_module(name)
    from harness.generate.load import ready_to_load
    from harness.measure.environment import installed, versions

    ready_to_load()
    installed()
    versions()


def fit_to_fork() -> bool:
    """Whether the imports opened no accelerator, whose driver does not survive a fork: a child tells."""
    from harness.measure import device

    pid = _forked()
    if pid == 0:
        os._exit(int(device.lost_by_fork()))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _serve(command: socket.socket) -> None:
    """Fork for each order; tell of each child that ends."""
    children: dict[int, int] = {}
    while True:
        for ready in select.select([command.fileno(), *children], [], [])[0]:
            if ready != command.fileno():
                pid = children.pop(ready)
                os.close(ready)
                _tell(command, {"ended": pid, "code": os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])})
                continue
            text, fds, _, _ = socket.recv_fds(command, LARGEST, 3)
            if not text:
                return
            pid = _fork(json.loads(text), fds, [command.fileno(), *children])
            children[os.pidfd_open(pid)] = pid
            _tell(command, {"began": pid})


def _fork(order: Wanted, fds: list[int], own: list[int]) -> int:
    """A child that runs the stage of `order`; its number. `fds` are its log, its pipe and its lifeline."""
    pid = _forked()
    if pid == 0:
        try:
            _become(order, fds, own)
        finally:
            # Whatever happens, it is no second server.
            os._exit(1)
    for fd in fds:
        os.close(fd)
    # Both sides say so, since either may be first, and the command signals the whole group.
    with contextlib.suppress(OSError):
        os.setpgid(pid, pid)
    return pid


def _forked() -> int:
    with warnings.catch_warnings():
        # The threads that Python warns of are those of BLAS and of an allocator, which know of forks.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _become(order: Wanted, fds: list[int], own: list[int]) -> NoReturn:
    """Turn this process, which has just been forked, into one that runs a stage."""
    from harness.stages import child

    os.setpgid(0, 0)
    log, pipe, lifeline = fds
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    for stream in (1, 2):
        os.dup2(log, stream)
    for fd in (log, *own):
        os.close(fd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(order["environment"])
    ctypes.CDLL(None).prctl(PR_SET_NAME, f"stage {Path(order['folder']).name[:8]}".encode(), 0, 0, 0)
    sys.argv = [child.__file__ or "", order["folder"], str(pipe), str(lifeline)]
    child.run_and_exit(sys.argv[1:])


def _tell(command: socket.socket, message: dict[str, object]) -> None:
    """The command may be gone already, which the next read tells."""
    with contextlib.suppress(OSError):
        command.send(json.dumps(message).encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
