"""Data that nobody meant: a message, or rows as they stand."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from corpus import worlds
from fuzz.made import fuzzed, hurt_bytes, only_user_errors, values, with_a_change
from hypothesis import given
from hypothesis import strategies as st

from harness.data.files import read_file
from harness.data.load import load_pairs
from harness.data.schemas import to_conversations, to_pairs
from harness.pipeline.data_spec import DataSpec

ROWS = worlds.pairs(4)
CHAT = [
    {
        "prompt": [{"role": "user", "content": f"hello {n}"}],
        "chosen": [{"role": "user", "content": f"hello {n}"}, {"role": "assistant", "content": "hi"}],
        "rejected": [{"role": "user", "content": f"hello {n}"}, {"role": "assistant", "content": "no"}],
    }
    for n in range(3)
]
CSV = "prompt,chosen,rejected\n" + "".join(f'"a, {n}",b,"c\nd"\n' for n in range(4))
GOOD = {
    "a.jsonl": worlds.lines(ROWS).encode(),
    "a.json": json.dumps(CHAT).encode(),
    "a.csv": CSV.encode(),
    "a.parquet": worlds.parquet({key: [row[key] for row in ROWS] for key in ROWS[0]}),
}


def load(name: str, content: bytes) -> None:
    """Read a file alone, as a folder's split, and as pairs."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        before = path.read_bytes()
        with only_user_errors():
            rows, where = read_file(path)
            assert all(isinstance(row, dict) and where(index) for index, row in enumerate(rows))
        with only_user_errors():
            load_pairs(DataSpec(source=str(path)))
        assert path.read_bytes() == before
        assert [one.name for one in Path(folder).iterdir()] == [name]


@pytest.mark.parametrize("name", GOOD)
def test_hurt_files(name: str) -> None:
    @fuzzed
    @given(hurt_bytes(GOOD[name]))
    def hurt(content: bytes) -> None:
        load(name, content)

    hurt()


@fuzzed
@given(with_a_change(ROWS) | with_a_change(CHAT))
def test_rows_with_other_values(rows: Any) -> None:
    load("a.json", json.dumps(rows).encode())


@fuzzed
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["prompt", "chosen", "rejected", "messages", "id"]), values),
        max_size=3,
    )
)
def test_any_rows(rows: list[dict[str, Any]]) -> None:
    for read in (to_pairs, to_conversations):
        with only_user_errors():
            read(rows, lambda index: f"row {index}")


@fuzzed
@given(st.text(alphabet='",\n\r ab\0\ufeff', max_size=60))
def test_any_csv(text: str) -> None:
    load("a.csv", text.encode())
