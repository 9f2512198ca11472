"""Chat completions of an OpenAI-compatible server: cached, retried, paced, and paid for."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import PositiveInt, model_validator

from harness.errors import UserError
from harness.judges._cache import ReplyCache
from harness.judges._purse import Cap, CapReachedError, Prices, Purse, ledger_of
from harness.pipeline.spec import NonNegative, SpecModel

RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
MESSAGE_BYTES = 16
LONGEST_WAIT_SECONDS = 60.0
say = logging.getLogger("harness.judges").info


class ApiConfig(SpecModel):
    """`base_url` None is OpenAI's own; the key is read from the variable `api_key_env`.

    Prices are the user's, for a million tokens. `max_cost` needs them: it is what this model at this URL may
    cost in one command, over all cells, benchmarks, orders and seats on juries.
    """

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    temperature: NonNegative = 0.0
    max_tokens: PositiveInt = 8
    timeout_seconds: NonNegative = 60.0
    attempts: PositiveInt = 6
    first_wait_seconds: NonNegative = 1.0
    concurrency: PositiveInt = 8
    requests_per_minute: PositiveInt | None = None
    price_per_million_input: NonNegative | None = None
    price_per_million_output: NonNegative | None = None
    max_cost: NonNegative | None = None

    @model_validator(mode="after")
    def _a_cap_needs_prices(self) -> ApiConfig:
        prices = (self.price_per_million_input, self.price_per_million_output)
        if (prices[0] is None) != (prices[1] is None):
            raise ValueError("give both price_per_million_input and price_per_million_output")
        if self.max_cost is not None and prices[0] is None:
            raise ValueError("max_cost needs price_per_million_input and price_per_million_output")
        return self

    def prices(self) -> Prices | None:
        """The user's prices, if there are any."""
        if self.price_per_million_input is None or self.price_per_million_output is None:
            return None
        return Prices(self.price_per_million_input, self.price_per_million_output)


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
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **counts: int) -> None:
        """Count up, from any thread."""
        with self.lock:
            for name, count in counts.items():
                setattr(self, name, getattr(self, name) + count)


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
        refuses for good; what was received stays in the cache.
        """
        distinct = list(dict.fromkeys(requests))
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
                raise self._explained(error) from error
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

    def _one(self, request: Request) -> dict[str, Any]:
        key = self._key(request)
        known = self._cache.get(key)
        if known is not None:
            self.usage.add(cache_hits=1)
            return known
        reply = self._send(request)
        self._cache.put(key, self._identity(request), reply)
        return reply

    def _send(self, request: Request) -> dict[str, Any]:
        """One paid request, asked again with back-off where the server refuses for the moment."""
        import openai

        wait = self.config.first_wait_seconds
        for attempt in range(1, self.config.attempts + 1):
            worst = self._worst(request)
            self.purse.reserve(worst)
            self._wait_for_turn()
            try:
                reply = self._client.chat.completions.create(**request.body(self.config.model))
            except openai.APIStatusError as error:
                self.purse.release(worst, maybe_charged=False)
                if error.status_code not in RETRIED or attempt == self.config.attempts:
                    raise
                asked_for = _retry_after(error)
            except openai.APIConnectionError:
                self.purse.release(worst, maybe_charged=True)
                if attempt == self.config.attempts:
                    raise
                asked_for = None
            else:
                return self._received(reply, worst)
            self.usage.add(retries=1)
            pause = wait * random.uniform(1.0, 1.25) if asked_for is None else asked_for
            time.sleep(min(pause, LONGEST_WAIT_SECONDS))
            wait *= 2
        raise AssertionError("unreachable")

    def _received(self, reply: Any, worst: float) -> dict[str, Any]:
        usage = reply.usage
        taken = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
        if usage is None:
            self.purse.release(worst, maybe_charged=True)
        else:
            self.purse.settle(worst, *taken)
        self.usage.add(calls=1, input_tokens=taken[0], output_tokens=taken[1])
        choice: dict[str, Any] = reply.choices[0].model_dump(mode="json")
        return choice

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

    def _explained(self, error: BaseException) -> BaseException:
        import openai

        name = self.config.model
        if isinstance(error, CapReachedError):
            return UserError(
                f"judge {error.cap.name} has used {error.cap.ledger.taken():.4f} of max_cost "
                f"{error.cap.limit:g} in this command, and the next request could pass it",
                remedy="raise max_cost and run the same command again: what was answered is kept",
            )
        if isinstance(error, openai.APIStatusError):
            return UserError(
                f"judge {name} refused with status {error.status_code} ({str(error.message)[:160]})",
                where=self.config.base_url,
                remedy="check the model's name, the key and the limits; what was answered is kept",
            )
        if isinstance(error, openai.APIConnectionError):
            return UserError(
                f"judge {name} cannot be reached",
                where=self.config.base_url or "OpenAI",
                remedy="check the network and base_url; what was answered is kept",
            )
        return error


def _retry_after(error: Any) -> float | None:
    """Seconds that the server asks to wait for, where it says a number."""
    try:
        return max(0.0, float(error.response.headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def connect(config: ApiConfig, cache: Path | None) -> ChatClient:
    """A client; a local server without a key gets a placeholder."""
    import openai

    key = os.environ.get(config.api_key_env) or ("none" if config.base_url else None)
    client = openai.OpenAI(
        base_url=config.base_url, api_key=key, timeout=config.timeout_seconds, max_retries=0
    )
    return ChatClient(config, client, cache)


def check_key(config: ApiConfig) -> None:
    """Raise UserError where the key is missing."""
    if config.base_url is None and not os.environ.get(config.api_key_env):
        raise UserError(
            f"judge {config.model} needs an API key and {config.api_key_env} is not set",
            remedy=f"export {config.api_key_env}=..., or give a base_url of your own server",
        )
