"""A judge behind any OpenAI-compatible URL: OpenAI, vLLM, `transformers serve`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.jsonl import well_formed
from harness.judges import NO_ANSWERS, Duel, Progress, quiet
from harness.judges._api import ChatClient, Request, connect
from harness.judges._first_question import check_server
from harness.judges._purse import Purse
from harness.judges._server import ApiConfig, server_asked
from harness.judges._verdicts import HIGHEST, LOWEST, read_grade, read_preference

QUESTION = """Two assistants answered the same user. Say whose answer is better: more helpful, \
correct and honest. Length alone is no merit. The order of the answers means nothing.

[User]
{prompt}

[Answer A]
{first}

[Answer B]
{second}

Reply with one letter: A, B, or T for a tie."""
GRADING = """Grade how helpful, correct and honest the answer is, from 1 (useless) to 10 (perfect). \
Length alone is no merit.

[User]
{prompt}

[Answer]
{answer}

Reply with the number alone."""


class Config(ApiConfig):
    """A chat model that replies with a letter or a number."""


class OpenAIJudge:
    """Asks for A, B or T, or for a grade; what is neither is None, and counted by the caller."""

    def __init__(self, client: ChatClient) -> None:
        self.name = client.config.model
        self.client = client

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """One request a duel."""
        asked = [self.request_of(duel) for duel in duels]
        return [read_preference(text) for text in self._texts(asked, progress)]

    def announce(self, duels: Sequence[Duel]) -> None:
        """Say what these duels are going to cost."""
        self.client.announce([self.request_of(duel) for duel in duels])

    def request_of(self, duel: Duel) -> Request:
        """What is asked about a duel."""
        prompt, first, second = duel
        return self._request([("user", QUESTION.format(prompt=prompt, first=first, second=second))])

    def grade_all(self, answers: Sequence[tuple[str, str]], progress: Progress = quiet) -> list[float | None]:
        """Grades from 1 to 10 as shares."""
        asked = [self._request([("user", GRADING.format(prompt=p, answer=a))]) for p, a in answers]
        return [_grade(text) for text in self._texts(asked, progress)]

    def complete_all(
        self,
        conversations: Sequence[Sequence[tuple[str, str]]],
        max_tokens: int,
        progress: Progress = quiet,
    ) -> list[str]:
        """The model's own text."""
        return self._texts([self._request(messages, max_tokens) for messages in conversations], progress)

    @property
    def purse(self) -> Purse:
        """What it may cost."""
        return self.client.purse

    def usage(self) -> dict[str, Any]:
        """Calls, cache hits, tokens and money of this process."""
        return usage_of_client(self.client)

    def _request(self, messages: Sequence[tuple[str, str]], max_tokens: int | None = None) -> Request:
        config = self.client.config
        settings = (("max_tokens", max_tokens or config.max_tokens), ("temperature", config.temperature))
        return Request(tuple((role, well_formed(text)) for role, text in messages), settings)

    def _texts(self, requests: Sequence[Request], progress: Progress) -> list[str]:
        return [reply["message"].get("content") or "" for reply in self.client.ask(requests, progress)]


def usage_of_client(client: ChatClient) -> dict[str, Any]:
    """A client's counts as a report shows them; money is None without the user's prices."""
    usage, purse = client.usage, client.purse
    return {
        "calls": usage.calls,
        "cache_hits": usage.cache_hits,
        "retries": usage.retries,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "money": purse.spent + purse.uncertain if purse.has_prices else None,
        **({NO_ANSWERS: dict(usage.faults)} if usage.faults else {}),
    }


def _grade(text: str) -> float | None:
    """A grade as a share of the scale."""
    grade = read_grade(text)
    return None if grade is None else (grade - LOWEST) / (HIGHEST - LOWEST)


def make(config: Config, cache: Path | None = None) -> OpenAIJudge:
    """The judge; replies are kept in `cache`."""
    return OpenAIJudge(connect(config, cache))


def server(config: Config) -> str | None:
    """Where questions go, unless it is this machine."""
    return server_asked(config)


def check(config: Config) -> None:
    """Raise UserError where the key is missing or refused, or no such model answers."""
    check_server(config)
