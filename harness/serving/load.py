"""So many clients at once, each of which asks again as soon as it was answered."""

from __future__ import annotations

import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from harness.records import LoadLevel
from harness.serving.asking import Messages, Reply, ask
from harness.serving.figures import level_of

Ask = Callable[[Messages], Reply]
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True)
class LoadPlan:
    """At least `requests` at each number of `clients`, of at most `max_tokens` tokens an answer."""

    clients: Sequence[int]
    requests: int
    max_tokens: int

    def asked_by(self, clients: int) -> int:
        """As many for each client: with a last round of a few, fewer would be measured than are named."""
        return -(-self.requests // clients) * clients


def measure(
    port: int,
    model: str,
    prompts: Sequence[Messages],
    plan: LoadPlan,
    *,
    progress: Progress = lambda clients, total, done: None,
    check: Callable[[], None] = lambda: None,
) -> Iterator[LoadLevel]:
    """A level at a time. `progress` hears clients, total and done; `check` raises where the server is gone.

    Prompts go on from one level to the next, since a server answers faster what it was asked before; where
    they are used up they begin again, which `distinct_prompts` tells.
    """

    def asked(messages: Messages) -> Reply:
        return ask(port, model, messages, max_tokens=plan.max_tokens)

    place = 0
    for clients in plan.clients:
        _ask_all(asked, _from(prompts, place, clients), clients)
        place += clients
        chosen = _from(prompts, place, plan.asked_by(clients))
        begun = time.perf_counter()
        replies = _ask_all(asked, chosen, clients, functools.partial(progress, clients, len(chosen)))
        seconds = time.perf_counter() - begun
        new = max(0, min(len(chosen), len(prompts) - place))
        place += len(chosen)
        check()
        yield level_of(replies, clients=clients, warm_up=clients, seconds=seconds, distinct=new)


def _from(prompts: Sequence[Messages], place: int, count: int) -> list[Messages]:
    return list(
        itertools.islice(itertools.cycle(prompts), place % len(prompts), place % len(prompts) + count)
    )


def _ask_all(
    asked: Ask, prompts: Sequence[Messages], clients: int, tell: Callable[[int], None] = lambda done: None
) -> list[Reply]:
    """Replies in the order in which they came."""
    left, replies, lock = iter(prompts), list[Reply](), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                messages = next(left, None)
            if messages is None:
                return
            reply = asked(messages)
            with lock:
                replies.append(reply)
                tell(len(replies))

    threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies
