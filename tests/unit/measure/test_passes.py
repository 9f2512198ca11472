"""Forward passes by hooks against what torch counts."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import families
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM
from transformers.generation.continuous_batching import ContinuousBatchingManager

from harness.generate import LoadedModel
from harness.measure.counting import count
from harness.measure.passes import PassTally, _packed
from harness.pipeline.generation_spec import GenerationSpec


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
    model: Any = families.family(name, attn_implementation="eager").eval()
    ids = torch.randint(4, 60, (2, 9))
    tally = PassTally(model).start()
    settings = {"max_new_tokens": 12, "min_new_tokens": 12, "do_sample": False}
    counted = count(lambda: model.generate(input_ids=ids, **settings))
    assert tally.stop().flops == pytest.approx(counted.total, rel=0.01)


@pytest.mark.parametrize("name", ["llama", "mistral, all layers in a window", "gemma3", "gpt_oss", "phi"])
def test_answers_by_continuous_batching(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All sequences lie in one row, and the mask is over all of their keys. Torch counts in the thread that
    asks, so the engine's loop runs in it."""
    from harness.generate.engines import continuous

    model: Any = families.family(name).eval()
    loaded = LoadedModel(model, SimpleNamespace(pad_token_id=0), [2], "cpu", "", Path())
    prompts = [torch.randint(4, 60, (n,)).tolist() for n in (9, 3, 14, 6, 6)]
    settings = GenerationSpec(engine="continuous", max_new_tokens=12, batch_size=3)

    def start(manager: Any) -> None:
        manager.background_thread_status.request_stop(1, 0)  # when all is answered
        manager._run_generation_loop()

    monkeypatch.setattr(ContinuousBatchingManager, "start", start)
    found: dict[int, list[int]] = {}
    tally = PassTally(model).start()
    counted = count(lambda: [found.update(some) for some in continuous.token_ids(loaded, prompts, settings)])
    tally.stop()
    assert tally.tokens == sum(map(len, prompts)) + sum(len(new) - 1 for new in found.values())
    assert tally.flops == pytest.approx(counted.total, rel=0.01)


def test_kernels_that_take_lengths_stay_within_a_sequence() -> None:
    """FlashAttention is given no mask: three and five new tokens, on four and five keys in all."""
    looks = _packed(
        {
            "attention_mask": None,
            "cu_seq_lens_q": torch.tensor([0, 3, 8]),
            "cu_seq_lens_k": {
                "full_attention": torch.tensor([0, 4, 9]),
                "sliding_attention": torch.tensor([0, 3, 8]),
            },
        }
    )
    assert (looks(None), looks(4)) == (3 * 4 + 5 * 5, 3 * 3 + 5 * 5)


def test_a_family_without_a_formula_counts_tokens_alone() -> None:
    model = families.family("mamba").eval()
    tally = PassTally(model).start()
    with torch.no_grad():
        model(input_ids=torch.randint(4, 60, (3, 17)))
    assert tally.stop().tokens == 51
    assert tally.flops is None
    assert tally.reason is not None
    assert "linear_attention" in tally.reason
