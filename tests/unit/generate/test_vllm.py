"""vLLM on a stand-in of its interface: what it is given, what it answers, and that it is gone afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_vllm
import peft
import pytest
import torch
from transformers import AutoModelForCausalLM

from harness.errors import UserError
from harness.generate import LoadedModel
from harness.generate.engines import check_installed, vllm
from harness.generate.engines.by_name import ready, token_ids
from harness.generate.load import load_model
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.model_form import ModelForm, PrecisionName, Quantization
from harness.pipeline.overrides import Overrides
from harness.running.resolve import resolve

PROMPTS = [[4, 5, 6], [7], [8, 9, 10, 11, 12], [4, 5, 6]]
SETTINGS = GenerationSpec(engine="vllm", max_new_tokens=5, vllm_memory_share=0.6)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[fake_vllm.LLM]:
    return fake_vllm.install(monkeypatch)


@pytest.fixture
def load(tiny_model: Path, prepared: Path) -> Any:
    def make(path: Path = tiny_model, *, weights: bool = False, **form: Any) -> LoadedModel:
        tokenizer = prepared / "tokenizer"
        return load_model(str(path), tokenizer, stop_token_ids=[2], form=ModelForm(**form), weights=weights)

    return make


def answers(loaded: LoadedModel, settings: GenerationSpec = SETTINGS) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    with ready(loaded, settings, 20) as engine:
        for some in token_ids(engine, PROMPTS, settings):
            found |= some
    return [found[place] for place in range(len(PROMPTS))]


def padded(loaded: LoadedModel) -> list[list[int]]:
    return answers(loaded, SETTINGS.model_copy(update={"engine": "padded"}))


def adapters(base: Path, folder: Path, **settings: Any) -> Path:
    torch.manual_seed(1)
    asked = {"r": 20, "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM", **settings}
    config = peft.LoraConfig(init_lora_weights=False, **asked)
    peft.get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).save_pretrained(folder)
    return folder


def test_full_weights_answer_greedily_as_padded_batches_do(
    load: Any, started: list[fake_vllm.LLM], tiny_model: Path, prepared: Path
) -> None:
    assert answers(load()) == padded(load(weights=True))
    (llm,) = started
    assert (llm.model, llm.tokenizer) == (str(tiny_model), str(prepared / "tokenizer"))
    assert (llm.dtype, llm.max_model_len, llm.gpu_memory_utilization) == ("float32", 20, 0.6)
    assert llm.generation_config == "vllm", "a model's own file says nothing of sampling"
    sampling = llm.asked[0]["sampling"]
    assert (sampling.stop_token_ids, sampling.ignore_eos, sampling.max_tokens) == ([2], True, 5)
    assert not llm.running, "its processes, and what they hold of the GPU, are gone"


def test_adapters_answer_on_their_base(
    load: Any, started: list[fake_vllm.LLM], tiny_model: Path, tmp_path: Path
) -> None:
    folder = adapters(tiny_model, tmp_path, rank_pattern={"layers.0.self_attn.q_proj": 33})
    expected = padded(load(folder, weights=True, adapters=True))
    assert answers(load(folder, adapters=True)) == expected
    assert expected != padded(load(weights=True))
    (llm,) = started
    assert (llm.model, llm.enable_lora, llm.max_lora_rank) == (str(tiny_model), True, 64)
    assert llm.asked[0]["adapters"].lora_path == str(folder)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"modules_to_save": ["lm_head"]}, "adapters with modules_to_save"),
        ({"use_dora": True}, "adapters with use_dora"),
    ],
)
def test_adapters_that_it_would_not_load_whole_are_refused(
    load: Any, started: list[fake_vllm.LLM], tiny_model: Path, tmp_path: Path, settings: Any, said: str
) -> None:
    loaded = load(adapters(tiny_model, tmp_path, **settings), adapters=True)
    with pytest.raises(UserError, match=f"engine vllm does not answer with {said}; set it to auto or padded"):
        answers(loaded)
    assert started == []


@pytest.mark.parametrize("quantization", ["4bit", "8bit"])
def test_quantised_weights_are_refused(
    load: Any, started: list[fake_vllm.LLM], quantization: Quantization
) -> None:
    with pytest.raises(UserError, match=f"weights quantised to {quantization}"):
        answers(load(quantization=quantization))
    assert started == []


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", "float32"), ("mixed", "bfloat16"), ("bfloat16_stochastic", "bfloat16")],
)
def test_products_are_made_in_the_cells_precision(
    load: Any, started: list[fake_vllm.LLM], precision: PrecisionName, dtype: str
) -> None:
    answers(load(precision=precision))
    assert started[0].dtype == dtype


def test_a_base_model_of_the_hub_is_taken_in_its_revision_with_its_code(
    started: list[fake_vllm.LLM], tiny_model: Path
) -> None:
    loaded = LoadedModel(None, None, [2], "cpu", str(tiny_model), tiny_model, revision="abc", own_code=True)
    with ready(loaded, SETTINGS, 20):
        assert (started[0].revision, started[0].trust_remote_code) == ("abc", True)


def test_a_loaded_model_waits_on_the_host(
    load: Any, started: list[fake_vllm.LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded, places = load(weights=True), []

    def moved(place: str) -> None:
        places.append((place, [llm.running for llm in started]))

    monkeypatch.setattr(loaded.model, "to", moved)

    def break_off() -> None:
        with ready(loaded, SETTINGS, 20) as engine:
            assert engine.model is not loaded.model
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert places == [("cpu", []), ("cpu", [False])], "away before vLLM starts, back when it is gone"


def test_each_sample_has_a_seed_of_its_own(load: Any, started: list[fake_vllm.LLM]) -> None:
    settings = SETTINGS.model_copy(update={"temperature": 1.5})
    drawn = answers(load(), settings)
    assert answers(load(), settings) == drawn
    assert drawn[0] != drawn[3], "the same prompt, drawn twice"


def test_answers_come_in_parts(
    load: Any, started: list[fake_vllm.LLM], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = answers(load())
    monkeypatch.setattr(vllm, "AT_ONCE", 3)
    assert answers(load()) == whole
    assert [one["prompts"] for one in started[1].asked] == [3, 1]


def test_where_it_is_not_installed_that_is_said_first() -> None:
    with pytest.raises(UserError) as told:
        check_installed("vllm")
    assert str(told.value) == (
        "generation.engine: engine vllm is not installed; pip install vllm, or set generation.engine to auto."
    )
    for engine in ("auto", "padded", "continuous"):
        check_installed(engine)


@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (("training.lora.r=4", "training.lora.modules_to_save=[lm_head]"), "adapters with modules_to_save"),
        (("stages.orpo.lora.r=4", "stages.orpo.quantization=4bit"), "weights quantised to 4bit"),
    ],
)
def test_what_an_arm_trains_is_refused_before_it_is_trained(
    started: list[fake_vllm.LLM], sets: tuple[str, ...], said: str
) -> None:
    comparison = find_comparison("embedded", model=None)
    spec = load_comparison(comparison, Overrides(sets=("generation.engine=vllm", *sets)))
    with pytest.raises(UserError, match=said):
        resolve(spec)
    resolve(load_comparison(comparison, Overrides(sets=sets)))


def test_where_it_is_installed_it_is_found(started: list[fake_vllm.LLM]) -> None:
    check_installed("vllm")
    assert started == []
