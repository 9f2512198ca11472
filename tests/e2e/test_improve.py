"""A next round of a tiny embedded comparison: the same test, more pairs, and a report that tells the gain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from as_user import harness

from harness.jsonl import read_jsonl


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs" / "latest" / "record.json").read_bytes())
    return found


def test_ids(folder: Path) -> list[str]:
    import pyarrow.parquet

    prepared = folder / "runs" / "stages" / record(folder)["plan"]["prepare"] / "test.parquet"
    return [str(one) for one in pyarrow.parquet.read_table(prepared, columns=["id"])["id"].to_pylist()]


test_ids.__test__ = False  # type: ignore[attr-defined]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_next_round_is_tested_on_the_same_pairs_and_tells_its_gain(runs: Path) -> None:
    tmp_path = runs.parent
    first, ids = record(tmp_path)["id"], test_ids(tmp_path)
    said = harness(
        *("improve", "latest", "--arm", "orpo", "--judge", "embedded", "--prompts", "64", "--to", "round2"),
        folder=tmp_path,
    )
    train = list(read_jsonl(tmp_path / "round2" / "train.jsonl"))
    new = [row for row in train if "source" in row]
    assert len(train) - len(new) == 256
    assert f"{len(new)} new pairs from 64 prompts" in said
    assert all(row["grade_chosen"] > row["grade_rejected"] for row in new)
    asked = {json.dumps(row["prompt"]) for row in read_jsonl(tmp_path / "round2" / "test.jsonl")}
    assert not asked & {json.dumps(row["prompt"]) for row in new}
    harness("data", "round2", folder=tmp_path)
    harness("compare", "round2/comparison.yaml", "--no-mlflow", folder=tmp_path)
    again = record(tmp_path)
    assert test_ids(tmp_path) == ids
    assert [one["run"] for one in again["chain"]] == [first]
    assert again["name"] == "embedded_round2"
    report = (tmp_path / "runs" / "latest" / "report" / "report.md").read_text()
    assert "Round 2 of a chain" in report
    assert "What the last round gained" in report
    refused = harness(
        *("improve", "latest", "--arm", "orpo", "--judge", "embedded", "--to", "round2"),
        folder=tmp_path,
        code=2,
    )
    assert "round2: is there already" in refused
