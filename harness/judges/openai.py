"""A judge behind any OpenAI-compatible URL."""

from __future__ import annotations

import os
import re
import time
from typing import Any

from pydantic import PositiveInt

from harness.errors import UserError
from harness.pipeline.spec import NonNegative, SpecModel

QUESTION = """Two assistants answered the same user. Say whose answer is better: more helpful, \
correct and honest. Length alone is no merit. The order of the answers means nothing.

[User]
{prompt}

[Answer A]
{first}

[Answer B]
{second}

Reply with one letter: A, B, or T for a tie."""
RETRIED = (408, 409, 429, 500, 502, 503, 504)


class Config(SpecModel):
    """`base_url` None is OpenAI's own; the key is read from the variable `api_key_env`."""

    model: str
    base_url: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    temperature: NonNegative = 0.0
    max_tokens: PositiveInt = 8
    timeout_seconds: NonNegative = 60.0
    attempts: PositiveInt = 6
    first_wait_seconds: NonNegative = 1.0


class OpenAIJudge:
    """Asks for A, B or T; an answer that is none of them is None, and counted by the caller."""

    def __init__(self, config: Config, client: Any) -> None:
        self.name = config.model
        self._config, self._client = config, client

    def prefer(self, prompt: str, first: str, second: str) -> float | None:
        """One request; what the server refuses for the moment is asked again with back-off."""
        text = self._ask(QUESTION.format(prompt=prompt, first=first, second=second))
        found = re.match(r"\W*(?:answer\s+)?([ABT])\b", text.strip(), flags=re.IGNORECASE)
        return {"A": 1.0, "B": 0.0, "T": 0.5}[found[1].upper()] if found else None

    def _ask(self, question: str) -> str:
        import openai

        wait = self._config.first_wait_seconds
        for attempt in range(1, self._config.attempts + 1):
            try:
                reply = self._client.chat.completions.create(
                    model=self._config.model,
                    messages=[{"role": "user", "content": question}],
                    temperature=self._config.temperature,
                    max_tokens=self._config.max_tokens,
                )
                return reply.choices[0].message.content or ""
            except openai.APIStatusError as error:
                if error.status_code not in RETRIED or attempt == self._config.attempts:
                    raise
            except openai.APIConnectionError:
                if attempt == self._config.attempts:
                    raise
            time.sleep(wait)
            wait *= 2
        raise AssertionError("unreachable")


def make(config: Config) -> OpenAIJudge:
    """The judge; a local server without a key gets a placeholder."""
    import openai

    key = os.environ.get(config.api_key_env) or ("none" if config.base_url else None)
    client = openai.OpenAI(
        base_url=config.base_url, api_key=key, timeout=config.timeout_seconds, max_retries=0
    )
    return OpenAIJudge(config, client)


def check(config: Config) -> None:
    """Raise UserError where the key is missing."""
    if config.base_url is None and not os.environ.get(config.api_key_env):
        raise UserError(
            f"judge {config.model} needs an API key and {config.api_key_env} is not set",
            remedy=f"export {config.api_key_env}=..., or give a base_url of your own server",
        )
