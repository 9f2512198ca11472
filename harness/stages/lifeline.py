"""What ties a stage's process to the command that started it: no command, no stage.

A stage that outlived its command would train on beside the next attempt at the same stage, and each would
spoil the other's times.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

PARENT_DEATH_SIGNAL = 1
"""prctl's PR_SET_PDEATHSIG."""


def end_with_parent(fd: int) -> None:
    """End this process and its group when the parent does, in whatever way: nobody holds `fd`'s other end.

    Linux is asked for the same, since it also ends a process that is stopped or stuck in a library.
    """
    os.set_inheritable(fd, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    threading.Thread(target=_wait_and_end, args=(fd,), name="lifeline", daemon=True).start()


def _wait_and_end(fd: int) -> None:
    while os.read(fd, 1):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)
