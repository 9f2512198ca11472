"""Engines answer alike: the same tokens, stops, sampling that repeats, and nothing left behind."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import families
import peft
import pytest
import torch
from few import few
from transformers import AutoModelForCausalLM
from transformers.generation.configuration_utils import ContinuousBatchingConfig

from harness.data.base_model import EMBEDDED
from harness.generate import LoadedModel, Prompt
from harness.generate.answer import answer
from harness.generate.engines import continuous
from harness.generate.engines.by_name import ready, token_ids
from harness.generate.kept import KeptAnswers
from harness.generate.load import load_model
from harness.generate.turns import answer_turns
from harness.measure.passes import PassTally
from harness.pipeline.generation_spec import Engine, GenerationSpec
from harness.pipeline.model_form import ModelForm

LENGTHS = (3, 7, 7, 12, 5, 20, 9, 2, 15, 4)
PROMPTS = [torch.randint(4, 60, (n,), generator=torch.Generator().manual_seed(n)).tolist() for n in LENGTHS]
SETTINGS = GenerationSpec(max_new_tokens=16, batch_size=4)
ABLE = [
    name
    for name in (*families.DENSE, *families.EXPERTS)
    if name not in ("gpt_neox", "deepseek_v3, latent attention")
]


def of_family(name: str) -> LoadedModel:
    torch.manual_seed(0)
    model = families.family(name).eval()
    return LoadedModel(model, SimpleNamespace(pad_token_id=0), [2, *range(10, 60, 8)], "cpu", "", Path())


def answers(loaded: LoadedModel, engine: Engine, prompts: Any = None, **update: Any) -> list[list[int]]:
    prompts = PROMPTS if prompts is None else prompts
    settings = SETTINGS.model_copy(update={"engine": engine, **update})
    found: dict[int, list[int]] = {}
    for some in token_ids(loaded, prompts, settings):
        assert not found.keys() & some.keys(), "every prompt is answered once"
        found |= some
    return [found[place] for place in range(len(prompts))]


def its_threads() -> list[str]:
    """Continuous batching's that have not ended."""
    return [one.name for one in threading.enumerate() if "_run_generation_loop" in one.name]


@pytest.fixture
def loaded(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


@pytest.mark.parametrize("name", few(ABLE, "llama", "gemma3", "qwen3_moe"))
def test_continuous_batching_gives_the_tokens_of_padded_batches(name: str) -> None:
    """More prompts than places, several stop tokens, windows that are passed, eager and fused attention."""
    model = of_family(name)
    attention = model.model.config._attn_implementation
    expected = answers(model, "padded")
    assert len(set(map(len, expected))) > 1, "answers end at different places"
    assert answers(model, "continuous") == expected
    assert model.model.config._attn_implementation == attention
    assert answers(model, "padded") == expected, "the model is as it was"


@pytest.mark.parametrize(
    "form", [ModelForm(precision=p, adapters=a) for p in ("float32", "mixed") for a in (0, 1)]
)
def test_continuous_batching_in_every_form(form: ModelForm) -> None:
    """Under autocast values are narrower than keys, and transformers' pages are of one type."""
    model = load_model(str(EMBEDDED), EMBEDDED, stop_token_ids=[2], form=form)
    expected, found = answers(model, "padded"), answers(model, "continuous")
    equal = sum(a == b for a, b in zip(expected, found, strict=True))
    assert equal == len(PROMPTS) if form.precision == "float32" else equal >= len(PROMPTS) - 1


def test_a_prompt_that_is_longer_than_a_step_is_read_in_parts(loaded: LoadedModel, monkeypatch: Any) -> None:
    monkeypatch.setattr(continuous, "STEP_TOKENS", 6)
    assert answers(loaded, "continuous") == answers(loaded, "padded")


def test_what_prompts_begin_with_is_read_once(loaded: LoadedModel) -> None:
    beginning = [5] * 2 * continuous.PAGE
    prompts = [[*beginning, *prompt] for prompt in PROMPTS]
    expected = answers(loaded, "padded", prompts, batch_size=1)
    tally = PassTally(loaded.model).start()
    assert answers(loaded, "continuous", prompts, batch_size=1) == expected
    tally.stop()
    new = sum(map(len, expected)) - len(prompts)
    assert tally.tokens == len(beginning) + sum(map(len, PROMPTS)) + new


def test_the_pages_hold_what_is_answered_at_once_and_no_more() -> None:
    pages = continuous._pages([[4] * 100] * 50, GenerationSpec(batch_size=8, max_new_tokens=28))
    assert pages.max_requests_per_batch == 8
    assert pages.num_blocks * pages.page_size == 8 * 5 * continuous.PAGE
    few = continuous._pages([[4]], GenerationSpec(batch_size=8, max_new_tokens=31))
    assert (few.max_requests_per_batch, few.num_blocks) == (1, 2)


@pytest.mark.parametrize("engine", ["padded", "continuous"])
def test_sampling_repeats_and_leaves_the_programs_randomness_alone(
    loaded: LoadedModel, engine: Engine
) -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    drawn = answers(loaded, engine, temperature=2.0, top_p=0.9)
    assert torch.equal(torch.rand(1), expected)
    assert answers(loaded, engine, temperature=2.0, top_p=0.9) == drawn
    greedy = answers(loaded, engine)
    assert drawn != greedy
    assert answers(loaded, engine, temperature=1e-6) == greedy
    twice = answers(loaded, engine, [PROMPTS[0]] * 2, temperature=2.0)
    assert twice[0] != twice[1], "samples of one prompt differ"


def test_answers_are_told_and_kept_as_they_end(loaded: LoadedModel, tmp_path: Path) -> None:
    """A run that breaks off goes on with what is left."""
    asked = [Prompt(str(i), "b", [{"role": "user", "content": f"w{i + 4} w5"}]) for i in range(12)]
    settings = SETTINGS.model_copy(update={"engine": "continuous", "batch_size": 2})
    whole = answer_turns(loaded, asked, settings)
    kept = KeptAnswers(tmp_path / "kept.jsonl")
    seen: list[int] = []

    def tell(done: int, total: int) -> None:
        seen.append(done)
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_turns(loaded, asked, settings, tell, keep=kept.add)
    begun = kept.load()
    assert 4 <= len(begun) < 12
    assert seen == sorted(set(seen))
    assert its_threads() == []
    left: list[int] = []
    again = answer_turns(loaded, asked, settings, lambda done, total: left.append(done), begun)
    assert left[-1] == 12 - len(begun)
    assert [a.text for a in again] == [a.text for a in whole]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("scripted"), ValueError("scripted")])
