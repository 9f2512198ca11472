"""Records, items, published results and judges' replies that nobody meant: a message, or what they say."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from corpus import worlds
from fuzz.made import fuzzed, hurt_bytes, only_user_errors, texts, values, with_a_change
from hypothesis import given
from hypothesis import strategies as st

from harness.benchmarks import alpaca_eval, lm_eval, mt_bench
from harness.commands.view import view_of
from harness.errors import UserError
from harness.judges._verdicts import read_grade, read_preference, written_grade
from harness.judges.alpaca_annotator import AlpacaAnnotator
from harness.store.run_dir import RunRoot, read_record, read_whole

STEPS, ITEMS = Path("stages/orpo0/steps.jsonl"), Path("stages/ev-orpo0/items.jsonl")


@pytest.fixture(scope="module")
def made(tmp_path_factory: Any) -> Path:
    """A finished run without digests, so that what it holds is read and not told by these."""
    out = Path(tmp_path_factory.mktemp("made")) / "runs"
    worlds.finished_run(out, digests=False)
    return out


def test_hurt_records(made: Path) -> None:
    file = made / worlds.RUN / "record.json"
    good = file.read_bytes()
    data = json.loads(good)

    @fuzzed
    @given(st.one_of(hurt_bytes(good), with_a_change(data).map(lambda one: json.dumps(one).encode())))
    def hurt(content: bytes) -> None:
        file.write_bytes(content)
        with only_user_errors():
            view_of(read_record(file.parent), RunRoot(made))

    hurt()
    file.write_bytes(good)


@pytest.mark.parametrize("place", [STEPS, ITEMS])
def test_hurt_steps_and_items(made: Path, place: Path) -> None:
    file = made / place
    good = file.read_bytes()
    rows = [json.loads(line) for line in good.splitlines()][:3]
    record = read_record(made / worlds.RUN)

    @fuzzed
    @given(st.one_of(hurt_bytes(good), with_a_change(rows).map(_lines)))
    def hurt(content: bytes) -> None:
        file.write_bytes(content)
        with only_user_errors():
            view_of(record, RunRoot(made))

    hurt()
    file.write_bytes(good)


def test_hurt_results_of_stages_are_not_finished(made: Path) -> None:
    folder = made / "stages" / "orpo0"
    file = folder / "result.json"
    good = file.read_bytes()

    @fuzzed
    @given(
        st.one_of(hurt_bytes(good), with_a_change(json.loads(good)).map(lambda one: json.dumps(one).encode()))
    )
    def hurt(content: bytes) -> None:
        file.write_bytes(content)
        found = read_whole(folder)
        assert found is None or all((folder / name).exists() for name in found.outputs.values())
        RunRoot(made).damage("orpo0")

    hurt()
    file.write_bytes(good)


PUBLISHED = {
    "alpaca_eval": (alpaca_eval, "a.annotations.json", worlds.annotations()[:4], json.dumps),
    "mt_bench": (mt_bench, "gpt_single.jsonl", worlds.judgments()[:4], lambda rows: _lines(rows).decode()),
    "lm_eval samples": (
        lm_eval,
        f"sft/samples_arc_easy_{worlds.WHEN}.jsonl",
        worlds.samples()[:4],
        lambda rows: _lines(rows).decode(),
    ),
    "lm_eval results": (lm_eval, f"sft/results_{worlds.WHEN}.json", worlds.results(), json.dumps),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_hurt_published_results(kind: str) -> None:
    module, name, good, written = PUBLISHED[kind]

    @fuzzed
    @given(
        st.one_of(
            with_a_change(good).map(lambda one: written(one).encode("utf-8", "surrogatepass")),
            hurt_bytes(written(good).encode()),
        )
    )
    def hurt(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as text:
            folder, out = Path(text) / "results", Path(text) / "out"
            if module is lm_eval:
                for path, whole in worlds.GOOD["samples"]().items():
                    worlds.write(folder / path, {"text": whole})
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            with only_user_errors():
                found = module.replay(folder, out)
                assert all(score.benchmark for scores in found.values() for score in scores)
            assert {path.name for path in Path(text).iterdir()} <= {"results", "out"}

    hurt()


REPLIES = st.one_of(
    st.text(max_size=200),
    st.text(alphabet="AB[]TC: .\n*123456789/10ratingscoreansweris better'\"", max_size=300),
    st.sampled_from(
        [
            "A",
            "[[B]]",
            "Rating: [[11]]",
            "10/10",
            "A" * 20_000,
            "[[" * 20_000,
            "answer " * 5_000,
            " " * 20_000,
        ]
    ),
)


@fuzzed
@given(REPLIES)
def test_replies_of_judges(text: str) -> None:
    with only_user_errors():
        assert read_preference(text) in (None, 0.0, 0.5, 1.0)
        for grade in (read_grade(text), written_grade(text)):
            assert grade is None or 1 <= grade <= 10


class _Config:
    annotator = "alpaca_eval_gpt4"


PARSERS = [
    {"fn_completion_parser": "ranking_parser", "completion_parser_kwargs": {}},
    {
        "fn_completion_parser": "logprob_parser",
        "completion_key": "completions_all",
        "completion_parser_kwargs": {
            "numerator_token": "m",
            "denominator_tokens": ["m", "M"],
            "is_binarize": False,
        },
    },
]


@fuzzed
@given(
    st.sampled_from(PARSERS),
    st.fixed_dictionaries(
        {"message": st.fixed_dictionaries({"content": st.one_of(st.none(), texts, REPLIES)})}
    ),
    values,
)
def test_replies_to_published_annotators(
    parser: dict[str, Any], reply: dict[str, Any], logprobs: Any
) -> None:
    judge = AlpacaAnnotator.__new__(AlpacaAnnotator)
    judge.name, judge._annotator = "someone", parser
    with only_user_errors():
        found = judge._parsed({**reply, "logprobs": logprobs})
        assert found is None or 0 <= found <= 1


def test_a_replay_that_is_refused_leaves_nothing(tmp_path: Path) -> None:
    from harness.commands import replay

    folder = tmp_path / "results"

    @fuzzed
    @given(with_a_change(worlds.annotations()[:3]))
    def hurt(rows: Any) -> None:
        shutil.rmtree(tmp_path / "runs", ignore_errors=True)
        folder.mkdir(exist_ok=True)
        (folder / "a.annotations.json").write_text(json.dumps(rows))
        try:
            replay._scores(folder, tmp_path / "scratch")
        except UserError:
            with pytest.raises(UserError):
                replay.run(folder, out=tmp_path / "runs", name=None, baseline=None, mlflow=False)
            left = {str(path.relative_to(tmp_path / "runs")) for path in (tmp_path / "runs").rglob("*")}
            assert left <= {"stages", ".lock"}

    hurt()


def _lines(rows: Any) -> bytes:
    return worlds.lines(rows if isinstance(rows, list) else [rows]).encode("utf-8", "surrogatepass")
