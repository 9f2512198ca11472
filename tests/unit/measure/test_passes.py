"""Forward passes by hooks against what torch counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import families
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM

from harness.measure.passes import PassTally


def test_a_plain_pass_has_the_flops_that_torch_counts(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager").eval()
    ids = torch.randint(4, 60, (3, 17))
    tally = PassTally(model).start()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=ids)
    assert tally.stop().flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    assert tally.tokens == 51


def test_answers_with_a_cache_count_only_new_tokens(tiny_model: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(tiny_model, attn_implementation="eager").eval()
    ids = torch.randint(4, 60, (2, 9))
    tally = PassTally(model).start()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.generate(input_ids=ids, max_new_tokens=6, min_new_tokens=6, do_sample=False)
    tally.stop()
    assert tally.tokens == 2 * (9 + 5)
    assert tally.flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    with torch.no_grad():
        model(input_ids=ids)
    assert tally.tokens == 2 * (9 + 5), "no hook is left"


@pytest.mark.parametrize("name", ["mistral, all layers in a window", "mixtral", "gpt_oss", "phi"])
def test_answers_of_other_families(name: str) -> None:
    """Experts count by the token, and a layer with a window keeps few keys."""
    from harness.measure.counting import count

    model: Any = families.family(name, attn_implementation="eager").eval()
    ids = torch.randint(4, 60, (2, 9))
    tally = PassTally(model).start()
    settings = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
    counted = count(lambda: model.generate(input_ids=ids, **settings))
    assert tally.stop().flops == pytest.approx(counted.total, rel=0.01)


def test_a_family_without_a_formula_counts_tokens_alone() -> None:
    model = families.family("mamba").eval()
    tally = PassTally(model).start()
    with torch.no_grad():
        model(input_ids=torch.randint(4, 60, (3, 17)))
    assert tally.stop().tokens == 51
    assert tally.flops is None
    assert tally.reason is not None
    assert "linear_attention" in tally.reason
