from __future__ import annotations

from pathlib import Path

import pytest
from synthetic import make_view

from harness.errors import UserError
from harness.records import Score
from harness.sealed import SealBroken, opened, read_sealed, write_sealed
from harness.store.run_dir import RunRoot, read_record

SCORE = Score(benchmark="preference", metric="accuracy", estimate=0.734, n=400, settings={"text": 'a"\nü'})


def test_what_was_sealed_is_read(tmp_path: Path) -> None:
    write_sealed(tmp_path / "score.json", SCORE)
    assert read_sealed(tmp_path / "score.json", Score) == SCORE


def test_a_file_of_before_seals_is_read(tmp_path: Path) -> None:
    (tmp_path / "score.json").write_text(SCORE.model_dump_json(indent=1))
    assert read_sealed(tmp_path / "score.json", Score) == SCORE


def test_another_digit_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    write_sealed(file, SCORE)
    file.write_text(file.read_text().replace("0.734", "0.834"))
    with pytest.raises(SealBroken):
        read_sealed(file, Score)


def test_no_bit_flips_unnoticed(tmp_path: Path) -> None:
    file = tmp_path / "score.json"
    write_sealed(file, SCORE)
    whole = file.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            with pytest.raises(ValueError):  # noqa: PT011  broken seal, no UTF-8, no JSON, or an unknown field
                Score.model_validate_json(opened(bytes(flipped)))


def test_a_secret_is_hidden_before_the_seal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "sk-planted-1234567890")
    write_sealed(tmp_path / "a.json", SCORE.model_copy(update={"reason": "sk-planted-1234567890"}))
    assert "planted" not in (tmp_path / "a.json").read_text()
    assert "planted" not in str(read_sealed(tmp_path / "a.json", Score).reason)


def test_a_changed_record_is_refused_by_name(tmp_path: Path) -> None:
    file = RunRoot(tmp_path).write_record(make_view().record) / "record.json"
    text = file.read_text()
    file.write_text(text.replace('"value": 1', '"value": 2', 1))
    assert file.read_text() != text
    with pytest.raises(UserError, match="changed after it was written") as told:
        read_record(file.parent)
    assert str(file) in str(told.value)
