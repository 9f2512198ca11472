"""Chat completions of an OpenAI-compatible server: cached, retried, paced, and paid for."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.judges._cache import ReplyCache
from harness.judges._connection import open_client
from harness.judges._purse import Cap, CapReachedError, Purse, ledger_of
from harness.judges._replies import Reply, choice_of, read_reply
from harness.judges._server import ApiConfig, check_key, refusal

RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
MESSAGE_BYTES = 16
LONGEST_WAIT_SECONDS = 60.0
say = logging.getLogger("harness.judges").info


@dataclass(frozen=True)
class Request:
    """Messages and what goes beside them (`max_tokens`, `temperature`, `logprobs`, ...)."""

    messages: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, Any], ...] = ()

    def body(self, model: str) -> dict[str, Any]:
        """What is sent."""
        messages = [{"role": role, "content": text} for role, text in self.messages]
        return {"model": model, "messages": messages, **dict(self.settings)}


@dataclass
class Usage:
    """What was asked in this process."""

    calls: int = 0
    cache_hits: int = 0
    retries: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        """Count up, from any thread."""
        with self.lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)

    def add_fault(self, fault: str) -> None:
        """Count a reply that held no answer."""
        with self.lock:
            self.faults[fault] += 1


class ChatClient:
    """Asks many requests at once; replies come back in their order."""

    def __init__(self, config: ApiConfig, client: Any, cache: Path | None) -> None:
        self.config, self._client = config, client
        self._cache = ReplyCache(cache)
        self._pace = threading.Lock()
        self._next_call = 0.0
        self.purse = Purse(config.prices())
        if config.max_cost is not None:
            ledger = ledger_of(cache, f"{config.base_url} {config.model}")
            self.purse.add_cap(Cap(config.max_cost, ledger, config.model))
        self.usage = Usage()
        self._announced: set[Request] = set()

    def estimate(self, requests: Sequence[Request]) -> dict[str, Any]:
        """Requests that are not cached, and what they cost at most; money is None without prices."""
        fresh = [r for r in set(requests) if self._cache.get(self._key(r)) is None]
        worst = sum(self._worst(r) for r in fresh)
        return {"requests": len(fresh), "money_at_most": worst if self.purse.has_prices else None}

    def ask(
        self, requests: Sequence[Request], progress: Callable[[int, int], None] = lambda done, total: None
    ) -> list[dict[str, Any]]:
        """The choice of each reply (`message`, `logprobs`, `finish_reason`) in the requests' order.

        Equal requests are sent once. Raises UserError where the cap would be passed, or the server
        refuses for good; what was received stays in the cache. A reply that is none has no `content`.
        """
        distinct, before = list(dict.fromkeys(requests)), self.usage.faults.copy()
        self.announce(distinct)
        choice_by_request: dict[Request, dict[str, Any]] = {}
        with ThreadPoolExecutor(self.config.concurrency) as pool:
            futures = [pool.submit(self._one, request) for request in distinct]
            try:
                for number, (request, future) in enumerate(zip(distinct, futures, strict=True)):
                    choice_by_request[request] = future.result()
                    progress(number + 1, len(distinct))
            except BaseException as error:
                pool.shutdown(wait=False, cancel_futures=True)
                explained = self._explained(error)
                if explained is None:
                    raise
                # What a server said stands in the cause, which may repeat the key.
                raise explained from None
        self._say_faults(self.usage.faults - before, len(distinct))
        return [choice_by_request[request] for request in requests]

    def announce(self, requests: Sequence[Request]) -> None:
        """Say before the first call what is to be asked, and what it costs at most; each request once."""
        requests = [r for r in dict.fromkeys(requests) if r not in self._announced]
        self._announced.update(requests)
        coming = self.estimate(requests)
        if not coming["requests"]:
            return
        at_most = coming["money_at_most"]
        price = "no prices given" if at_most is None else f"at most {at_most:,.4f} by the prices given"
        cap = self.config.max_cost
        capped = f", stopping before {cap:g}" if cap is not None else ""
        say(
            f"judge {self.config.model}: {coming['requests']:,} of {len(requests):,} requests to send, "
            f"{price}{capped}"
        )

    def _say_faults(self, faults: Counter[str], asked: int) -> None:
        if faults:
            reasons = ", ".join(f"{fault}: {count:,}" for fault, count in faults.most_common())
            say(
                f"judge {self.config.model}: {faults.total():,} of {asked:,} replies held no answer "
                f"({reasons}), and count as unreadable"
            )

    def _one(self, request: Request) -> dict[str, Any]:
        key = self._key(request)
        known = self._cache.get(key)
        if known is not None:
            self.usage.add(cache_hits=1)
            return choice_of(known)
        reply = self.send(request)
        if reply.fault is None:
            self._cache.put(key, self._identity(request), reply.choice)
        else:
            # It is asked again by the next command: what was wrong may have passed by then.
            self.usage.add_fault(reply.fault)
        return reply.choice

    def send(self, request: Request) -> Reply:
        """One paid request, asked again with back-off where the server refuses for the moment."""
        import openai

        wait = self.config.first_wait_seconds
        for attempt in range(1, self.config.attempts + 1):
            worst = self._worst(request)
            self.purse.reserve(worst)
            self._wait_for_turn()
            try:
                asked = self._client.chat.completions.with_raw_response
                body = asked.create(**request.body(self.config.model)).content
            except openai.APIStatusError as error:
                self.purse.release(worst, maybe_charged=False)
                if error.status_code not in RETRIED or attempt == self.config.attempts:
                    raise
                asked_for = _retry_after(error)
            except (openai.APIConnectionError, TimeoutError):
                self.purse.release(worst, maybe_charged=True)
                if attempt == self.config.attempts:
                    raise
                asked_for = None
            else:
                return self._received(read_reply(body), worst)
            self.usage.add(retries=1)
            pause = wait * random.uniform(1.0, 1.25) if asked_for is None else asked_for
            time.sleep(min(pause, LONGEST_WAIT_SECONDS))
            wait *= 2
        raise AssertionError("unreachable")

    def _received(self, reply: Reply, worst: float) -> Reply:
        if reply.tokens is None:
            self.purse.release(worst, maybe_charged=True)
        else:
            self.purse.settle(worst, *reply.tokens)
        taken = reply.tokens or (0, 0)
        self.usage.add(calls=1, input_tokens=taken[0], output_tokens=taken[1])
        return reply

    def _wait_for_turn(self) -> None:
        if self.config.requests_per_minute is None:
            return
        with self._pace:
            now = time.monotonic()
            start = max(now, self._next_call)
            self._next_call = start + 60.0 / self.config.requests_per_minute
        time.sleep(start - now)

    def _worst(self, request: Request) -> float:
        size = sum(len(text.encode("utf-8", "surrogatepass")) + MESSAGE_BYTES for _, text in request.messages)
        longest = dict(request.settings).get("max_tokens", self.config.max_tokens)
        return self.purse.worst(size, int(longest))

    def _identity(self, request: Request) -> dict[str, Any]:
        return {"base_url": self.config.base_url, **request.body(self.config.model)}

    def _key(self, request: Request) -> str:
        return self._cache.key(self._identity(request))

    def _explained(self, error: BaseException) -> UserError | None:
        if isinstance(error, CapReachedError):
            return UserError(
                f"judge {error.cap.name} has used {error.cap.ledger.taken():.4f} of max_cost "
                f"{error.cap.limit:g} in this command, and the next request could pass it",
                remedy="raise max_cost and run the same command again: what was answered is kept",
            )
        return refusal(self.config, error)


def _retry_after(error: Any) -> float | None:
    """Seconds that the server asks to wait for, where it says a number."""
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def connect(config: ApiConfig, cache: Path | None) -> ChatClient:
    """A client of the server; one of your own may want no key. Raises UserError where it is missing."""
    check_key(config)
    client = open_client(config.base_url, config.api_key_env, config.timeout_seconds)
    return ChatClient(config, client, cache)
