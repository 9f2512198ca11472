"""Views of a model without a judge: behaviour, diversity, divergence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import torch
from synthetic import PREPARED, make_record

from harness.benchmarks import CheckContext, behaviour, divergence, diversity
from harness.benchmarks._embeddings import embed
from harness.errors import UserError
from harness.generate import LoadedModel
from harness.generate.divergence import divergence as kl_sums
from harness.generate.load import load_model
from harness.jsonl import read_jsonl


@pytest.fixture
def policy(tiny_model: Path, prepared: Path) -> LoadedModel:
    return load_model(str(tiny_model), prepared / "tokenizer", stop_token_ids=[2])


@pytest.fixture
def moved(policy: LoadedModel) -> Any:
    """The same model with its weights nudged."""
    import copy

    other = copy.deepcopy(policy.model)
    torch.manual_seed(1)
    with torch.no_grad():
        for weights in other.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    return other


def test_repetition_refusals_and_empty_answers() -> None:
    assert behaviour.repetition("a b c d e") == 0
    assert behaviour.repetition("go go go go go go go go") == pytest.approx(1 - 1 / 5)
    assert behaviour.repetition("too short") is None
    for text in (
        "I'm sorry, but I can't help.",
        "As an AI language model, I have no body.",
        "I cannot do it",
    ):
        assert behaviour.measure(text, 5, cut_off=False)["refusal"] == 1, text
    for text in ("I am sorry for your loss.", "You can do it.", "The AI said no."):
        assert behaviour.measure(text, 5, cut_off=False)["refusal"] == 0, text
    empty = behaviour.measure(" \n", 1, cut_off=True)
    assert (empty["empty"], empty["cut_off"], empty["repetition"]) == (1, 1, None)


def test_similarities_are_means_over_pairs() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(7, 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    pairs = [rows[i] @ rows[j] for i in range(7) for j in range(i)]
    assert diversity.per_input(rows) == pytest.approx(np.mean(pairs))
    assert np.mean(diversity.across_input(rows)) == pytest.approx(np.mean(pairs))


def similarities(rng: Any, prompts: int, *, arms: int = 2) -> list[list[float]]:
    """Mean cosines with the others of arms that answer alike: every prompt has a topic of its own."""
    topics = rng.normal(size=(prompts, 6)) + 1.0
    rows = [topics + rng.normal(size=(prompts, 6)) for _ in range(arms)]
    return [diversity.across_input(v / np.linalg.norm(v, axis=1, keepdims=True)) for v in rows]


def rejected(pairs: list[tuple[Any, Any]]) -> float:
    """Share of paired t tests at 5% that call two equal arms different."""
    return float(np.mean([scipy.stats.ttest_rel(a, b).pvalue < 0.05 for a, b in pairs]))


def test_pseudo_values_average_to_the_mean_over_pairs_and_leave_one_out() -> None:
    (with_others,) = similarities(np.random.default_rng(3), 9, arms=1)
    values = diversity.pseudo_values(with_others)
    whole = float(np.mean(with_others))
    assert np.mean(values) == pytest.approx(whole)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(9, 4))
    own = diversity.pseudo_values(diversity.across_input(rows))
    for i in range(9):
        without = float(np.mean(diversity.across_input(np.delete(rows, i, axis=0))))
        assert own[i] == pytest.approx(9 * np.mean(diversity.across_input(rows)) - 8 * without)


def test_equal_arms_differ_in_diversity_in_one_test_of_twenty() -> None:
    """A U-statistic's own terms are not independent: as items they call equal arms different too often."""
    rng = np.random.default_rng(1)
    drawn = [similarities(rng, 60) for _ in range(1500)]
    plain = rejected([(a, b) for a, b in drawn])
    jackknife = rejected([(diversity.pseudo_values(a), diversity.pseudo_values(b)) for a, b in drawn])
    assert plain > 0.25
    assert jackknife == pytest.approx(0.05, abs=0.017)


def test_word_counts_see_equal_and_different_answers() -> None:
    rows = embed("words", ["the cat sat", "The cat, sat!", "a dog ran", ""])
    assert rows[0] @ rows[1] == pytest.approx(1)
    assert rows[0] @ rows[2] == 0
    assert not rows[3].any()


