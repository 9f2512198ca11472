"""Data of every shape, and one message for data that is wrong."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness.data.check import check_raw, check_tokenised
from harness.data.load import load_pairs
from harness.data.prepare import PrepareConfig, prepare
from harness.data.schemas import Pair, to_pairs
from harness.data.split import limit_pairs, split_pairs
from harness.data.template import DEFAULT_TEMPLATE, apply_choice
from harness.data.tokenise import tokenise
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec

USER = {"role": "user", "content": "hi"}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def where(index: int) -> str:
    return f"f:{index + 1}"


ROW = {"prompt": "hi", "chosen": "good", "rejected": "bad"}


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"prompt": [USER], "chosen": [assistant("good")], "rejected": [assistant("bad")]},
        {"prompt": "hi", "chosen": [USER, assistant("good")], "rejected": [USER, assistant("bad")]},
        {"chosen": [USER, assistant("good")], "rejected": [USER, assistant("bad")]},
        {"chosen": "\n\nHuman: hi\n\nAssistant: good", "rejected": "\n\nHuman: hi\n\nAssistant: bad"},
        {
            "prompt": "hi",
            "prompt_id": "7",
            "chosen": [USER, assistant("good")],
            "rejected": [USER, assistant("bad")],
            "messages": [USER, assistant("good")],
            "score_chosen": 9.0,
        },
    ],
    ids=["strings", "messages", "conversations", "implicit", "transcript", "ultrafeedback"],
)
def test_schemas(row: dict[str, Any]) -> None:
    pair = to_pairs([row], where).pairs[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == ([USER], "good", "bad")


def test_ids_are_stable_and_unique() -> None:
    first, again = to_pairs([ROW, ROW], where).pairs, to_pairs([ROW, ROW], where).pairs
    assert [p.id for p in first] == [p.id for p in again]
    assert first[0].id != first[1].id


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a", "chosen": "b"}, r"f:1: has no rejected answer"),
        ({"prompt": "a", "chosen": "b", "reject": "c"}, r'there is "reject"; rename it'),
        ({"chosen": "b", "rejected": "c"}, r"f:1: has no prompt, and none can be told"),
        ({"prompt": 3, "chosen": "b", "rejected": "c"}, r"prompt is neither text nor a list of messages"),
        ({"prompt": "a", "chosen": [USER], "rejected": "c"}, r"does not end with an assistant's message"),
    ],
)
def test_rows_that_are_wrong(row: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        to_pairs([row], where)


def test_a_malformed_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    file.write_text(json.dumps(ROW) + "\n\n{broken\n")
    with pytest.raises(UserError, match=r"pairs.jsonl:3: is not valid JSON"):
        load_pairs(DataSpec(source=str(file)))
    file.write_text(json.dumps(ROW) + "\n" + json.dumps({"prompt": "a", "chosen": "b"}) + "\n")
    with pytest.raises(UserError, match=r"pairs.jsonl:2: has no rejected"):
        load_pairs(DataSpec(source=str(file)))


def test_missing_files_and_unknown_endings(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file or folder"):
        load_pairs(DataSpec(source=str(tmp_path / "none.jsonl")))
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(UserError, match=r"a.txt: is a .txt; give one of .jsonl"):
        load_pairs(DataSpec(source=str(tmp_path / "a.txt")))
    with pytest.raises(UserError, match="holds no data"):
        load_pairs(DataSpec(source=str(tmp_path)))


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
def test_files_of_every_kind_give_the_same_pairs(tmp_path: Path, ending: str) -> None:
    import pandas

    rows = [{"prompt": f"p{i}", "chosen": f"c{i}", "rejected": f"r{i}"} for i in range(20)]
    file = tmp_path / f"pairs.{ending}"
    if ending == "jsonl":
        file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    elif ending == "json":
        file.write_text(json.dumps(rows))
    elif ending == "csv":
        pandas.DataFrame(rows).to_csv(file, index=False)
    else:
        pandas.DataFrame(rows).to_parquet(file)
    raw = load_pairs(DataSpec(source=str(file), test_fraction=0.3))
    assert sorted(p.chosen for p in raw.train + raw.test) == sorted(r["chosen"] for r in rows)
    assert raw.test


def test_folders_with_splits(tmp_path: Path) -> None:
    for name in ("train_prefs", "test_prefs"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({**ROW, "chosen": name}) + "\n")
    raw = load_pairs(DataSpec(source=str(tmp_path), test_overlap="keep"))
    assert (raw.train[0].chosen, raw.test[0].chosen) == ("train_prefs", "test_prefs")
    with pytest.raises(UserError, match="every one of 1 test pairs stands in training"):
        load_pairs(DataSpec(source=str(tmp_path)))
    with pytest.raises(UserError, match='has no split "nope"; it has: test_prefs, train_prefs'):
        load_pairs(DataSpec(source=str(tmp_path), train_split="nope"))


def test_a_hub_name_offline_is_one_message() -> None:
    with pytest.raises(UserError, match=r'the data set "org/none" cannot be loaded from the hub'):
        load_pairs(DataSpec(source="org/none"))


def test_pairs_that_share_a_prompt_stay_on_one_side() -> None:
    pairs = to_pairs([{**ROW, "prompt": f"p{i // 2}", "chosen": str(i)} for i in range(200)], where).pairs
    train, test, _ = split_pairs({"train": pairs}, 0.3)
    assert not {p.group for p in train} & {p.group for p in test}
    assert len(train) + len(test) == 200
    assert limit_pairs(pairs, 10) == [p for p in pairs if p in limit_pairs(pairs[::-1], 10)]


def test_a_limit_keeps_the_same_prompts_whatever_the_labels() -> None:
    """Data with flipped labels are compared with the clean ones on the same pairs."""
    rows = [{**ROW, "prompt": f"p{i}", "chosen": f"good {i}", "rejected": f"bad {i}"} for i in range(100)]
    flipped = [
        {**row, "chosen": row["rejected"], "rejected": row["chosen"]} if i % 5 == 0 else row
        for i, row in enumerate(rows)
    ]
    clean, noisy = (limit_pairs(to_pairs(each, where).pairs, 30) for each in (rows, flipped))
    assert [pair.group for pair in clean] == [pair.group for pair in noisy]
    assert 0 < sum(a.chosen == b.rejected for a, b in zip(clean, noisy, strict=True)) < 30


def test_data_that_prefers_nothing() -> None:
    same = Pair("a", [USER], "x", "x")
    with pytest.raises(UserError, match="chosen equals rejected in all 2 train pairs"):
        check_raw([same, same], "f", "train")
    with pytest.raises(UserError, match="has no train pairs"):
        check_raw([], "f", "train")


def test_long_prompts_and_unknown_words(tiny_tokenizer: Any) -> None:
    template = apply_choice(tiny_tokenizer, "tokenizer")
    long = Pair("a", [{"role": "user", "content": "w4 " * 20}], "w5", "w6")
    short = Pair("b", [{"role": "user", "content": "w4"}], "w5 " * 30, "w6")
    both = tokenise([long, short], tiny_tokenizer, template, max_length=16)
    assert both.dropped == {"prompt fills max_length": 1}
    assert both.kept[0].truncated
    assert len(both.kept[0].prompt_ids) + len(both.kept[0].chosen_ids) == 16
    none = tokenise([long], tiny_tokenizer, template, max_length=16)
    with pytest.raises(UserError, match=r"no prompt leaves 2 tokens of .* 16 .* \(the shortest has 21"):
        check_tokenised(none, "f", max_length=16, unknown_token_limit=0.05)
    strange = tokenise([Pair("c", [USER], "what is this", "no")], tiny_tokenizer, template, max_length=64)
    with pytest.raises(UserError, match=r"% of the tokens are unknown to the tokenizer \(limit 5%\)"):
        check_tokenised(strange, "f", max_length=64, unknown_token_limit=0.05)


@pytest.mark.parametrize(("words", "dropped"), [(13, {}), (14, {"prompt fills max_length": 1})])
def test_an_answer_has_room_for_two_tokens(tiny_tokenizer: Any, words: int, dropped: dict[str, int]) -> None:
    template = apply_choice(tiny_tokenizer, "tokenizer")
    pair = Pair("a", [{"role": "user", "content": "w4 " * words}], "w5 w5 w5", "w6")
    made = tokenise([pair], tiny_tokenizer, template, max_length=16)
    assert made.dropped == dropped
    assert [len(kept.chosen_ids) for kept in made.kept] == ([] if dropped else [2])


def test_answers_that_truncation_makes_equal_teach_nothing(tiny_tokenizer: Any) -> None:
    template = apply_choice(tiny_tokenizer, "tokenizer")
    prompt = [{"role": "user", "content": "w4"}]
    pairs = [
        Pair("after the cut", prompt, "w5 w6 w7 w8", "w5 w6 w7 w9"),
        Pair("in white space", prompt, "w5 w6", "w5  w6 "),
        Pair("before the cut", prompt, "w5 w6 w8 w8", "w5 w6 w7 w9"),
    ]
    made = tokenise(pairs, tiny_tokenizer, template, max_length=5)
    assert made.dropped == {"chosen = rejected in tokens": 2}
    assert [kept.pair.id for kept in made.kept] == ["before the cut"]
    alone = tokenise(pairs, tiny_tokenizer, template, max_length=5, needs_rejected=False)
    assert (len(alone.kept), alone.dropped) == (3, {})
    none = tokenise(pairs[:2], tiny_tokenizer, template, max_length=5)
    with pytest.raises(UserError, match=r"nothing to train on \(2 with chosen = rejected in tokens\)"):
        check_tokenised(none, "f", max_length=5, unknown_token_limit=1.0)


def test_a_prompt_without_a_token_predicts_no_answer(tiny_tokenizer: Any) -> None:
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("<bos>", "")
    template = apply_choice(tokenizer, "tokenizer")
    pair = Pair("a", [{"role": "user", "content": ""}], "w5", "w6")
    made = tokenise([pair], tokenizer, template, max_length=9)
    assert made.dropped == {"no token before the answer": 1}


def test_responses_end_with_the_stop_token_and_bos_stands_once(tiny_tokenizer: Any) -> None:
    template = apply_choice(tiny_tokenizer, "auto")
    pair = Pair("a", [{"role": "user", "content": "w4 w5"}], "w6 w7", "w8")
    kept = tokenise([pair], tiny_tokenizer, template, max_length=64).kept[0]
    assert (kept.prompt_ids, kept.chosen_ids, kept.rejected_ids) == ([1, 4, 5], [6, 7, 2], [8, 2])


def test_template_choices(tiny_tokenizer: Any, tmp_path: Path) -> None:
    import copy

    bare = copy.deepcopy(tiny_tokenizer)
    bare.chat_template = None
    with pytest.raises(UserError, match=r"data.chat_template is tokenizer, and this tokenizer has none"):
        apply_choice(bare, "tokenizer")
    assert apply_choice(bare, "auto").source == "default"
    assert bare.chat_template == DEFAULT_TEMPLATE
    file = tmp_path / "mine.jinja"
    file.write_text(DEFAULT_TEMPLATE.replace("User", "Human"))
    assert apply_choice(bare, str(file)).source == "file mine.jinja"
    with pytest.raises(UserError, match="no such file"):
        apply_choice(bare, "none.jinja")


def test_eos_is_learned_even_where_it_is_also_the_pad(tiny_tokenizer: Any) -> None:
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.pad_token = tokenizer.eos_token
    template = apply_choice(tokenizer, "auto")
    kept = tokenise([Pair("a", [USER], "w6", "w8")], tokenizer, template, max_length=64).kept[0]
    assert kept.chosen_ids[-1] == tokenizer.eos_token_id


def test_preparing_the_embedded_world(tmp_path: Path) -> None:
    config = PrepareConfig(model="embedded", data=DataSpec(max_length=64, limit=40, test_limit=10))
    facts = prepare(config, tmp_path, lambda done, total, metrics: None)
    assert (facts.train_pairs, facts.test_pairs) == (40, 10)
    assert facts.every_response_ends_with_a_stop_token
    assert not facts.doubled_bos
    assert facts.statistics.test_pairs_whose_prompt_is_in_train == 0
    assert facts.statistics.train.unknown_token_share == 0


def test_random_weights_from_a_config(tmp_path: Path, tiny_model: Path) -> None:
    config = PrepareConfig(
        model=f"config:{tiny_model}",
        data=DataSpec(max_length=64, limit=20, test_limit=5, unknown_token_limit=1.0),
    )
    facts = prepare(config, tmp_path, lambda done, total, metrics: None)
    assert facts.random_weights
    assert (tmp_path / "base_model" / "model.safetensors").is_file()


def real_data() -> Path | None:
    for folder in (os.environ.get("ORPO_HARNESS_DATA"), Path(__file__).parents[4] / "shared" / "data"):
        if folder and Path(folder).is_dir():
            return Path(folder)
    return None


@pytest.mark.skipif(real_data() is None, reason="the real data is not here")
def test_real_pairs_load_and_tokenise() -> None:
    from transformers import AutoTokenizer

    folder = real_data()
    assert folder is not None
    raw = load_pairs(DataSpec(source=str(folder / "alpaca_prefs")))
    assert (len(raw.train), len(raw.test)) == (1288, 320)
    assert not {p.group for p in raw.train} & {p.group for p in raw.test}
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer_neox")
    template = apply_choice(tokenizer, "auto")
    kept = tokenise(raw.test, tokenizer, template, max_length=512).kept
    assert len(kept) > 300
    assert all(p.chosen_ids[-1] == tokenizer.eos_token_id for p in kept if not p.truncated)
