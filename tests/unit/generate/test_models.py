"""Architectures and adapters: what one family does differently must not change a score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from harness.generate import Prompt
from harness.generate import head as head_module
from harness.generate.answer import answer
from harness.generate.head import Head, attach, checked_head, log_probs_at
from harness.generate.load import load_model
from harness.generate.logprobs import pair_log_probs
from harness.generate.token_log_probs import Transform
from harness.measure.counting import count
from harness.measure.flops import Bucket
from harness.measure.model_shape import ModelShape
from harness.measure.theory import CHUNKED, KEPT, train_flops
from harness.pipeline.generation_spec import GenerationSpec

ROWS = [
    {"prompt_ids": [1, 4, 5], "chosen_ids": [6, 7, 2], "rejected_ids": [8, 2]},
    {"prompt_ids": [1, *range(4, 24)], "chosen_ids": [9, 10, 11, 2], "rejected_ids": [30, 2]},
]


def tiny(family: str) -> Any:
    import transformers as t

    torch.manual_seed(0)
    common = {"vocab_size": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    wide = {**common, **sizes, "initializer_range": 0.5}
    made = {
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**wide)),
        "neox": lambda: t.GPTNeoXForCausalLM(t.GPTNeoXConfig(**wide)),
        "gpt2": lambda: t.GPT2LMHeadModel(
            t.GPT2Config(**common, n_embd=32, n_layer=2, n_head=4, initializer_range=0.5)
        ),
        "gemma2": lambda: t.Gemma2ForCausalLM(
            t.Gemma2Config(**wide, head_dim=8, num_key_value_heads=2, final_logit_softcapping=2.0)
        ),
        "granite": lambda: t.GraniteForCausalLM(t.GraniteConfig(**wide, logits_scaling=8.0)),
        "cohere": lambda: t.CohereForCausalLM(t.CohereConfig(**wide, logit_scale=0.25)),
    }
    return made[family]().eval()


def plain_sum(model: Any, prompt: list[int], response: list[int]) -> float:
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt + response])).logits[0].float().log_softmax(-1)
    return sum(float(logits[len(prompt) + i - 1, token]) for i, token in enumerate(response))


@pytest.mark.parametrize("family", ["llama", "neox", "gpt2", "gemma2", "granite", "cohere"])
def test_log_probs_are_the_models_own(family: str) -> None:
    """Gemma caps its logits, Granite divides and Cohere multiplies them: all in chunks."""
    model = tiny(family)
    head = checked_head(model, torch.tensor([[1, 4, 5, 6]]))
    assert head.chunk is not None
    assert head.difference is not None
    assert head.difference < 1e-5
    found = pair_log_probs(model, ROWS, 0, 4)
    for side, sums in (("chosen_ids", found.chosen_sum), ("rejected_ids", found.rejected_sum)):
        expected = [plain_sum(model, row["prompt_ids"], row[side]) for row in ROWS]
        np.testing.assert_allclose(sums, expected, atol=1e-4)


def test_a_head_that_differs_from_the_model_takes_full_logits_and_says_why(monkeypatch: Any) -> None:
    """A family that scales its logits by a name that nobody told the head."""
    model = tiny("granite")
    monkeypatch.setattr("harness.generate.token_log_probs.Transform.of_config", lambda config: Transform())
    head = checked_head(model, torch.tensor([[1, 4, 5, 6]]))
    assert head.chunk is None
    assert head.reason is not None
    assert "differed by" in head.reason
    found = pair_log_probs(model, ROWS, 0, 4)
    expected = [plain_sum(model, row["prompt_ids"], row["chosen_ids"]) for row in ROWS]
    np.testing.assert_allclose(found.chosen_sum, expected, atol=1e-4)


@pytest.mark.parametrize("family", ["llama", "gemma2", "granite"])
def test_gradients_are_those_of_full_logits_whatever_the_chunk(family: str) -> None:
    """Of the hidden states' path and of the head's own weights, tied or not."""
    ids = torch.tensor([[1, 4, 5, 6, 7, 2], [1, 9, 10, 11, 2, 0]])
    positions = torch.tensor([1, 2, 3, 4, 7, 8, 9])
    weights = torch.linspace(-1, 2, len(positions))
    gradients = []
    for chunk, keeps in ((None, False), (2, False), (2, True), (100, False), (100, True)):
        model = tiny(family)
        transform = Transform.of_config(model.config)
        head = Head(chunk, transform, None, 0.0, keeps=keeps and transform.cap is None)
        found = log_probs_at(model, head, ids, positions)
        (found * weights).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for other in gradients[1:]:
        for name, expected in gradients[0].items():
            assert torch.allclose(other[name], expected, atol=1e-5 * float(expected.abs().max() + 1)), name


@pytest.mark.parametrize(
    ("family", "most_scored", "keeps"),
    [("llama", 5, True), ("granite", 5, True), ("gemma2", 5, False), ("llama", 6, False)],
)
def test_logits_that_fit_one_chunk_are_kept_and_not_made_again(
    family: str, most_scored: int, keeps: bool, monkeypatch: Any
) -> None:
    """But for a cap, whose derivative would need them whole."""
    monkeypatch.setattr(head_module, "CPU_CHUNK_BYTES", 5 * 4 * 64)
    model = tiny(family)
    found = attach(model, torch.tensor([[1, 4, 5, 6]]), most_scored)
    assert (found.chunk, found.keeps) == (5, keeps)
    ids, positions = torch.tensor([[1, 4, 5, 6, 7, 2]]), torch.arange(5)
    counted = count(lambda: model(input_ids=ids, positions=positions).sum().backward())
    cost = KEPT if keeps else CHUNKED
    shape = ModelShape.of_model(model)
    eager = model.config._attn_implementation == "eager"
    assert counted.total == train_flops(
        shape, {Bucket(1, 6, 5): 1}, head=cost, attention="eager" if eager else "flash"
    )


def test_means_count_response_tokens() -> None:
    model = tiny("llama")
    whole = pair_log_probs(model, ROWS, 0, 4)
    assert list(whole.chosen_tokens) == [3, 4]
    np.testing.assert_allclose(whole.chosen_mean, whole.chosen_sum / np.array([3, 4]), atol=1e-6)


def prompts() -> list[Prompt]:
    lengths = (1, 14, 3, 7, 2)
    return [
        Prompt(str(i), "b", [{"role": "user", "content": " ".join(f"w{4 + i + j}" for j in range(n))}])
        for i, n in enumerate(lengths)
    ]


@pytest.mark.parametrize("family", ["llama", "neox", "gpt2", "gemma2"])
def test_padding_on_the_left_changes_no_answer(family: str, prepared: Path, tmp_path: Path) -> None:
    tiny(family).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), prepared / "tokenizer", stop_token_ids=[2])
    one, many = (answer(loaded, prompts(), GenerationSpec(max_new_tokens=10, batch_size=n)) for n in (1, 5))
    assert one == many
    assert len({a.text for a in many}) > 1


@pytest.mark.parametrize("family", ["llama", "neox", "gpt2"])
def test_padding_on_the_left_moves_no_log_prob(
    family: str, prepared: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    """Each generated token's log-prob, as `generate` saw it, equals that of an unpadded forward."""
    tiny(family).save_pretrained(tmp_path)
    loaded = load_model(str(tmp_path), prepared / "tokenizer", stop_token_ids=[2])
    generate, seen = loaded.model.generate, []

    def watched(**inputs: Any) -> Any:
        made = generate(**inputs, return_dict_in_generate=True, output_logits=True)
        seen.append((inputs, made))
        return made.sequences

    monkeypatch.setattr(loaded.model, "generate", watched)
    answer(loaded, prompts(), GenerationSpec(max_new_tokens=6, batch_size=5))
    inputs, made = seen[0]
    assert int((inputs["attention_mask"] == 0).sum()) > 0
    for row, mask in enumerate(inputs["attention_mask"]):
        ids = made.sequences[row, int((mask == 0).sum()) :]
        with torch.no_grad():
            plain = loaded.model(input_ids=ids[None]).logits[0].log_softmax(-1)
        for step, logits in enumerate(made.logits):
            place = int(mask.sum()) + step - 1
            if 2 in ids[int(mask.sum()) : place + 1]:
                break
            assert float((logits[row].log_softmax(-1) - plain[place]).abs().max()) < 1e-4


