"""A server that judges: its settings, the key that it wants, and what its refusals mean."""

from __future__ import annotations

import os
import re
from urllib.parse import urlsplit

from pydantic import PositiveInt, field_validator, model_validator

from harness.errors import UserError
from harness.judges._purse import Prices
from harness.pipeline.spec_model import NonNegative, SpecModel
from harness.redact import names_a_key, redact

REFUSED_KEY = (401, 403)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


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

    @field_validator("api_key_env")
    @classmethod
    def _it_is_a_variable(cls, name: str) -> str:
        # A key that was put here would be shown wherever the variable's name is.
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or re.fullmatch(r"[A-Za-z0-9]{24,}", name):
            raise ValueError(
                "it is no name of a variable; give the variable's name, and never the key itself"
            )
        return name

    @field_validator("base_url")
    @classmethod
    def _addresses_hold_no_password(cls, url: str | None) -> str | None:
        if url is not None and redact(url) != url:
            raise ValueError(
                "the address holds a key or a password, and settings stand in every record; "
                "take it out, and put the key into the variable that api_key_env names"
            )
        return url

    @model_validator(mode="after")
    def _its_variable_holds_a_secret(self) -> ApiConfig:
        names_a_key(self.api_key_env)
        return self

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


def server_asked(config: ApiConfig) -> str | None:
    """Where questions go; None for a server of this machine, which needs no network."""
    address = config.base_url or os.environ.get("OPENAI_BASE_URL")
    if address is None:
        return "OpenAI"
    return None if urlsplit(address).hostname in LOOPBACK else address


def check_key(config: ApiConfig) -> None:
    """Raise UserError where the key is missing."""
    if config.base_url is None and not os.environ.get(config.api_key_env):
        raise UserError(
            f"judge {config.model} needs an API key and {config.api_key_env} is not set",
            remedy=f"export {config.api_key_env}=..., or give a base_url of your own server",
        )


def refusal(config: ApiConfig, error: BaseException) -> UserError | None:
    """What a server's or a connection's refusal means; None for another error. Never holds the key."""
    import openai

    where = config.base_url or "OpenAI"
    if isinstance(error, openai.APIStatusError) and error.status_code in REFUSED_KEY:
        # Servers repeat the key here, or its ends.
        return UserError(
            f"judge {config.model} refused the key in {config.api_key_env} (status {error.status_code})",
            where=where,
            remedy=f"export {config.api_key_env}=... with a key that may use this model; what was answered "
            "is kept",
        )
    if isinstance(error, openai.APIStatusError):
        said = " ".join(redact(str(error.message)).split())[:160]
        return UserError(
            f"judge {config.model} refused with status {error.status_code} ({said})",
            where=where,
            remedy="check the model's name, the key and the limits; what was answered is kept",
        )
    if isinstance(error, openai.APIConnectionError | TimeoutError):
        return UserError(
            f"judge {config.model} cannot be reached",
            where=where,
            remedy="check the network and base_url; what was answered is kept",
        )
    return None
