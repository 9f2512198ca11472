"""`harness data`: what is said of pairs with a model's tokenizer, and without any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.commands.data import run
from harness.errors import UserError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Real words, which the embedded model's tokenizer does not know."""
    rows = [
        {"prompt": f"Describe elephant {i}.", "chosen": "A large animal.", "rejected": "No."}
        for i in range(9)
    ]
    rows += [
        {"prompt": "Same?", "chosen": "yes", "rejected": "yes"},
        {"prompt": "?", "chosen": "", "rejected": "x"},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def printed(capsys: Any) -> Any:
    return json.loads(capsys.readouterr().out)


def test_without_a_model_no_vocabulary_judges_the_text(file: Path, capsys: Any) -> None:
    assert run(str(file), model=None, sets=("data.test_fraction=0.001",), format_name="json") == 0
    statistics = printed(capsys)
    train = statistics["train"]
    assert (train["pairs_read"], train["chosen_equals_rejected"], train["empty_answers"]) == (11, 1, 1)
    assert train["words"]["chosen"]["max"] == 3
    assert train["characters"]["rejected"]["median"] == 3
    assert "need --model" in statistics["tokens"]
    assert statistics["test"]["characters"]["prompt"] is None


def test_with_a_model_its_tokenizer_does(file: Path, capsys: Any) -> None:
    with pytest.raises(UserError, match="of the tokens are unknown to the tokenizer"):
        run(str(file), model="embedded", sets=())
    assert run("embedded", model="embedded", sets=("limit=20", "test_limit=5"), format_name="json") == 0
    assert printed(capsys)["train"]["prompt_tokens"]["median"] > 1


def test_a_table_is_what_people_read(file: Path, capsys: Any) -> None:
    assert run(str(file), model=None, sets=("data.test_fraction=0.001",)) == 0
    text = capsys.readouterr().out
    assert "{" not in text
    rows = {line[:28].strip(): line[28:].split() for line in text.splitlines()}
    assert rows["pairs read"] == ["11", "0"]
    assert rows["chosen = rejected"] == ["1", "0"]
    assert rows["words of chosen"][:4] == ["3", "(0", "to", "3)"]
    assert "need --model." in text


def test_rows_that_are_no_pairs_are_told_what_pairs_look_like(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('[{"question": "a", "good": "b", "bad": "c"}]')
    with pytest.raises(UserError, match=r'has no chosen answer; .*\{"prompt": text, .*docs/data.md'):
        run(str(file), model=None, sets=())


def test_data_that_prefers_nothing_is_refused_without_a_model(tmp_path: Path) -> None:
    file = tmp_path / "same.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "b"}\n' * 9)
    with pytest.raises(UserError, match=r"chosen equals rejected in all \d train pairs"):
        run(str(file), model=None, sets=())
