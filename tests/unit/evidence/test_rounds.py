"""The chain of rounds in a report: gains paired with the round before, and what is gone has a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import make_view

from harness.evidence.findings import findings
from harness.evidence.sections import rounds
from harness.evidence.view import ComparisonView
from harness.records import Round
from harness.units import plain

FIRST = Round(run="before-1", source="on_policy", arm="orpo", judge="embedded", pairs_added=50, seconds=12.0)
METRIC = "preference.accuracy"


def scored(share: float, *, chain: tuple[Round, ...] = ()) -> ComparisonView:
    view = make_view(seeds=(0, 1))
    items = {
        f"{arm}@{seed}": {METRIC: {f"i{i}": float(i < 100 * share + seed) for i in range(100)}}
        for arm in view.arms
        for seed in (0, 1)
    }
    record = view.record.model_copy(update={"chain": list(chain)})
    return replace(view, record=record, items=items)


def test_a_first_round_has_no_section() -> None:
    assert rounds.section(findings(scored(0.5))) is None


def test_a_round_s_gain_is_paired_with_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    before = scored(0.5)
    monkeypatch.setattr(rounds, "_opened", lambda root, run: before)
    section = rounds.section(findings(scored(0.6, chain=(FIRST,))))
    assert section is not None
    told, gains = section.tables
    gained = {plain(row[0]): row for row in gains.rows}
    assert plain(gained["orpo"][2]).startswith("10.00 points")
    assert gained["orpo"][3].value == pytest.approx(0.1 / 50)
    assert gained["orpo"][4].reason == "it did not train longer than the round before"
    added = [(plain(row[0]), plain(row[2]), plain(row[4]), plain(row[5])) for row in told.rows]
    assert ("1", "orpo", "0", "not measured") in added
    assert ("2", "orpo", "50", "12.0 s") in added
    assert "Round 2 of a chain" in section.paragraphs[0]
    assert section.paragraphs[1] == "The last round is shown to have paid for sft, sft_dpo, orpo."


def test_what_is_equal_is_no_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_opened", lambda root, run: scored(0.5))
    section = rounds.section(findings(scored(0.5, chain=(FIRST,))))
    assert section is not None
    assert {plain(row[-1]) for row in section.tables[1].rows} == {"identical"}
    assert section.paragraphs[1] == "It has not been shown that the last round paid for sft, sft_dpo, orpo."


def test_a_third_round_tells_the_gain_since_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = {"before-1": scored(0.4), "before-2": scored(0.5)}
    monkeypatch.setattr(rounds, "_opened", lambda root, run: shares[run])
    second = FIRST.model_copy(update={"run": "before-2"})
    section = rounds.section(findings(scored(0.6, chain=(FIRST, second))))
    assert section is not None
    assert "Since the first round, not registered: sft 20.00 points" in section.paragraphs[2]


def test_a_round_that_is_gone_is_said(tmp_path: Path) -> None:
    section = rounds.section(findings(scored(0.5, chain=(FIRST,)), root=tmp_path))
    assert section is not None
    (told,) = section.tables
    assert told.rows[0][6].reason == "before-1 is gone from this folder of runs"
    assert "gone from this folder of runs, so no gain is told" in section.paragraphs[1]
