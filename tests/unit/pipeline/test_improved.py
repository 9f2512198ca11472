"""Which sampled answers become pairs, that none has a prompt of the test, and the next round's file."""

from __future__ import annotations

import json
from typing import Any

from harness.data.load import load_pairs
from harness.data.schemas import to_pairs
from harness.pipeline.improved import (
    best_against_worst,
    next_comparison,
    of_people,
    old_row,
    plain,
    same_pair,
)
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.records import Round

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides(sets=("data.limit=64",)))


def messages(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def sample(text: str, *graded: tuple[str, float | None]) -> dict[str, Any]:
    answers = [{"text": answer, "grade": grade} for answer, grade in graded]
    return {"id": text, "prompt": messages(text), "answers": answers}


def test_the_best_answer_stands_against_the_worst() -> None:
    new = best_against_worst(
        [sample("p", ("mid", 0.5), ("bad", 0.0), ("good", 1.0), ("as good", 1.0), ("worse?", None))],
        frozenset(),
        frozenset(),
        "s",
    )
    assert new.rows == [
        {
            **{"prompt": messages("p"), "chosen": "good", "rejected": "bad"},
            **{"grade_chosen": 1.0, "grade_rejected": 0.0, "source": "s"},
        }
    ]
    assert new.left_out == {}


def test_what_gives_no_pair_is_counted_by_reason() -> None:
    old = same_pair({"prompt": messages("known"), "chosen": "good", "rejected": "bad"})
    new = best_against_worst(
        [
            sample("alike", ("a", 0.5), ("b", 0.5)),
            sample("ungraded", ("a", None), ("  ", 1.0)),
            sample("  Of the TEST ", ("good", 1.0), ("bad", 0.0)),
            sample("known", ("good", 1.0), ("bad", 0.0)),
        ],
        frozenset([plain(messages("of the test"))]),
        frozenset([old]),
        "s",
    )
    assert new.rows == []
    assert new.left_out == {
        "all answers graded alike": 1,
        "no answer that was graded": 1,
        "a prompt of the test": 1,
        "a pair that there is already": 1,
    }


def test_a_prepared_pair_is_read_again_with_its_id_whatever_made_it() -> None:
    given = {"prompt": messages("b"), "chosen": "x", "rejected": "y", "prompt_id": "named-1"}
    named = to_pairs([{**given, "prompt_id": None}, given, given], str).pairs
    for pairs in (named, load_pairs(SPEC.data).test[:3]):
        prepared = [
            {"id": p.id, "prompt": json.dumps(p.prompt), "chosen": p.chosen, "rejected": p.rejected}
            for p in pairs
        ]
        assert to_pairs([old_row(row) for row in prepared], str).pairs == pairs
    assert len({pair.id for pair in named}) == 3


def test_the_next_file_is_the_run_s_settings_on_the_new_folder(tmp_path: Any) -> None:
    import yaml

    first = Round(
        run="embedded-1", source="on_policy", arm="orpo", judge="embedded", pairs_added=7, seconds=3.5
    )
    file = next_comparison(SPEC, "/data/round2", [first])
    assert file["name"] == "embedded_round2"
    assert file["data"] == {
        **{"max_length": 64, "source": "/data/round2", "train_split": "train", "test_split": "test"},
    }
    (tmp_path / "next.yaml").write_text(yaml.safe_dump(file, sort_keys=False))
    again = load_comparison(tmp_path / "next.yaml")
    assert again.chain == [first]
    kept = (
        "arms",
        "seeds",
        "training",
        "stages",
        "score",
        "questions",
        "baseline",
        "benchmarks",
        "generation",
    )
    for name in kept:
        assert getattr(again, name) == getattr(SPEC, name), name
    third = next_comparison(again, "/data/round3", [first, first])
    assert third["name"] == "embedded_round3"


def test_a_chain_is_no_part_of_a_plan() -> None:
    chained = SPEC.model_copy(
        update={"chain": [Round(run="r", source="s", arm="a", judge="j", pairs_added=1)]}
    )
    assert chained.model_dump() == SPEC.model_dump()


def test_of_votes_only_new_prompts_and_new_pairs_are_taken() -> None:
    def voted(prompt: Any, split: str = "new") -> dict[str, Any]:
        return {"prompt": prompt, "chosen": "good", "rejected": "bad", "split": split}

    old = same_pair({"prompt": messages("known"), "chosen": "good", "rejected": "bad"})
    new = of_people(
        [voted("p"), voted(messages("q")), voted("of a test", "test"), voted("Of the  TEST"), voted("known")],
        frozenset([plain(messages("of the test"))]),
        frozenset([old]),
        "arena: run",
    )
    assert new.rows == [
        {"prompt": messages(text), "chosen": "good", "rejected": "bad", "source": "arena: run"}
        for text in ("p", "q")
    ]
    assert new.left_out == {"a prompt of the test": 2, "a pair that there is already": 1}
