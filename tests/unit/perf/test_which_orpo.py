"""Which ORPO it is: the parts that need no package beyond this project's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from harness.data.schemas import Pair as Texts
from harness.data.template import apply_choice
from harness.data.tokenise import tokenise
from perf.which_orpo import authors, ours, stock_trl, table
from perf.which_orpo.__main__ import PAGE, filled, unexplained
from perf.which_orpo.asked import Answer, ask
from perf.which_orpo.attributed import AROUND, IMPLEMENTATIONS, Attributed, attribute
from perf.which_orpo.environments import MADE, NEEDS, python_of
from perf.which_orpo.formula import Choices, loss_and_gradient
from perf.which_orpo.world import (
    BOS,
    EOS,
    LENGTH,
    NEAR_ZERO,
    NEWLINE,
    WEIGHT,
    Loss,
    micro_batches,
    near_zero,
    read_world,
    text_of,
    tokenizer,
    write_world,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("world")
    write_world(folder)
    return folder


def answer_of(world: Path, loss_of: Loss) -> Answer:
    """What an implementation would hand in, computed here."""
    model, pairs = read_world(world)
    batches = micro_batches(pairs)
    loss = torch.stack([loss_of(model, batch) for batch in batches]).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    return Answer(float(loss.detach()), flat, {"torch": "x"}, [("0", "nan")] * len(NEAR_ZERO))


def test_this_projects_trainer_gives_the_formula(world: Path, tmp_path: Path) -> None:
    model, pairs = read_world(world)
    loss, gradient = ours.step(ours.trainer_of(model, pairs, tmp_path))
    way = attribute(world, Answer(loss, gradient, {}, []), ())
    assert not unexplained(way)


@pytest.mark.parametrize(("name", "loss_of"), [("authors", authors.loss_of), ("trl", stock_trl.loss_of)])
def test_every_choice_is_needed_to_explain_another_loss(world: Path, name: str, loss_of: Loss) -> None:
    answer, changes = answer_of(world, loss_of), IMPLEMENTATIONS[name][1]
    assert not unexplained(attribute(world, answer, changes))
    for left_out in changes:
        assert unexplained(attribute(world, answer, [one for one in changes if one is not left_out]))


def test_trls_own_tokenisation_puts_tokens_around(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, pairs = read_world(world)
    row = stock_trl.row_of_texts(pairs[0])
    whole = [BOS, *pairs[0].prompt, *pairs[0].chosen, NEWLINE, EOS]
    assert row["chosen_input_ids"] == whole
    assert AROUND.choices == {"before": (BOS,), "after": (NEWLINE, EOS)}
    monkeypatch.setenv(stock_trl.FROM_TEXTS, "1")
    answer = answer_of(world, stock_trl.loss_of)
    assert not unexplained(attribute(world, answer, IMPLEMENTATIONS["trl_texts"][1]))


def test_this_projects_tokenisation_of_the_same_texts_adds_nothing(world: Path) -> None:
    _, pairs = read_world(world)
    ours_reads = tokenizer()
    ours_reads.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ m['content'] + ' <eos>' }}"
        "{% else %}{{ ' <assistant> ' + m['content'] + ' <eos> \n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ ' <assistant>' }}{% endif %}"
    )
    texts = [
        Texts(
            str(number),
            [{"role": "user", "content": text_of(pair.prompt[:-2])}],
            text_of(pair.chosen[:-1]),
            text_of(pair.rejected[:-1]),
        )
        for number, pair in enumerate(pairs)
    ]
    kept = tokenise(texts, ours_reads, apply_choice(ours_reads, "tokenizer"), max_length=LENGTH).kept
    assert [(one.prompt_ids, one.chosen_ids, one.rejected_ids) for one in kept] == [
        (pair.prompt, pair.chosen, pair.rejected) for pair in pairs
    ]


def test_the_formula_by_hand(world: Path) -> None:
    """The means over pairs of a batch of one length are those over its tokens."""
    model, pairs = read_world(world)
    alike = [pairs[0]] * len(pairs)
    by_token, _ = loss_and_gradient(model, alike, WEIGHT, Choices())
    by_pair, _ = loss_and_gradient(model, alike, WEIGHT, Choices(averaging="pair"))
    assert by_token == pytest.approx(by_pair, abs=1e-12)
    ids = torch.tensor([pairs[0].prompt + pairs[0].chosen])
    labels = ids.clone()
    labels[0, : len(pairs[0].prompt)] = -100
    nll = torch.nn.functional.cross_entropy(model(ids).logits[0, :-1], labels[0, 1:])
    assert loss_and_gradient(model, alike, 0.0, Choices())[0] == pytest.approx(float(nll), abs=1e-12)


def test_near_zero_says_what_is_no_number() -> None:
    assert near_zero(ours.odds_term, 0.0, torch.float32)[1] != "nan"
    assert near_zero(authors.odds_term, 0.0, torch.float64) == ("0", "nan")
    assert near_zero(authors.odds_term, -1e-4, torch.float64)[1] == "-0.582"


def test_what_is_not_explained_is_told(world: Path) -> None:
    assert unexplained(Attributed([], float("nan"), 0.0, 0.0))
    assert not unexplained(Attributed([], 1e-8, 1e-8, 0.0))


def test_one_that_cannot_be_had_is_named(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perf.which_orpo.asked.python_of", lambda *_: (None, "no such wheel"))
    answer = ask(IMPLEMENTATIONS["liger"][0], world, tmp_path / "out", tmp_path)
    assert answer == "no such wheel"
    answers = {name: answer for name in IMPLEMENTATIONS}
    assert table.summary(answers, {}).count("not measured: no such wheel") == len(IMPLEMENTATIONS)


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    home = tmp_path / "liger"
    home.mkdir()
    (home / MADE).write_text("\n".join(NEEDS["liger"]), encoding="utf-8")
    assert python_of("liger", tmp_path) == (home / "bin" / "python", "")


def test_the_page_holds_every_table_and_every_implementation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    again = filled(page, {"summary": "one", "steps": "two", "stability": "three"})
    assert [again.count(f"-->\n{text}\n<!-- end -->") for text in ("one", "two", "three")] == [1, 1, 1]
    for asked, _ in IMPLEMENTATIONS.values():
        assert f"| {asked.title} | " in page
