"""Which families of models can be compared here: causal language models of text.

Anything else fails in `prepare`, with one sentence, instead of training what was not meant.
"""

from __future__ import annotations

from typing import Any

from harness.errors import UserError

_REMEDY = "give a causal language model of text alone"
_INNER = ", or save the language model inside it (its text_config) as a model of its own"


def check_family(config: Any, where: str, *, own_code: bool = False) -> None:
    """Raise UserError for a transformers configuration of another kind of model than these.

    With `own_code` a model that brings its class along may be of a type that transformers does not know.
    """
    brings = own_code and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    reason = _refused(config, brings)
    if reason is not None:
        inner = _INNER if _reads_more_than_text(config) else ""
        raise UserError(reason, where=where, remedy=_REMEDY + inner)


def _refused(config: Any, brings_its_class: bool) -> str | None:
    """What stands against training such a model, None where nothing does."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_MASKED_LM_MAPPING

    kind = config.model_type
    if getattr(config, "is_encoder_decoder", False):
        return f"a model of type {kind} has an encoder, which no method here trains"
    if _reads_more_than_text(config):
        return f"a model of type {kind} reads more than text, and its other weights would not be trained"
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not brings_its_class:
        return f"transformers knows no causal language model of type {kind}"
    looks_ahead = type(config) in MODEL_FOR_MASKED_LM_MAPPING and not getattr(config, "is_decoder", False)
    if looks_ahead or kind == "xlnet":
        return f"a model of type {kind} sees the tokens that it would have to predict"
    return None


def _reads_more_than_text(config: Any) -> bool:
    try:
        return config.get_text_config() is not config
    except ValueError:
        # Transformers asks which of several text configurations is meant.
        return True
