"""Secrets taken out of what leaves a process: by value, and by shape.

By value goes everywhere: the values of environment variables that hold keys by their name or by a setting,
and passwords in addresses that variables hold. By shape goes over what is said and over what servers write,
and not over the user's own texts, which a judge has to read as they are.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import html
import json
import os
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO, TypeVar

T = TypeVar("T")
HIDDEN = "(redacted)"
SHORTEST, SHORTEST_WORD, BEGINNING = 8, 12, 12
"""Shorter values are words that stand in any text. Of a longer one its beginning is hidden too, since
messages are cut off."""
_NAMES = re.compile(r"(?:^|_)(?:API_?KEY|ACCESS_KEY|SECRET_KEY|TOKEN|SECRET|PASSWORD|PASSWD)$", re.IGNORECASE)
_ADDRESS = re.compile(r"://[^\s/@:]*:([^\s/@]+)@")
_TO_THE_END = r"[^\s\"'<>\\,;&()]*"
_BEHIND = r"(?:(?=[\w.~+/-]*[\d=])[\w.~+/*=-]{8,}|[\w.~+/*=-]{20,})"
_KEY_NAMES = r"(?:x-)?api[_-]?key|(?:access|auth)[_-]?token|client[_-]?secret|password|passwd|authorization"
_SHAPES = (
    (re.compile(r"(?<![A-Za-z0-9])(?:sk|rk|pk)-(?=[\w*-]*[\d*])[\w*-]{12,}"), HIDDEN),
    (re.compile(r"(?<![A-Za-z0-9])(?:hf|gh[opsu]|glpat|xox[abprs])[_-][A-Za-z0-9-]{16,}"), HIDDEN),
    (re.compile(r"(?<![A-Za-z0-9])(?:AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|eyJ[\w-]{8,}\.eyJ[\w.-]{8,})"), HIDDEN),
    (re.compile(rf"\b(bearer|basic)(\s+){_BEHIND}", re.IGNORECASE), rf"\1\2{HIDDEN}"),
    (re.compile(r"://(?:[^\s/@:\"']*:[^\s/@\"']+|[^\s/@:\"']{8,})@"), rf"://{HIDDEN}@"),
    (
        re.compile(
            rf"([?&;](?:{_KEY_NAMES}|key|token|secret|sig|signature)=)[^\s&\"'#()]{{8,}}", re.IGNORECASE
        ),
        rf"\1{HIDDEN}",
    ),
    (
        re.compile(rf"(\b(?:{_KEY_NAMES})[\"']?\s*[:=]\s*[\"']?)(?!basic|bearer)[^\s\"',&}})(]{{8,}}", re.I),
        rf"\1{HIDDEN}",
    ),
)
_named: set[str] = set()


def names_a_key(variable: str) -> None:
    """From now on the value of this environment variable is a secret, whatever its name."""
    _named.add(variable)


def redact(text: str) -> str:
    """`text` without secrets, by value and by shape: for messages, logs and what servers write."""
    return hidden(by_value(text))


def by_value(text: str) -> str:
    """`text` without the values of secret variables; JSON stays JSON."""
    return value_hider()(text)


def value_hider() -> Callable[[str], str]:
    """`by_value` for many texts: the variables are looked at once."""
    pattern = _pattern(secrets_of(os.environ, _named))
    return (lambda text: text) if pattern is None else functools.partial(pattern.sub, HIDDEN)


def everywhere(whole: T) -> T:
    """Every text within dataclasses, lists, tuples and values of mappings, by value."""
    pattern = _pattern(secrets_of(os.environ, _named))
    return whole if pattern is None else _walked(whole, pattern)


def hidden(text: str) -> str:
    """`text` without what has the shape of a key, a password in an address, or an authorization. Pure."""
    for shape, instead in _SHAPES:
        text = shape.sub(instead, text)
    return text


def secrets_of(environment: Mapping[str, str], named: Collection[str]) -> tuple[str, ...]:
    """The secret values among an environment's, the longest first. Pure."""
    found = {value for name, value in environment.items() if name in named or _NAMES.search(name)}
    for value in environment.values():
        found.update(urllib.parse.unquote(password) for password in _ADDRESS.findall(value))
    found = {value.strip() for value in found}
    return tuple(sorted(filter(_worth_hiding, found), key=lambda value: (-len(value), value)))


def _worth_hiding(value: str) -> bool:
    """Whether a value is more than a word, or a number, that stands in other texts too."""
    return len(value) >= (SHORTEST_WORD if value.isalpha() or value.isdigit() else SHORTEST)


@functools.lru_cache(maxsize=8)
def _pattern(secrets: tuple[str, ...]) -> re.Pattern[str] | None:
    """What finds these values, as they are and as addresses, pages and JSON write them."""
    written = dict.fromkeys(text for secret in secrets for text in _written(secret))
    begun = dict.fromkeys(text[:BEGINNING] for text in written if len(text) >= BEGINNING + 4)
    found = [re.escape(text) for text in sorted(written, key=len, reverse=True)]
    found += [re.escape(text) + _TO_THE_END for text in begun]
    return re.compile("|".join(found), re.IGNORECASE) if found else None


def _written(secret: str) -> Iterator[str]:
    yield secret
    yield from (json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False))
    yield from (urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret), html.escape(secret))
    yield base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode().rstrip("=")


def _walked(one: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(one, str):
        return pattern.sub(HIDDEN, one)
    if isinstance(one, Mapping):
        return {key: _walked(value, pattern) for key, value in one.items()}
    if isinstance(one, list | tuple) and not hasattr(one, "_fields"):
        return type(one)(_walked(value, pattern) for value in one)
    if dataclasses.is_dataclass(one) and not isinstance(one, type):
        fields = {f.name: getattr(one, f.name) for f in dataclasses.fields(one) if f.init}
        return dataclasses.replace(one, **{name: _walked(value, pattern) for name, value in fields.items()})
    return one


class RedactedStream:
    """A text stream that writes no secrets; what libraries below Python write passes it by."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write `text` without secrets."""
        self._stream.write(redact(text))
        return len(text)

    def writelines(self, lines: Collection[str]) -> None:
        """Write each of them."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact_file(path: Path) -> None:
    """Take secrets out of a log; one without any is not touched."""
    if not path.is_file():
        return
    temporary, changed = path.with_name(f".{path.name}.{os.getpid()}"), False
    opened = functools.partial(open, encoding="utf-8", errors="surrogateescape", newline="\n")
    try:
        with opened(path) as source, opened(temporary, "w") as sink:
            for line in source:
                clean = redact(line)
                changed = changed or clean != line
                sink.write(clean)
        if changed:
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
