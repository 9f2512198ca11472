"""`--again`: what it names, and what becomes of the stages that it names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.errors import UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved
from harness.running import again as again_module
from harness.running.again import Again, to_run_again
from harness.store.run_dir import RunRoot

SPEC = load_comparison(find_comparison("embedded", model=None), Overrides(seeds="2"))
PLAN = plan_comparison(SPEC, Resolved(judged=frozenset({"alpaca_eval"})))
SCORED = {"sft/evaluate@0", "sft_dpo/evaluate@0", "judge"}


def names(*words: str) -> set[str]:
    return {PLAN.stages[digest].name for digest in to_run_again(PLAN, words)}


def sft_of(seed: int) -> str:
    """The shared SFT stage bears the name of the arm that came first in its block."""
    cell = next(c for c in PLAN.cells if c.arm == "sft" and c.seed == seed)
    return PLAN.stages[cell.stages[0]].name


def test_a_stage_brings_all_that_is_made_from_it() -> None:
    assert names("orpo/orpo@1") == {"orpo/orpo@1", "orpo/evaluate@1", "judge"}
    assert names(sft_of(0)) == {sft_of(0), "sft_dpo/dpo@0", *SCORED}
    assert names("judge") == {"judge"}
    assert names() == set()


def test_an_arm_is_its_training_and_its_scores() -> None:
    both = {f"orpo/{stage}@{seed}" for stage in ("orpo", "evaluate") for seed in (0, 1)}
    assert names("orpo") == {*both, "judge"}


def test_groups() -> None:
    everything = {stage.name for stage in PLAN.stages.values()}
    assert names("all") == names("prepare") == everything
    before = {
        "prepare",
        "check",
        "rehearse sft",
        "rehearse dpo",
        "rehearse orpo",
        "rehearse scoring",
        "base/evaluate",
    }
    assert names("train") == everything - before
    scored = {name for name in everything if "evaluate" in name} | {"judge"}
    assert names("evaluate") == scored
    assert names("evaluate", "orpo/orpo@0") == scored | {"orpo/orpo@0"}


def test_an_unknown_word_is_one_message() -> None:
    with pytest.raises(UserError, match=r'--again: no stage or arm "orpoo"; did you mean orpo\?'):
        names("orpoo")


class Moves:
    """Stands for the store: what was set aside and put back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aside: list[list[str]] = []
        self.back: list[dict[str, Path]] = []
        monkeypatch.setattr(again_module, "set_aside", self._set_aside)
        monkeypatch.setattr(again_module, "put_back", self._put_back)

    def _set_aside(self, root: Any, digests: list[str]) -> dict[str, Path]:
        self.aside.append([PLAN.stages[d].name for d in digests])
        return {digest: Path("runs/stages") / f"{digest}.1" for digest in digests}

    def _put_back(self, root: Any, moved: dict[str, Path]) -> list[str]:
        self.back.append(moved)
        return list(moved)[1:]


def test_a_stage_is_set_aside_once_however_many_plans_pass_by(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    moves = Moves(monkeypatch)
    root: Any = SimpleNamespace()
    with Again(root, ["judge"], Console()) as chosen:
        chosen.set_aside(PLAN)
        chosen.set_aside(PLAN)
    assert moves.aside == [["judge"], []]
    assert [PLAN.stages[digest].name for digest in chosen.chosen] == ["judge"]
    assert moves.back == []
    assert "kept as it was, 1 stage(s), in runs/stages/*.*" in capsys.readouterr().out


def test_an_interruption_puts_back_what_was_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = Moves(monkeypatch)
    root: Any = SimpleNamespace()
    chosen = Again(root, ["judge", "orpo/evaluate@0"], Console())
    chosen.set_aside(PLAN)
    chosen.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [{PLAN.stages[d].name for d in moved} for moved in moves.back] == [{"judge", "orpo/evaluate@0"}]


def test_without_words_nothing_moves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = RunRoot(tmp_path)
    root.open_for_writing()
    with Again(root, [], Console()) as chosen:
        chosen.set_aside(PLAN)
    assert capsys.readouterr().out == ""
