"""A server that repeats the key, or answers nothing that can be read: one message, or counted judgments."""

from __future__ import annotations

import functools
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile
import pytest
from hostile import HostileServer

from harness.errors import UserError
from harness.judges import alpaca_annotator, openai, usage_of

CONTEXT = functools.cache(ssl.create_default_context)
VARIABLE = "MY_JUDGES_WORD"
KEY = 'Plain7Horse/staple+battery"quote'
"""Of no shape that any key has, and in a variable that is named by the settings alone."""
DUEL = ("question", "one", "two")


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    # Certificates that no test here needs are read once.
    monkeypatch.setattr(ssl, "create_default_context", CONTEXT)


@pytest.fixture
def kept(tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: Any) -> Iterator[Path]:
    """Where replies are kept; nothing in it, and nothing that was said, holds the key afterwards."""
    caplog.set_level("INFO")
    yield tmp_path
    texts = [path.read_bytes().decode("utf-8", "replace") for path in tmp_path.rglob("*") if path.is_file()]
    out, err = capfd.readouterr()
    for text in (*texts, caplog.text, out, err):
        assert_clean(text)


def assert_clean(text: str) -> None:
    for part in (KEY, KEY[:14], KEY.replace('"', '\\"')):
        assert part.lower() not in text.lower()


def config_of(server: HostileServer, **more: Any) -> openai.Config:
    settings = {"model": "m", "base_url": server.url, "api_key_env": VARIABLE, "attempts": 2}
    return openai.Config.model_validate(
        {**settings, "first_wait_seconds": 0.001, "timeout_seconds": 1.0, **more}
    )


def refused(server: HostileServer, act: Any) -> str:
    """The one message of what was refused, which never holds the key; nor does its traceback."""
    with pytest.raises(UserError) as caught:
        act()
    assert server.keys == {KEY}
    assert_clean("".join(traceback.format_exception(caught.value)))
    return str(caught.value)


@pytest.mark.parametrize("name", hostile.no_answers(KEY))
def test_a_reply_without_an_answer_is_counted(name: str, kept: Path) -> None:
    with HostileServer(lambda key: hostile.no_answers(key)[name]) as server:
        judge = openai.make(config_of(server), kept)
        assert judge.prefer_all([DUEL]) == [None]
        assert judge.grade_all([("q", "a")]) == [None]
        assert list(usage_of(judge)["no_answers"].values()) == [2]
        message = refused(server, lambda: openai.check(config_of(server)))
    assert "does not answer as a chat model does" in message


@pytest.mark.parametrize("name", hostile.no_texts(KEY))
def test_a_choice_without_a_text_is_counted(name: str, kept: Path) -> None:
    with HostileServer(lambda key: hostile.no_texts(key)[name]) as server:
        judge = openai.make(config_of(server), kept)
        assert judge.prefer_all([DUEL, DUEL]) == [None, None]
        assert sum(usage_of(judge)["no_answers"].values()) == 1
        assert usage_of(judge, usage_of(judge))["no_answers"] in ({"no text in it": 0}, {"too long": 0})


@pytest.mark.parametrize("name", hostile.answers(KEY))
def test_a_text_is_read_without_the_key(name: str, kept: Path) -> None:
    with HostileServer(lambda key: hostile.answers(key)[name][0]) as server:
        judge = openai.make(
            config_of(server, price_per_million_input=1.0, price_per_million_output=1.0), kept
        )
        assert judge.prefer_all([DUEL]) == [hostile.answers(KEY)[name][1]]
        (text,) = judge.complete_all([[("user", "say it")]], 20)
        assert_clean(text)
        assert 0 <= usage_of(judge)["money"] < 1
        openai.check(config_of(server))
        again = openai.make(config_of(server), kept)
        assert again.prefer_all([DUEL]) == [hostile.answers(KEY)[name][1]]
        assert again.usage()["cache_hits"] == 1


