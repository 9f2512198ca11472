"""Judges that run here: a reward model, a local language model, a jury, and their agreement."""

from __future__ import annotations

import copy
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.benchmarks import CheckContext, load_benchmark
from harness.errors import UserError
from harness.judges import jury, local_lm, reward_model
from harness.judges._agreement import krippendorff_alpha

DUELS = [("w5 w6", "w7 w8 w9", "w10"), ("w11", "w12", "w12"), ("w13", "w14 w15", "w16 w17 w18 w19")]


@pytest.fixture(scope="module")
def rewarder(tmp_path_factory: Any, tiny_tokenizer: Any) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=1,
        pad_token_id=0,
    )
    folder = Path(tmp_path_factory.mktemp("rewarder"))
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def test_rewards_do_not_depend_on_the_batch_and_decide_duels(rewarder: Path) -> None:
    answers = [(p, text) for p, a, b in DUELS for text in (a, b)]
    one, many = (
        reward_model.make(reward_model.Config(model=str(rewarder), batch_size=size)).rewards(answers)
        for size in (1, 8)
    )
    assert one == pytest.approx(many, abs=1e-5)
    found = reward_model.make(reward_model.Config(model=str(rewarder))).prefer_all(DUELS)
    expected = [0.5 if a == b else float(a > b) for a, b in zip(one[::2], one[1::2], strict=True)]
    assert found == expected
    assert found[1] == 0.5


def test_a_reward_model_grades_by_the_chance_of_beating_reward_0(rewarder: Path) -> None:
    judge = reward_model.make(reward_model.Config(model=str(rewarder)))
    answers = [(p, a) for p, a, _ in DUELS]
    rewards, grades = judge.rewards(answers), judge.grade_all(answers)
    assert grades == pytest.approx([1 / (1 + math.exp(-reward)) for reward in rewards])


def test_judges_write_a_pinned_date(
    rewarder: Path, tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_lm, "_letters", lambda tokenizer, model: [4, 5])
    dated = copy.deepcopy(tiny_tokenizer)
    dated.chat_template = "{{ 'w' + strftime_now('%d') + ' ' }}" + tiny_tokenizer.chat_template
    for name, folder in (("reward", rewarder), ("lm", tiny_model)):
        shutil.copytree(folder, tmp_path / name)
        dated.save_pretrained(tmp_path / name)
    rewards = reward_model.make(reward_model.Config(model=str(tmp_path / "reward")))
    assert rewards._text(rewards._loaded[1], "w5", "w6").startswith("w26 ")
    judge = local_lm.make(local_lm.Config(model=str(tmp_path / "lm")))
    assert judge._rendered(judge._loaded[1], "w5").startswith("w26 ")


def test_a_reward_model_is_checked_before_anything_runs(
    rewarder: Path, tiny_model: Path, tmp_path: Path
) -> None:
    reward_model.check(reward_model.Config(model=str(rewarder)))
    with pytest.raises(UserError, match="cannot be loaded"):
        reward_model.check(reward_model.Config(model=str(tmp_path / "none")))
    with pytest.raises(UserError, match="a reward model has one"):
        reward_model.check(reward_model.Config(model=str(tiny_model)))


def test_a_local_model_chooses_by_log_probs_of_letters(
    tiny_model: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(tiny_model, tmp_path / "m")
    tokenizer = tiny_tokenizer.__class__.from_pretrained(tiny_model)
    judge = local_lm.make(local_lm.Config(model=str(tmp_path / "m")))
    with pytest.raises(UserError, match="same first token"):
        judge.prefer_all(DUELS)
    words = tokenizer.get_vocab()
    file = tmp_path / "m" / "tokenizer.json"
    file.write_text(file.read_text().replace('"w60"', '"A"').replace('"w61"', '"B"'))
    one, many = (
        local_lm.make(local_lm.Config(model=str(tmp_path / "m"), batch_size=size)).prefer_all(DUELS)
        for size in (1, 3)
    )
    assert one == pytest.approx(many, abs=1e-5)
    assert all(share is not None and 0 < share < 1 for share in one)
    hard = local_lm.make(local_lm.Config(model=str(tmp_path / "m"), weighted=False)).prefer_all(DUELS)
    assert hard == [float(share > 0.5) for share in one if share is not None]
    assert words["w60"] == 60


class Fixed:
    def __init__(self, name: str, votes: list[float | None]) -> None:
        self.name, self._votes = name, votes

    def prefer_all(self, duels: Any, progress: Any = None) -> list[float | None]:
        progress(len(duels), len(duels))
        return self._votes[: len(duels)]

    def usage(self) -> dict[str, Any]:
        return {"money": 0.25}


def test_a_jury_averages_votes_and_says_how_far_it_agrees() -> None:
    seen: list[tuple[int, int]] = []
    bench = jury.Jury([Fixed("a", [1.0, 0.0, None]), Fixed("b", [1.0, 1.0, None])])
    duels = [(f"question {i}", "one", "two") for i in range(3)]
    votes = bench.prefer_all(duels, lambda done, total: seen.append((done, total)))
    assert votes == [1.0, 0.5, None]
    assert seen == [(3, 6), (6, 6)]
    usage = bench.usage()
    assert usage["money"] == 0.5
    assert bench.agreement(duels) == pytest.approx(krippendorff_alpha([[1, 0, None], [1, 1, None]]))
    assert bench.agreement(duels[:1]) is None, "two equal votes show no spread to agree beyond"
    assert bench.name == "jury of a, b"


def test_a_jurys_settings_are_checked() -> None:
    with pytest.raises(UserError, match="cannot sit on a jury"):
        jury.check(jury.Config.model_validate({"judges": [{"judge": "jury"}, {"judge": "embedded"}]}))
    with pytest.raises(UserError, match='unknown judge "embeded"'):
        jury.check(jury.Config.model_validate({"judges": [{"judge": "embeded"}, {"judge": "embedded"}]}))
    jury.check(jury.Config.model_validate({"judges": [{"judge": "embedded"}] * 2}))


def test_krippendorffs_alpha_on_published_values() -> None:
    """Krippendorff 2011, example C: four observers, twelve units, interval data: alpha = 0.849."""
    rows = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    assert krippendorff_alpha(rows) == pytest.approx(0.849, abs=5e-4)
    assert krippendorff_alpha([[1, 0, 1], [1, 0, 1]]) == 1
    assert krippendorff_alpha([[1, 1], [1, 1]]) is None
    assert krippendorff_alpha([[1, None], [None, 1]]) is None


@pytest.mark.parametrize("name", ["alpaca_eval", "rubric"])
def test_the_embedded_judge_says_nothing_on_prompts_of_another_world(name: str, prepared: Path) -> None:
    """It called every answer equally wrong, and so every comparison a tie: the default judge of both."""
    benchmark = load_benchmark(name)
    context = CheckContext(prepared, "m", random_weights=False, arms=("sft", "orpo"))
    with pytest.raises(
        UserError, match=rf"benchmarks\.{name}\.judge: the judge embedded knows .* name a judge"
    ):
        benchmark.check(benchmark.Config(), context)
