"""Comparison files and flags that nobody meant: a message, or what they say."""

from __future__ import annotations

import tempfile
from pathlib import Path

import yaml
from fuzz.made import fuzzed, hurt_bytes, only_user_errors, texts, values, with_a_change
from hypothesis import given
from hypothesis import strategies as st

from harness.cli.options import all_words, words
from harness.pipeline.claims import load_claims
from harness.pipeline.load import load_comparison
from harness.pipeline.overrides import Overrides, parse_seeds, parse_setting

ROOT = Path(__file__).parents[2]
EMBEDDED = (ROOT / "pipelines" / "embedded.yaml").read_text(encoding="utf-8")
SPEC = yaml.safe_load(EMBEDDED)
CLAIMS = next((ROOT / "reports" / "claims").glob("*.yaml")).read_text(encoding="utf-8")
KEYS = st.sampled_from(
    [
        "name",
        "seeds",
        "arms",
        "model",
        "data.source",
        "data.limit",
        "training.learning_rate",
        "training.lora",
        "training.lora.r",
        "stages",
        "stages.dpo.beta",
        "stages.x.y",
        "baseline",
        "budget",
        "budget.of",
        "questions",
        "looks",
        "look",
        "repeats",
        "score",
        "benchmarks.preference.limit",
        "benchmarks.alpaca_eval.judge",
        "generation.top_p",
        "aggregates.a.weights",
        "if_too_large.training",
        "kind",
        "tracking",
    ]
)


def load(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, only_user_errors():
        path = Path(folder) / "mine.yaml"
        path.write_bytes(content)
        load_comparison(path)


@fuzzed
@given(hurt_bytes(EMBEDDED.encode()))
def test_hurt_comparison_files(content: bytes) -> None:
    load(content)


@fuzzed
@given(with_a_change(SPEC))
def test_comparisons_with_other_values(spec: object) -> None:
    load(yaml.safe_dump(spec, allow_unicode=True).encode("utf-8", "surrogatepass"))


@fuzzed
@given(st.text())
def test_any_text_as_a_comparison(text: str) -> None:
    load(text.encode("utf-8", "surrogatepass"))


@fuzzed
@given(hurt_bytes(CLAIMS.encode()))
def test_hurt_claims(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder, only_user_errors():
        path = Path(folder) / "claims.yaml"
        path.write_bytes(content)
        load_claims(path)


@fuzzed
@given(st.one_of(KEYS, texts), st.one_of(texts, values.map(yaml.safe_dump)))
def test_settings_of_the_command_line(key: str, value: str) -> None:
    path = ROOT / "pipelines" / "embedded.yaml"
    with only_user_errors():
        load_comparison(path, Overrides(sets=(f"{key}={value}",)))


@fuzzed
@given(st.one_of(texts, st.text()))
def test_flags(text: str) -> None:
    for read in (parse_seeds, parse_setting, lambda one: words(one, "--arms"), lambda one: all_words([one])):
        with only_user_errors():
            read(text)
    with only_user_errors():
        load_comparison(ROOT / "pipelines" / "embedded.yaml", Overrides(seeds=text))
