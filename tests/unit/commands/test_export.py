"""Which cell is exported, what the export loses, and a folder that is whole or not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_view

from harness.commands.export import _check_target, choose
from harness.errors import UserError
from harness.evidence.contrasts import score_contrast
from harness.evidence.exported import _verdict, losses
from harness.evidence.view import ComparisonView


def with_accuracy(**by_cell: float) -> ComparisonView:
    """20 items a cell, a share of them right."""
    view = make_view(seeds=(0, 1))
    items = {
        cell.replace("_at_", "@"): {
            "preference.accuracy": {f"i{i}": float(i < 20 * share) for i in range(20)}
        }
        for cell, share in by_cell.items()
    }
    return replace(view, items=items)


def test_the_first_seed_the_best_and_a_named_one() -> None:
    view = with_accuracy(orpo_at_0=0.5, orpo_at_1=0.7)
    assert (choose(view, "orpo", None).cell.seed, choose(view, "orpo", "0").cell.seed) == (0, 0)
    best = choose(view, "orpo", "best")
    assert best.cell.seed == 1
    assert best.why.startswith("best of 2 by preference.accuracy (0.7, where the arm's mean is 0.6)")
    for arm, seed, said in (
        ("orp", None, "orpo"),
        ("orpo", "7", "known|give best"),
        ("orpo", "x", "no seed x"),
    ):
        with pytest.raises(UserError, match=said):
            choose(view, arm, seed)


def test_no_score_no_best() -> None:
    with pytest.raises(UserError, match="no score chooses"):
        choose(replace(make_view(), items={}), "orpo", "best")


def verdict(sft: float, orpo: float, margin: float, items: int = 400) -> str:
    view = make_view(seeds=(0,))
    tables = {"sft@0": sft, "orpo@0": orpo}
    view = replace(
        view,
        items={
            cell: {"preference.accuracy": {f"i{i}": float(i < items * share) for i in range(items)}}
            for cell, share in tables.items()
        },
    )
    contrast = score_contrast(view, "preference.accuracy", "orpo", "sft")
    assert contrast is not None
    return _verdict(contrast, margin)


def test_a_loss_is_judged_by_its_margin() -> None:
    assert verdict(0.6, 0.6, 0.02) == "identical on every item"
    assert verdict(0.6, 0.595, 0.05) == "not worse within 5.0%"
    assert verdict(0.6, 0.4, 0.05) == "worse by more than 5.0%"
    assert verdict(0.6, 0.57, 0.03) == "not shown to be within it"


def test_only_shares_of_which_more_is_better_have_a_margin() -> None:
    view = with_accuracy(orpo_at_0=0.5, sft_at_0=0.5)
    scored = losses(view, "sft", "orpo", 0.02)
    assert [(one.contrast.quantity, one.verdict) for one in scored] == [
        ("preference.accuracy", "identical on every item")
    ]


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    _check_target(tmp_path / "new", replace=False)
    (tmp_path / "empty").mkdir()
    _check_target(tmp_path / "empty", replace=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(UserError, match="no export"):
        _check_target(tmp_path / "mine", replace=True)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "export.json").write_text("{}")
    with pytest.raises(UserError, match="--replace"):
        _check_target(tmp_path / "old", replace=False)
    _check_target(tmp_path / "old", replace=True)


def test_a_folder_is_whole_or_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.commands import card

    model, to = tmp_path / "model", tmp_path / "to"
    model.mkdir()
    (model / "config.json").write_text("{}")
    to.mkdir()
    (to / "export.json").write_text("old")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(card, "_write_card", full)
    with pytest.raises(UserError, match="No space left on device"):
        card.write_export(to, model, None)  # type: ignore[arg-type]
    assert (to / "export.json").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "to"]
