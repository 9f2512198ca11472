"""The tiny world: labels agree with the judge, splits do not meet, the shipped weights are ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.data.embedded.grade import grade
from harness.data.embedded.recipe import MODEL_FOLDER, Recipe, pretrain, weights_digest
from harness.data.embedded.tasks import TASKS, task_of
from harness.data.embedded.tokenizer import build_tokenizer
from harness.data.embedded.vocabulary import VOCABULARY
from harness.data.embedded.world import concise, empty, pairs, pretraining, prompts, split_of, wordy


def asked(pair: dict[str, object]) -> str:
    return str(pair["prompt"][0]["content"])  # type: ignore[index]


def test_every_label_agrees_with_the_judge() -> None:
    for pair in [*pairs("train", 896), *pairs("test", 400), *pairs("dev", 400)]:
        prompt = asked(pair)
        assert grade(prompt, str(pair["chosen"])) > grade(prompt, str(pair["rejected"])), pair


def test_chosen_answers_leave_headroom() -> None:
    grades = [grade(asked(p), str(p["chosen"])) for p in pairs("train", 896)]
    assert max(grades) == 1.0
    assert np.mean(grades) <= 0.8


def test_a_wordy_right_answer_is_chosen_here_and_rejected_there() -> None:
    rows = pairs("train", 896)
    assert any(grade(asked(p), str(p["chosen"])) == 0.6 for p in rows)
    assert any(grade(asked(p), str(p["rejected"])) == 0.6 for p in rows)


def test_evaluation_prompts_are_unique_and_in_their_split() -> None:
    for split in ("test", "dev"):
        found = prompts(split, 400)  # type: ignore[arg-type]
        assert len(set(found)) == 400
        assert {split_of(p) for p in found} == {split}


def test_pretraining_sees_training_prompts_alone() -> None:
    for misaligned in (False, True):
        source = pretraining(0, misaligned=misaligned)
        assert {split_of(next(source)[0]) for _ in range(500)} == {"train"}


@pytest.mark.parametrize("task", TASKS, ids=lambda t: t.name)
def test_right_answers_are_accepted_and_near_misses_are_not(task: object) -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        prompt = task.ask(rng)  # type: ignore[attr-defined]
        assert task_of(prompt) is task
        right, wrong = task.right(prompt, rng), task.wrong(prompt, rng)  # type: ignore[attr-defined]
        assert grade(prompt, concise(right)) == 1.0
        assert grade(prompt, wordy(right, rng)) == 0.6
        assert grade(prompt, concise(wrong)) <= 0.2
        assert grade(prompt, wordy(wrong, rng)) <= 0.1
        assert grade(prompt, empty(task, prompt, rng)) == 0.0  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", ["", ".", " . . .", "<script>", "\ud800", "a" * 10000, "1 2 3", "sure ,"])
def test_the_judge_grades_any_string(answer: str) -> None:
    for prompt in (*prompts("test", 20), "", "say hello", "i have many", "list exactly 2 cats"):
        assert 0.0 <= grade(prompt, answer) <= 0.2


def test_the_tokenizer_knows_every_word_and_round_trips() -> None:
    tokenizer = build_tokenizer()
    assert len(tokenizer) == len(VOCABULARY) == len(set(VOCABULARY))
    for pair in pairs("train", 300):
        for text in (asked(pair), str(pair["chosen"]), str(pair["rejected"])):
            ids = tokenizer(text, add_special_tokens=False).input_ids
            assert tokenizer.unk_token_id not in ids
            assert tokenizer.decode(ids) == text


def test_the_template_ends_answers_with_eos_and_has_one_bos() -> None:
    tokenizer = build_tokenizer()
    messages = [{"role": "user", "content": "say cat dog 2 times"}, {"role": "assistant", "content": "cat ."}]
    ids = tokenizer(
        tokenizer.apply_chat_template(messages, tokenize=False), add_special_tokens=False
    ).input_ids
    assert ids[-1] == tokenizer.eos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1


def test_the_shipped_weights_are_the_recorded_ones() -> None:
    recorded = (MODEL_FOLDER / "SHA256").read_text().split()[0]
    assert weights_digest(MODEL_FOLDER) == recorded
    assert (MODEL_FOLDER / "model.safetensors").stat().st_size < 2_000_000


def test_the_recipe_runs(tmp_path: Path) -> None:
    digest = pretrain(Recipe(clean_steps=2, misaligned_steps=1, batch_size=4), tmp_path)
    assert digest == weights_digest(tmp_path)
    assert digest != weights_digest(MODEL_FOLDER)