@pytest.mark.parametrize("name", hostile.refusals(KEY))
def test_a_refusal_is_one_message_without_the_key(name: str, kept: Path) -> None:
    with HostileServer(lambda key: hostile.refusals(key)[name]) as server:
        config = config_of(server, timeout_seconds=0.15)
        judge = openai.make(config, kept)
        messages = [
            refused(server, lambda: judge.prefer_all([DUEL])),
            refused(server, lambda: openai.check(config)),
        ]
    names_the_variable = name.startswith(("401", "403"))
    assert all((f"refused the key in {VARIABLE}" in message) == names_the_variable for message in messages)


@pytest.mark.slow
def test_alpaca_evals_annotators_take_no_harm(kept: Path) -> None:
    """What their parsers stumble over is unreadable."""
    top = {"token": "m", "logprob": -0.1}
    given: list[Any] = [
        None,
        [],
        {},
        {"content": []},
        {"content": [7]},
        {"content": [{**top, "top_logprobs": None}]},
        {"content": [{**top, "top_logprobs": [None]}]},
        {"content": [{**top, "top_logprobs": [{"token": 7, "logprob": -1}]}]},
        {"content": [{**top, "top_logprobs": [{"token": "m", "logprob": 10**400}]}]},
        {"content": [{**top, "top_logprobs": [{"token": KEY, "logprob": -1.0}]}]},
        {"content": [{**top, "top_logprobs": [{"token": "m", "logprob": float("-inf")}]}]},
    ]
    for logprobs in given:
        reply = hostile.sent(hostile.completion(hostile.choice("m", logprobs=logprobs)))
        with HostileServer(lambda key, reply=reply: reply) as server:  # type: ignore[misc]
            settings = config_of(server).model_dump(exclude={"model"})
            judge = alpaca_annotator.make(alpaca_annotator.Config(**settings), kept / "weighted")
            assert judge.prefer_all([DUEL]) == [None], logprobs
    for text in ("[{'model': " * 3_000, "[" * 5_000, "[{'model': 7, 'rank': None}]", KEY):
        reply = hostile.sent(hostile.completion(hostile.choice(text)))
        with HostileServer(lambda key, reply=reply: reply) as server:  # type: ignore[misc]
            settings = config_of(server).model_dump(exclude={"model"})
            ranking = alpaca_annotator.Config(**settings, annotator="alpaca_eval_gpt4")
            assert alpaca_annotator.make(ranking, kept / "ranking").prefer_all([DUEL]) == [None], text[:30]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"api_key_env": "sk-planted-3f9aQ7Zt81LmXw"}, "it is no name of a variable"),
        ({"api_key_env": "hf3f9aQ7Zt81LmXw3f9aQ7Zt81LmXw"}, "it is no name of a variable"),
        ({"base_url": "http://user:word5word@host/v1"}, "the address holds a key or a password"),
        ({"base_url": "http://host/v1?api_key=abcd1234efgh"}, "the address holds a key or a password"),
    ],
)
def test_a_key_in_the_settings_is_refused_and_not_shown(settings: dict[str, str], said: str) -> None:
    from harness.pipeline.validate import validate

    with pytest.raises(UserError, match=said) as caught:
        validate(openai.Config, {"model": "m", **settings})
    assert not any(value in str(caught.value) for value in settings.values())


def test_a_missing_key_is_one_message_wherever_it_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A score that is added to a finished run has no check before it; grading crashed without a key."""
    from harness.benchmarks import CheckContext, rubric

    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    context = CheckContext(Path(), "m", False, ("sft",))
    asked = rubric.Config(judge="openai", judge_config={"model": "gpt"})
    for act in (lambda: openai.make(openai.Config(model="gpt")), lambda: rubric.check(asked, context)):
        with pytest.raises(UserError, match="OPENAI_API_KEY is not set"):
            act()


def test_grading_asks_the_server_before_training() -> None:
    from harness.benchmarks import CheckContext, rubric

    with HostileServer(lambda key: hostile.refusals(key)["401"]) as server:
        settings = config_of(server).model_dump()
        context = CheckContext(Path(), "m", False, ("sft",))
        message = refused(
            server, lambda: rubric.check(rubric.Config(judge="openai", judge_config=settings), context)
        )
    assert f"refused the key in {VARIABLE} (status 401)" in message
