"""What fuzzing makes: values, text and bytes that nobody meant, and good files with one thing changed."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from harness.errors import UserError

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "20"))
"""Of each test; the same ones each time unless more are asked for."""
fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 100,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
SECONDS = 5.0
WORDS = (
    "",
    "orpo",
    "sft",
    "../x",
    "base",
    "nan",
    "inf",
    "1e999",
    "-1",
    "0",
    "true",
    "null",
    "\0",
    "\x1b[31m",
    "[",
    "{",
    "=1+1",
)
texts = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
numbers = st.one_of(
    st.integers(),
    st.sampled_from([0, -1, 2**32, 2**64, 10**30]),
    st.floats(allow_nan=True, allow_infinity=True),
)
leaves = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(texts, st.sampled_from(WORDS)), inner, max_size=3),
    ),
    max_leaves=6,
)


@contextmanager
def only_user_errors() -> Iterator[None]:
    """What is wrong is said in one message with what to do, within seconds."""
    began = time.monotonic()
    raised: UserError | None = None
    try:
        yield
    except UserError as error:
        raised = error
    assert raised is None or (raised.fact and raised.remedy), "a message without a fact or a remedy"
    assert time.monotonic() - began < SECONDS


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything within `value`."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [above, *(place for key, one in inner for place in places(one, (*above, key)))]


@st.composite
def with_a_change(draw: Callable[[Any], Any], good: Any) -> Any:
    """`good` with one or two of its parts replaced, removed, or one added."""
    changed = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 2))):
        place = draw(st.sampled_from(places(changed)))
        if not place:
            changed = draw(values) if draw(st.integers(0, 9)) == 0 else changed
            continue
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        if draw(st.booleans()):
            holder[place[-1]] = draw(values)
        elif isinstance(holder, dict):
            del holder[place[-1]]
            holder[draw(texts)] = draw(leaves)
        else:
            del holder[place[-1]]
        if not isinstance(changed, dict | list):
            break
    return changed


@st.composite
def hurt_bytes(draw: Callable[[Any], Any], good: bytes) -> bytes:
    """`good` cut, with bytes in its middle written over, or something else altogether."""
    kind = draw(st.sampled_from(["cut", "over", "insert", "other"]))
    at = draw(st.integers(0, len(good)))
    new = draw(st.binary(max_size=8))
    return {
        "cut": good[:at],
        "over": good[:at] + new + good[at + len(new) :],
        "insert": good[:at] + new + good[at:],
        "other": draw(st.binary(max_size=64)),
    }[kind]
