"""Ways to answer prompts with one model: one file an engine, all of one form.

An engine's `token_ids(loaded, tokenized, settings)` gives new token ids by the prompt's place, as many
prompts at a time as are finished. Answers end with the stop token, or without one at the length's end.
`by_name` calls the one that settings name.
"""

from __future__ import annotations

import importlib.util

from harness.errors import UserError

SAMPLING_SEED = 0
"""Sampling starts from it, so that answers can be repeated on the same machine."""


def cannot(what: str) -> UserError:
    """The error for weights that vLLM would not hold as we do."""
    return UserError(
        f"engine vllm does not answer with {what}",
        where="generation.engine",
        remedy="set it to auto or padded",
    )


def check_installed(engine: str) -> None:
    """Raise UserError where vLLM is asked for and not installed; imports nothing."""
    if engine == "vllm" and importlib.util.find_spec("vllm") is None:
        raise UserError(
            "engine vllm is not installed",
            where="generation.engine",
            remedy="pip install vllm, or set generation.engine to auto",
        )
