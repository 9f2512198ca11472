"""One small question before anything is trained: is the key taken, and does such a model answer?"""

from __future__ import annotations

from harness.errors import UserError
from harness.judges._api import Request, connect
from harness.judges._replies import NO_ANSWERS
from harness.judges._server import ApiConfig, refusal

QUESTION = "Reply with the letter A."
ATTEMPTS = 3


def check_server(config: ApiConfig) -> None:
    """Raise UserError where the key is missing or refused, or where no chat model answers.

    The question costs what some twenty tokens do. Listing models would be free, but there are servers
    that list them for everybody.
    """
    import openai

    config = config.model_copy(update={"attempts": min(config.attempts, ATTEMPTS), "max_cost": None})
    settings = (("max_tokens", config.max_tokens), ("temperature", config.temperature))
    try:
        reply = connect(config, None).send(Request((("user", QUESTION),), settings))
    except (openai.APIError, TimeoutError) as error:
        refused = refusal(config, error)
        if refused is None:
            raise
        raise refused from None
    if reply.fault in NO_ANSWERS:
        raise UserError(
            f"judge {config.model} does not answer as a chat model does (the reply: {reply.fault})",
            where=config.base_url or "OpenAI",
            remedy="check base_url, which mostly ends in /v1, and that the server is up",
        )
