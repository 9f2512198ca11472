"""The connection to a judge's server: our key, and bounds on how much and how long it may answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from harness.judges._replies import MOST_BYTES

PLACEHOLDER = "none"


def open_client(base_url: str | None, api_key_env: str, timeout_seconds: float) -> Any:
    """An OpenAI client that asks once; a server without a key gets a placeholder."""
    import openai

    key = os.environ.get(api_key_env) or (PLACEHOLDER if base_url else None)
    bounded = openai.DefaultHttpxClient(
        timeout=timeout_seconds, event_hooks={"response": [lambda answer: bound(answer, timeout_seconds)]}
    )
    return openai.OpenAI(
        base_url=base_url,
        api_key=key,
        timeout=timeout_seconds,
        max_retries=0,
        default_headers={"Accept-Encoding": "gzip"},
        http_client=bounded,
    )


def bound(answer: Any, seconds: float) -> None:
    """Let a response end after `MOST_BYTES` or `seconds`, however it goes on."""
    # A packed one is unpacked where its size can be bounded (`_replies`), and not by the HTTP library.
    if "content-encoding" in answer.headers:
        del answer.headers["content-encoding"]
    kind = next(one for one in type(answer.stream).__mro__ if one.__name__ == "SyncByteStream")
    answer.stream = _bounded(kind)(answer.stream, time.monotonic() + seconds)


def _bounded(kind: type) -> Any:
    """A stream of the HTTP library that is there (openai has had two) which ends."""

    class Bounded(kind):  # type: ignore[misc]
        def __init__(self, stream: Any, until: float) -> None:
            self._stream, self._until = stream, until

        def __iter__(self) -> Iterator[bytes]:
            left = MOST_BYTES
            for chunk in self._stream:
                yield chunk[:left]
                left -= len(chunk)
                if left <= 0:
                    return
                if time.monotonic() > self._until:
                    raise TimeoutError("the answer has no end")

        def close(self) -> None:
            self._stream.close()

    return Bounded