def test_an_adapter_folder_loads_on_its_base(tiny_model: Path, prepared: Path, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    wrapped = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    for name, parameter in wrapped.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    wrapped.save_pretrained(tmp_path)
    direct = pair_log_probs(wrapped, ROWS, 0, 4)
    loaded = load_model(str(tmp_path), prepared / "tokenizer", stop_token_ids=[2])
    again = pair_log_probs(loaded.model, ROWS, 0, 4)
    bare = load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])
    np.testing.assert_allclose(again.chosen_sum, direct.chosen_sum, atol=1e-4)
    assert abs(pair_log_probs(bare.model, ROWS, 0, 4).chosen_sum - again.chosen_sum).max() > 1e-2
    merged = wrapped.merge_and_unload()
    merged.save_pretrained(tmp_path / "merged")
    full = load_model(str(tmp_path / "merged"), prepared / "tokenizer", stop_token_ids=[2])
    settings = GenerationSpec(max_new_tokens=8)
    assert answer(full, prompts(), settings) == answer(loaded, prompts(), settings)


def test_a_models_own_generation_settings_are_put_aside(
    tiny_model: Path, prepared: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM, GenerationConfig

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    model.generation_config = GenerationConfig(
        repetition_penalty=5.0, do_sample=True, temperature=3.0, no_repeat_ngram_size=1, eos_token_id=9
    )
    model.save_pretrained(tmp_path)
    settings = GenerationSpec(max_new_tokens=12)
    plain, brought = (
        answer(load_model(str(folder), prepared / "tokenizer", stop_token_ids=[2]), prompts(), settings)
        for folder in (tiny_model, tmp_path)
    )
    assert plain == brought
