"""Files and folders as people have them: shards, exports, saved data sets, broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.data.files import read_file
from harness.data.load import load_conversations, load_pairs
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec


def rows(name: str, count: int = 3) -> list[dict[str, str]]:
    return [{"prompt": f"{name} {i}", "chosen": "a", "rejected": "b"} for i in range(count)]


def put(folder: Path, name: str, what: list[dict[str, Any]]) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".parquet":
        import pandas

        pandas.DataFrame(what).to_parquet(file)
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in what))


def prompts(pairs: list[Any]) -> list[str]:
    return [pair.prompt[0]["content"] for pair in pairs]


def test_a_copy_of_a_hub_data_set(tmp_path: Path) -> None:
    for split in ("train_prefs", "test_prefs", "train_gen", "test_gen", "train_sft"):
        put(tmp_path, f"data/{split}-00000-of-00002.parquet", rows(f"{split} one"))
        put(tmp_path, f"data/{split}-00001-of-00002.parquet", rows(f"{split} two"))
    put(tmp_path, "dataset_infos.json", [{}])
    put(tmp_path, ".cache/train_prefs.json", [{}])
    raw = load_pairs(DataSpec(source=str(tmp_path)))
    assert prompts(raw.train) == [f"train_prefs {n} {i}" for n in ("one", "two") for i in range(3)]
    assert prompts(raw.test) == [f"test_prefs {n} {i}" for n in ("one", "two") for i in range(3)]
    own = load_conversations(DataSpec(source=str(tmp_path)))
    assert prompts(own.train)[0] == "train_sft one 0"
    assert own.test == []


def test_shards_in_a_folder_of_the_splits_name(tmp_path: Path) -> None:
    put(tmp_path, "train/0000.parquet", rows("one"))
    put(tmp_path, "train/0001.parquet", rows("two"))
    put(tmp_path, "test/0000.parquet", rows("test"))
    raw = load_pairs(DataSpec(source=str(tmp_path)))
    assert (len(raw.train), prompts(raw.test)) == (6, ["test 0", "test 1", "test 2"])


def test_a_wrong_row_of_a_shard_is_named_by_its_file_and_line(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00002.jsonl", rows("one"))
    put(tmp_path, "train-00001-of-00002.jsonl", [*rows("two", 1), {"prompt": "p", "chosen": "c"}])
    with pytest.raises(UserError, match=r"train-00001-of-00002.jsonl:2: has no rejected answer"):
        load_pairs(DataSpec(source=str(tmp_path)))


def test_a_missing_shard_is_not_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "train-00000-of-00003.jsonl", rows("one"))
    put(tmp_path, "train-00002-of-00003.jsonl", rows("three"))
    with pytest.raises(UserError, match="split train has 2 of 3 files"):
        load_pairs(DataSpec(source=str(tmp_path)))


def test_two_files_of_one_split(tmp_path: Path) -> None:
    put(tmp_path, "train.jsonl", rows("one"))
    put(tmp_path, "train.parquet", rows("one"))
    with pytest.raises(UserError, match=r"split train stands in 2 files \(train.jsonl, train.parquet\)"):
        load_pairs(DataSpec(source=str(tmp_path)))


def test_which_split_is_asked_where_it_cannot_be_told(tmp_path: Path) -> None:
    put(tmp_path, "train_a.jsonl", rows("a"))
    put(tmp_path, "train_b.jsonl", rows("b"))
    with pytest.raises(
        UserError, match=r"2 splits that could be the train; .*train_split=: train_a, train_b"
    ):
        load_pairs(DataSpec(source=str(tmp_path)))
    raw = load_pairs(DataSpec(source=str(tmp_path), train_split="train_a", test_split="train_b"))
    assert (prompts(raw.train)[0], prompts(raw.test)[0]) == ("a 0", "b 0")
    with pytest.raises(UserError, match='split "train_a" is named twice, as train too'):
        load_pairs(DataSpec(source=str(tmp_path), train_split="train_a", test_split="train_a"))


def test_one_file_has_no_splits(tmp_path: Path) -> None:
    put(tmp_path, "pairs.jsonl", rows("a"))
    with pytest.raises(UserError, match=r'pairs.jsonl: is one file and has no split "dev"'):
        load_pairs(DataSpec(source=str(tmp_path / "pairs.jsonl"), test_split="dev"))


def test_a_folder_with_a_test_split_alone_trains_on_it_and_parts_it(tmp_path: Path) -> None:
    put(tmp_path, "test.jsonl", rows("a", 40))
    raw = load_pairs(DataSpec(source=str(tmp_path), test_fraction=0.3))
    assert len(raw.train) + len(raw.test) == 40
    assert not set(prompts(raw.train)) & set(prompts(raw.test))


def test_saved_data_sets(tmp_path: Path) -> None:
    import datasets

    both = datasets.DatasetDict(
        {"train": datasets.Dataset.from_list(rows("t")), "test": datasets.Dataset.from_list(rows("e"))}
    )
    both.save_to_disk(str(tmp_path / "both"))
    both["train"].save_to_disk(str(tmp_path / "one"))
    raw = load_pairs(DataSpec(source=str(tmp_path / "both")))
    assert (prompts(raw.train)[0], prompts(raw.test)[0]) == ("t 0", "e 0")
    assert load_conversations(DataSpec(source=str(tmp_path / "one"))).train_available == 3
    (tmp_path / "one" / "state.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be loaded as a saved data set"):
        load_pairs(DataSpec(source=str(tmp_path / "one")))


def test_csv_cells_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('prompt,chosen,rejected\n2+5,7,"8\n"\nnothing,NA,\n')
    found, _ = read_file(file)
    assert found == [
        {"prompt": "2+5", "chosen": "7", "rejected": "8\n"},
        {"prompt": "nothing", "chosen": "NA", "rejected": ""},
    ]


@pytest.mark.parametrize("write", [json.dumps, repr], ids=["json", "python"])
def test_csv_cells_may_hold_messages(tmp_path: Path, write: Any) -> None:
    import pandas

    user, good, bad = (
        {"role": r, "content": c} for r, c in (("user", "hi"), ("assistant", "a's"), ("assistant", "b"))
    )
    frame = pandas.DataFrame([{"chosen": write([user, good]), "rejected": write([user, bad])}] * 3)
    frame.to_csv(tmp_path / "a.csv", index=False)
    pair = load_pairs(DataSpec(source=str(tmp_path / "a.csv"), test_fraction=0.001)).train[0]
    assert (pair.prompt, pair.chosen, pair.rejected) == ([user], "a's", "b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a.csv: holds nothing; name the columns"),
        ("a.csv", b"a,b\n1,2,3\n1,2,3,4,5\n", r"a.csv: row 1: has 3 cells, and the header names 2"),
        ("a.csv", b"a,b\n\xff\xfe,1\n", r"a.csv: cannot be read \(no UTF-8 text\)"),
        ("a.csv", b"prompt,chosen\np,c\n", r"a.csv: row 1: has no rejected answer"),
        ("a.parquet", b"no parquet", r"a.parquet: cannot be read \(.*Parquet magic bytes not found"),
        ("a.json", b"{}", r"a.json: is no list of objects"),
        ("a.json", b"[", r"a.json: is not valid JSON"),
        ("a.jsonl", b"[1]\n", r"a.jsonl:1: is no JSON object"),
        ("a.jsonl", b'{"prompt": "\xff"}\n', r"a.jsonl:1: is not valid JSON \(no UTF-8 text\)"),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl:1: is not valid JSON"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_pairs(DataSpec(source=str(tmp_path / name)))


def test_the_limit_is_by_hash_and_says_what_there_was(tmp_path: Path) -> None:
    put(tmp_path, "train.jsonl", rows("a", 50))
    put(tmp_path, "test.jsonl", rows("b", 20))
    spec = DataSpec(source=str(tmp_path), limit=10, test_limit=5)
    raw = load_pairs(spec)
    assert (len(raw.train), raw.train_available, len(raw.test), raw.test_available) == (10, 50, 5, 20)
    put(tmp_path, "train.jsonl", rows("a", 50)[::-1])
    assert sorted(p.id for p in load_pairs(spec).train) == sorted(p.id for p in raw.train)
