"""Times of an export's answers: each token of all answers is timed, and weights are counted once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.evidence.speeds import rates, speed_table
from harness.records import Speed, SpeedFacts
from harness.stages.speed import bytes_of, seconds_of
from harness.units import plain


@pytest.fixture
def model(tiny_model: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(tiny_model).eval()


def test_the_prompt_is_apart_from_later_tokens(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass over the prompt that sleeps long makes the first token late, and no later one."""
    really, passes = model.forward, []

    def forward(*args: Any, **kwargs: Any) -> Any:
        passes.append(kwargs["input_ids"].shape)
        time.sleep(0.2 if len(passes) == 1 else 0.01)
        return really(*args, **kwargs)

    monkeypatch.setattr(model, "forward", forward)
    first, later = seconds_of(model, torch.full((3, 5), 7), 6, None)
    assert passes == [(3, 5), *[(3, 1)] * 5]
    assert first >= 0.2
    assert 0.01 <= later < 0.1


def test_an_answer_does_not_end_before_its_last_token(model: Any) -> None:
    """Also where the model would stop: every answer has as many tokens."""
    prompt = torch.full((1, 4), 9)
    model.generation_config.eos_token_id = int(model(prompt).logits[0, -1].argmax())
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    seconds_of(model, prompt, 8, 0)
    assert len(passes) == 8


def test_tied_weights_are_held_once(model: Any) -> None:
    each = sum(p.nbytes for p in model.parameters())
    buffers = sum(b.nbytes for b in model.buffers())
    assert bytes_of(model) == each + buffers
    model.lm_head.weight = model.model.embed_tokens.weight
    assert bytes_of(model) == each + buffers - model.lm_head.weight.nbytes


def facts(whole: bool) -> SpeedFacts:
    def speed(slow: float) -> Speed:
        return Speed(batch=8, first_token=[0.2 * slow, 0.21 * slow], later_token=[0.01 * slow, 0.011 * slow])

    return SpeedFacts(
        form="int8",
        prompt_tokens=12,
        new_tokens=11,
        bytes=1 << 20,
        exported=[speed(0.5)],
        whole_bytes=1 << 22 if whole else None,
        whole=[speed(1.0)] if whole else [],
    )


def test_rates_are_of_the_whole_batch_and_paired() -> None:
    found = facts(True)
    assert rates(found, found.whole[0])[0] == pytest.approx(8 * 11 / (0.2 + 10 * 0.01))
    table = speed_table(found, "a CPU", "digest")
    whole, export = table.rows
    assert [plain(cell) for cell in whole[:3]] == ["whole", "4 MiB", "8"]
    assert export[-1].value == pytest.approx(2.0)
    assert not whole[-1].applies


def test_whole_weights_stand_alone() -> None:
    (row,) = speed_table(facts(False), "a CPU", "digest").rows
    assert not row[-1].applies