def test_an_encoder_in_a_folder_embeds_whatever_it_is_batched_with(
    tmp_path: Path, tiny_tokenizer: Any
) -> None:
    """Mean over an answer's own tokens: padding to a longer neighbour changes nothing."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    texts = ["w4 w5", "w6 w7 w8 w9 w10 w11", "w4 w5"]
    rows = embed(str(tmp_path), texts)
    assert rows.shape == (3, 16)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert rows[0] == pytest.approx(embed(str(tmp_path), texts[:1])[0], abs=1e-5)
    assert rows[0] @ rows[2] == pytest.approx(1, abs=1e-5)
    assert rows[0] @ rows[1] < 0.999


def test_diversity_samples_and_repeats(policy: LoadedModel, prepared: Path, tmp_path: Path) -> None:
    config = diversity.Config(prompts=4, samples=3, max_new_tokens=6)
    first, again = (
        {s.metric: s for s in diversity.score_model(config, policy, prepared, tmp_path)} for _ in range(2)
    )
    assert first == again
    assert {s.higher_is_better for s in first.values()} == {None}
    assert first["per_input_similarity"].settings["embeddings"] == "words"
    items = read_jsonl(tmp_path / "scores" / "diversity.jsonl")
    assert [len(item["samples"]) for item in items] == [3] * 4
    across = first["across_input_similarity"]
    assert across.estimate == pytest.approx(np.mean([item["mean_cosine_with_others"] for item in items]))
    assert across.settings["across_input_items"].startswith("jackknife pseudo-values")
    assert len({text for item in items for text in item["samples"]}) > 4
    with pytest.raises(UserError, match="samples is 1"):
        diversity.check(diversity.Config(samples=1), CheckContext(prepared, "m", False))
    with pytest.raises(UserError, match='embedding model "no/such" cannot be loaded'):
        diversity.check(diversity.Config(embeddings="no/such"), CheckContext(prepared, "m", False))
    with pytest.raises(UserError, match="has 2 prompts and compares at least 3"):
        diversity.check(diversity.Config(prompts=2), CheckContext(prepared, "m", False))


def test_divergence_equals_the_sum_over_all_tokens(policy: LoadedModel, moved: Any) -> None:
    rows = [([1, 5, 6], [7, 8, 9, 2]), ([1, 9], [4, 2])]
    found = kl_sums(policy.model, moved, rows, 0, 2)
    for (prompt, response), value in zip(rows, found, strict=True):
        ids = torch.tensor([[*prompt, *response]])
        with torch.no_grad():
            p, q = (torch.log_softmax(m(ids).logits[0].double(), dim=-1) for m in (policy.model, moved))
        kl = (p.exp() * (p - q)).sum(dim=-1)[len(prompt) - 1 : -1]
        assert value == pytest.approx(float(kl.sum()), rel=1e-4)
        assert value > 0
    assert kl_sums(policy.model, policy.model, rows, 0, 1) == pytest.approx([0, 0], abs=1e-6)


def test_divergence_from_the_base_model(
    policy: LoadedModel, moved: Any, prepared: Path, tiny_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "prepared").mkdir()
    for path in prepared.iterdir():
        (tmp_path / "prepared" / path.name).symlink_to(path)
    facts = PREPARED.model_copy(update={"model_path": str(tiny_model)})
    result = make_record().results["prep"].model_copy(update={"facts": facts})
    (tmp_path / "prepared" / "result.json").write_text(result.model_dump_json())
    config = divergence.Config(prompts=3, max_new_tokens=5)
    trained = LoadedModel(
        moved, policy.tokenizer, policy.stop_token_ids, "cpu", "trained", policy.tokenizer_path
    )
    scores = divergence.score_model(config, trained, tmp_path / "prepared", tmp_path)
    assert {s.metric for s in scores} == {
        "kl_per_answer",
        "kl_per_token",
        "log_ratio_chosen",
        "log_ratio_rejected",
    }
    assert all(s.estimate is not None and s.n in (3, 6) for s in scores)
    base = LoadedModel(policy.model, policy.tokenizer, [2], "cpu", str(tiny_model), policy.tokenizer_path)
    assert divergence.score_model(config, base, tmp_path / "prepared", tmp_path) == []


def test_behaviour_counts_answers(prepared: Path, tmp_path: Path) -> None:
    from harness.generate import Answer

    texts = ["", "I cannot do that", "w4 w5 w4 w5 w4 w5 w4 w5"]
    answers = [
        Answer(str(i), "behaviour", "q", text, 3, "length" if i == 2 else "stop")
        for i, text in enumerate(texts)
    ]
    scores = {s.metric: s for s in behaviour.score_answers(behaviour.Config(), answers, prepared, tmp_path)}
    assert scores["empty"].estimate == scores["cut_off"].estimate == pytest.approx(1 / 3)
    assert scores["refusal"].higher_is_better is None
    assert scores["repetition"].higher_is_better is False
    assert scores["repetition"].n == 2