def test_what_its_thread_raises_arrives_and_the_model_can_go_on(
    loaded: LoadedModel, error: Exception, monkeypatch: Any
) -> None:
    expected = answers(loaded, "padded")

    def broken(*_: Any, **__: Any) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(loaded.model.model.layers[1], "forward", broken)
        with pytest.raises(type(error), match="scripted"):
            answers(loaded, "continuous")
    assert its_threads() == []
    assert answers(loaded, "continuous") == expected


def test_a_family_that_cannot_be_answered_so_says_why_and_keeps_its_attention() -> None:
    model = of_family("qwen3_next")
    attention = model.model.config._attn_implementation
    with pytest.raises(ValueError, match="Invalid layer type"):
        answers(model, "continuous")
    assert model.model.config._attn_implementation == attention
    assert answers(model, "padded")


def test_an_older_transformers_is_told(monkeypatch: Any) -> None:
    monkeypatch.delattr(ContinuousBatchingConfig, "auto_switch_to_flash")
    with pytest.raises(RuntimeError, match="too old"):
        continuous._pages([[4]], SETTINGS)


@pytest.mark.parametrize("engine", ["padded", "continuous"])
def test_nothing_to_answer(loaded: LoadedModel, engine: Engine) -> None:
    assert answer(loaded, [], SETTINGS.model_copy(update={"engine": engine})) == []


def test_undecided_is_padded(loaded: LoadedModel, monkeypatch: Any) -> None:
    monkeypatch.setattr(continuous, "token_ids", None)
    assert GenerationSpec().engine == "auto"
    assert answers(loaded, "auto") == answers(loaded, "padded")  # type: ignore[arg-type]


def test_only_vllm_has_to_be_started(loaded: LoadedModel) -> None:
    with ready(loaded, SETTINGS.model_copy(update={"engine": "continuous"}), 8) as started:
        assert started is loaded


def adapters_on(base: Path, folder: Path) -> Path:
    """Adapters that change answers, saved beside their base's name."""
    torch.manual_seed(1)
    config = peft.LoraConfig(
        r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def test_adapters_answer_by_continuous_batching_too(
    tiny_model: Path, prepared: Path, tmp_path: Path, loaded: LoadedModel
) -> None:
    folder = adapters_on(tiny_model, tmp_path)
    adapted = load_model(
        str(folder), prepared / "tokenizer", stop_token_ids=[2], form=ModelForm(adapters=True)
    )
    expected = answers(adapted, "padded")
    assert expected != answers(loaded, "padded")
    assert answers(replace(adapted, engine="continuous"), "continuous") == expected
