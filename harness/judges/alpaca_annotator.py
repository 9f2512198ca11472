"""alpaca_eval's published annotators (`alpaca_eval_gpt4`, `weighted_alpaca_eval_gpt4_turbo`, ...).

Their prompts, settings and parsers are alpaca_eval's own; requests go through our client, so that
they are cached, retried and capped. Both orders are asked, where the leaderboard asks one at random.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import UserError, unknown_name
from harness.jsonl import well_formed
from harness.judges import Duel, Progress, quiet
from harness.judges._api import ChatClient, Request, connect
from harness.judges._first_question import check_server
from harness.judges._purse import Purse
from harness.judges._server import ApiConfig, server_asked
from harness.judges.openai import usage_of_client
from harness.pipeline.named import Named

KINDS = ("openai_completions",)
DEFAULT = "weighted_alpaca_eval_gpt4_turbo"
_SENT = ("max_tokens", "temperature", "logprobs", "top_logprobs")
TIE = 0.0
"""What alpaca_eval's older parsers write for a tie."""
_FIELD = re.compile(r"\{(instruction|output_1|output_2)\}")
_TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)<\|im_end\|>", re.DOTALL)


class Config(ApiConfig):
    """`annotator` is a folder of alpaca_eval's `evaluators_configs`; `model` None is the annotator's own.

    Another model behind `base_url` runs the same protocol, and its rates are its own.
    """

    model: str | None = None  # type: ignore[assignment]
    annotator: str = DEFAULT


class AlpacaAnnotator:
    """Formats, asks and parses as alpaca_eval does."""

    def __init__(self, config: Config, client: ChatClient, annotator: dict[str, Any], template: str) -> None:
        default_model = annotator["completions_kwargs"]["model_name"]
        asked = client.config.model
        self.name = config.annotator if asked == default_model else f"{config.annotator} asking {asked}"
        self._client, self._annotator, self._template = client, annotator, template

    def prefer_all(self, duels: Sequence[Duel], progress: Progress = quiet) -> list[float | None]:
        """alpaca_eval's preference (1 the first, 2 the second) turned into ours."""
        replies = self._client.ask([self._request(*duel) for duel in duels], progress)
        return [self._parsed(reply) for reply in replies]

    def announce(self, duels: Sequence[Duel]) -> None:
        """Say what these duels are going to cost."""
        self._client.announce([self._request(*duel) for duel in duels])

    @property
    def purse(self) -> Purse:
        """What it may cost."""
        return self._client.purse

    def usage(self) -> dict[str, Any]:
        """Calls, cache hits, tokens and money of this process."""
        return usage_of_client(self._client)

    def _request(self, prompt: str, first: str, second: str) -> Request:
        fields = {"instruction": prompt, "output_1": first, "output_2": second}
        # Turns are split before answers are put in, so that no answer can open a turn.
        turns = tuple(
            (role, well_formed(_FIELD.sub(lambda match: fields[match[1]], body.strip())))
            for role, body in _TURN.findall(self._template)
        )
        completion_kwargs = self._annotator["completions_kwargs"]
        kept = tuple((k, completion_kwargs[k]) for k in _SENT if k in completion_kwargs)
        return Request(turns, kept)

    def _parsed(self, reply: dict[str, Any]) -> float | None:
        wants_all = self._annotator.get("completion_key") == "completions_all"
        completion = {**reply, "text": ""} if wants_all else reply["message"].get("content") or ""
        try:
            (preference,) = self._parse(completion, **self._annotator.get("completion_parser_kwargs", {}))
        except (ValueError, AssertionError, TypeError, LookupError, RecursionError):
            return None
        return None if preference is None else _of_alpaca_eval(float(preference), self.name)

    @cached_property
    def _parse(self) -> Any:
        from alpaca_eval import completion_parsers

        return getattr(completion_parsers, self._annotator["fn_completion_parser"])


def _of_alpaca_eval(preference: float, name: str) -> float | None:
    """alpaca_eval's 1 (the first) to 2 (the second) as ours; raises UserError for anything else."""
    if math.isnan(preference):
        return None
    if preference != TIE and not 1 <= preference <= 2:
        raise UserError(
            f"annotator {name} gave preference {preference:g}, which is not between 1 and 2",
            where="judge_config.annotator",
            remedy="use an annotator that compares two outputs, such as " + DEFAULT,
        )
    return 0.5 if preference == TIE else 2 - preference


def make(config: Config, cache: Path | None = None) -> AlpacaAnnotator:
    """The judge; replies are kept in `cache`."""
    annotator, template = _read(config.annotator)
    model = config.model or str(annotator["completions_kwargs"]["model_name"])
    return AlpacaAnnotator(config, connect(_api(config, model), cache), annotator, template)


def files(config: Config) -> list[Named]:
    """The annotator's settings, and its prompt, which may be another annotator's."""
    annotator, _ = _read(config.annotator)
    return [_configs() / config.annotator, _configs() / annotator["prompt_template"]]


def server(config: Config) -> str | None:
    """Where questions go, unless it is this machine."""
    return server_asked(config)


def check(config: Config) -> None:
    """Raise UserError for an unknown annotator, one that needs another API, or a key that is not taken."""
    annotator, _ = _read(config.annotator)
    check_server(_api(config, config.model or str(annotator["completions_kwargs"]["model_name"])))


def _api(config: Config, model: str) -> ApiConfig:
    settings = config.model_dump(exclude={"annotator", "model"})
    return ApiConfig.model_validate({**settings, "model": model})


def _read(name: str) -> tuple[dict[str, Any], str]:
    """The annotator's settings and its prompt."""
    import yaml

    folder = _configs()
    path = folder / name / "configs.yaml"
    if not path.is_file():
        known = sorted(p.parent.name for p in folder.glob("*/configs.yaml"))
        raise unknown_name("annotator", name, known, where="judge_config.annotator")
    (settings,) = yaml.safe_load(path.read_text(encoding="utf-8")).values()
    if settings.get("fn_completions") not in KINDS or "model_name" not in settings.get(
        "completions_kwargs", {}
    ):
        raise UserError(
            f"annotator {name} asks by {settings.get('fn_completions')}, which is not supported",
            where="judge_config.annotator",
            remedy=f"use {DEFAULT} or alpaca_eval_gpt4",
        )
    return settings, (folder / settings["prompt_template"]).read_text(encoding="utf-8")


def _configs() -> Path:
    """alpaca_eval's folder of annotators, found without importing it."""
    import importlib.util

    spec = importlib.util.find_spec("alpaca_eval")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "evaluators_configs"
