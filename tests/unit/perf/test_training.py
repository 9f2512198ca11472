"""What the duel with stock TRL concludes, from made figures; and what stock's scripts are told."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from perf.losses import Apart, first_difference, last_difference
from perf.stock.run_all import STOCK
from perf.training import Outside, Pairs, Trained, report, same_work


def side(seconds: float, *, tokens: int = 100, growth: float = 100.0, loss: float = 2.0) -> Trained:
    return Trained(seconds, 2 * seconds, growth, tokens, 1, [(1, 1, loss)])


def pairs(ours: list[float], **figures: Any) -> Pairs:
    return [(side(seconds, **figures), side(1.0)) for seconds in ours]


def rows(capsys: Any) -> dict[str, Any]:
    found = json.loads(capsys.readouterr().out.splitlines()[-1])["rows"]
    return {row["name"]: row for row in found}


@pytest.mark.parametrize(
    ("ours", "verdict", "code"),
    [
        ([0.9, 0.91, 0.89], "misses the goal", 1),
        ([0.7, 0.71, 0.69], "meets the goal", 0),
        ([0.7, 0.8, 0.9], "not decided", 0),
        ([1.4], "one repeat, no interval", 0),
    ],
)
def test_the_embedded_stages_are_judged_by_their_seconds(
    ours: list[float], verdict: str, code: int, capsys: Any
) -> None:
    assert report({"orpo": pairs(ours)}, real=False, rehearsed={}, losses={}, outside={}) == code
    found = rows(capsys)
    assert found["orpo train_seconds"]["verdict"] == verdict
    assert "verdict" not in found["orpo tokens/s"]


def test_a_real_model_is_judged_by_rate_and_growth(capsys: Any) -> None:
    fast = [0.5, 0.51, 0.49]
    assert (
        report(
            {"dpo": pairs(fast, growth=60.0)},
            real=True,
            rehearsed={"dpo": (1.0, 20.0)},
            losses={},
            outside={},
        )
        == 0
    )
    assert rows(capsys)["dpo tokens/s"]["ratio"] == pytest.approx(2.0, rel=1e-3)
    assert report({"dpo": pairs(fast, growth=80.0)}, real=True, rehearsed={}, losses={}, outside={}) == 1
    assert (
        report({"dpo": pairs([0.8, 0.81, 0.79], growth=60.0)}, real=True, rehearsed={}, losses={}, outside={})
        == 1
    )
    assert (
        report({"sft": pairs([0.8, 0.81, 0.79], growth=80.0)}, real=True, rehearsed={}, losses={}, outside={})
        == 0
    )


@pytest.mark.parametrize(("method", "first", "code"), [("dpo", 2e-3, 1), ("orpo", 2e-3, 0), ("sft", 5e-4, 0)])
def test_losses_that_begin_elsewhere_fail_where_both_sides_define_them_alike(
    method: str, first: float, code: int, capsys: Any
) -> None:
    losses = {method: Apart(first, 0.05, 0.04)}
    assert report({method: pairs([0.7, 0.7])}, real=False, rehearsed={}, losses=losses, outside={}) == code
    assert f"losses of {method}: {first:.1e} apart in the first 5 steps" in capsys.readouterr().out


def test_losses_over_other_tokens_are_shown_and_not_judged(capsys: Any) -> None:
    losses = {"sft": Apart(0.01, 0.01, None, same_tokens=False)}
    assert report({"sft": pairs([0.7, 0.7])}, real=True, rehearsed={}, losses=losses, outside={}) == 0
    assert "1.0e-02 apart in the first 5 steps (other tokens, no limit)" in capsys.readouterr().out


def test_first_steps_are_compared_one_by_one() -> None:
    """What has grown apart later does not count, and what cancels in a mean does."""
    stock = [(step, step, 2.0) for step in range(1, 9)]
    ours = [(step, step, 2.0 + shift) for step, _, _ in stock for shift in [0.002 * (-1) ** step]]
    assert first_difference(ours, stock) == pytest.approx(1e-3)
    later = [(step, step, 2.0 if step <= 5 else 3.0) for step, _, _ in stock]
    assert first_difference(later, stock) == 0.0
    assert last_difference(later, stock) == pytest.approx(0.5)


@pytest.fixture
def common(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The stock scripts' shared module, imported as they import it."""
    monkeypatch.syspath_prepend(str(STOCK))
    import common

    yield common
    sys.modules.pop("common")


STAGE = {"learning_rate": 1e-3, "epochs": 1.0, "max_steps": None, "batch_size": 8, "micro_batch_size": 4}
STAGE |= {"schedule": "cosine", "warmup_ratio": 0.1, "warmup_steps": None, "min_lr_rate": None}
STAGE |= {"gradient_checkpointing": False}


@pytest.mark.parametrize(
    ("precision", "held", "autocast"),
    [("float32", "float32", False), ("mixed", "float32", True), ("bfloat16", "bfloat16", False)],
)
def test_stock_trains_in_the_precision_of_the_stage(
    precision: str, held: str, autocast: bool, common: Any, tmp_path: Path
) -> None:
    given = argparse.Namespace(
        settings={**STAGE, "precision": precision},
        out=tmp_path,
        seed=1,
        max_length=64,
        in_order=True,
        log_every=None,
    )
    settings = common.settings(given)
    assert (common.dtype(given), settings["bf16"]) == (held, autocast)
    assert (settings["gradient_accumulation_steps"], settings["train_sampling_strategy"]) == (2, "sequential")


def test_stocks_losses_are_read_by_window(common: Any) -> None:
    logged = [{"loss": 3.0, "step": 10}, {"loss": 2.0, "step": 20}, {"train_loss": 2.4, "step": 25}]
    assert common.losses(logged) == [(1, 10, 3.0), (11, 20, 2.0)]
    assert common.losses([{"train_loss": 2.4, "step": 5}]) == [(1, 5, 2.4)]


def test_padding_and_the_prompt_alone_are_no_tokens(common: Any) -> None:
    import torch

    class Trainer:
        def get_train_dataloader(self) -> list[dict[str, torch.Tensor]]:
            mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
            return [{f"{part}_attention_mask": mask for part in ("chosen", "rejected", "prompt")}]

    assert common.real_tokens(Trainer()) == 10


def test_trl_may_add_two_tokens_to_a_sequence_and_cut_none() -> None:
    """Counted on a real model: 921 tokens of eight sequences were 937 in TRL's ORPO."""
    assert same_work(side(1.0, tokens=921), side(1.0, tokens=937), 8)
    assert not same_work(side(1.0, tokens=921), side(1.0, tokens=938), 8)
    assert not same_work(side(1.0, tokens=921), side(1.0, tokens=920), 8)


def test_what_a_stage_does_beside_training_is_said_as_a_share_of_ten_minutes(capsys: Any) -> None:
    report({"sft": pairs([0.7])}, real=True, rehearsed={}, losses={}, outside={"sft": Outside(3.0, 12.0)})
    assert (
        "sft: 3.0 s outside training, 0.50% of a stage that trains for ten minutes" in capsys.readouterr().out
    )
