"""Two processes that train one stage together, forked from the test's, which has imported all they need."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness.measure.ranks import ADDRESS, LOCAL_RANK, PORT, RANK, SIZE, Ranks, ranks_here
from harness.training.job import TrainJob, TrainOutcome
from harness.training.run import take_part, train

PATIENCE_SECONDS = 300


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def together(work: Callable[[Ranks], Any], size: int = 2) -> Any:
    """What rank 0 of `size` gives back; raises where one of them fails."""
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    port = free_port()

    def run(rank: int) -> None:
        os.environ.update(
            {RANK: str(rank), LOCAL_RANK: str(rank), SIZE: str(size), ADDRESS: "127.0.0.1", PORT: str(port)}
        )
        try:
            ranks = ranks_here()
            ranks.join()
            found = work(ranks)
            if ranks.first:
                send.send(found)
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
        os._exit(0)

    processes = [context.Process(target=run, args=(rank,)) for rank in range(size)]
    for process in processes:
        process.start()
    send.close()
    try:
        found = receive.recv() if receive.poll(PATIENCE_SECONDS) else None
    except EOFError:
        found = None
    for process in processes:
        process.join(PATIENCE_SECONDS)
    codes = [process.exitcode for process in processes]
    assert codes == [0] * size, codes
    return found


def trained_together(job: TrainJob, size: int = 2) -> TrainOutcome:
    """The outcome of `job` on `size` ranks."""

    def work(ranks: Ranks) -> TrainOutcome | None:
        mine = replace(job, ranks=ranks)
        return train(mine) if ranks.first else take_part(mine)

    outcome: TrainOutcome = together(work, size)
    return outcome
