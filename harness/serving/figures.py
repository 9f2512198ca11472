"""What replies say of a server: quantiles where there are enough of them, tokens a second."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from harness.records import LoadFigure, LoadLevel
from harness.serving.asking import Reply

LEAST = {0.5: 5, 0.95: 20}
"""Requests that a quantile needs: below twenty the 95th percentile is the slowest of them or beyond it."""


def level_of(
    replies: Sequence[Reply], *, clients: int, warm_up: int, seconds: float, distinct: int
) -> LoadLevel:
    """The figures of replies that were asked for within `seconds`; what failed is counted, no more."""
    answered = [reply for reply in replies if reply.error is None]
    firsts = [reply.first_seconds for reply in answered if reply.first_seconds is not None]
    whole = [reply.seconds for reply in answered]
    counted = [reply.tokens for reply in answered if reply.tokens is not None]
    tokens = sum(counted) if answered and len(counted) == len(answered) else None
    return LoadLevel(
        clients=clients,
        requests=len(replies),
        warm_up=warm_up,
        errors=dict(Counter(reply.error for reply in replies if reply.error is not None)),
        seconds=seconds,
        tokens=tokens,
        unfinished=sum(reply.finish == "length" for reply in answered),
        distinct_prompts=distinct,
        figures=[
            _quantile("first_token_p50", firsts, 0.5),
            _quantile("first_token_p95", firsts, 0.95),
            _quantile("request_p50", whole, 0.5),
            _quantile("request_p95", whole, 0.95),
            _rate(tokens, seconds, len(answered)),
        ],
    )


def _quantile(name: str, seconds: Sequence[float], share: float) -> LoadFigure:
    """The smallest value that so large a share of all is no larger than."""
    n, least = len(seconds), LEAST[share]
    value = sorted(seconds)[math.ceil(share * n) - 1] if n >= least else None
    reason = f"{n} answered requests, and it needs {least}" if value is None else None
    return LoadFigure.model_validate({"name": name, "value": value, "unit": "s", "n": n, "reason": reason})


def _rate(tokens: int | None, seconds: float, n: int) -> LoadFigure:
    known = tokens is not None and seconds > 0
    return LoadFigure(
        name="tokens_per_second",
        value=tokens / seconds if tokens is not None and seconds > 0 else None,
        unit="token/s",
        n=n,
        reason=None if known else "no answer, or one of which the server did not say how long it is",
    )
