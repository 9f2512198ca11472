"""What a rehearsal foretells, and what a stage records of itself."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.data.prepare import write_pairs
from harness.data.schemas import Pair
from harness.data.template import apply_choice
from harness.data.tokenise import tokenise
from harness.training import timing
from harness.training.collate import Row, Rows, read_rows
from harness.training.order import epoch_order, padded, spread_of_batches
from harness.training.rehearse import _trial, rehearse
from harness.training.run import train
from harness.training.timing import CostLimit, MicroBatch, StepTimer, forecast

LORA = {"r": 4, "alpha": 8}
METHODS = [
    ("sft", {}, (1, 1, 0)),
    ("dpo", {"beta": 0.5}, (4, 2, 0)),
    ("dpo", {"beta": 0.5, "reference": "precomputed"}, (2, 2, 2)),
    ("dpo", {"beta": 0.5, "reference": "adapter_off", "lora": LORA}, (4, 2, 0)),
    ("orpo", {"lambda": 0.5}, (2, 2, 0)),
    ("orpo", {"lambda": 0.5, "lora": LORA}, (2, 2, 0)),
    ("orpo", {"lambda": 0.5, "implementation": "trl"}, (2, 2, 0)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "settings", "sequences"), METHODS)
def test_predicted_flops_are_those_of_the_run_and_sequences_are_counted_by_hooks(
    make_job: Any, method: str, settings: Any, sequences: tuple[int, int, int]
) -> None:
    settings = {**settings, "epochs": 1.7}
    foretold = rehearse(make_job(method, name="rehearsal", **settings), 5)
    outcome = train(make_job(method, name="run", **settings))
    found = {m.quantity: m.value for m in outcome.ledger}
    prediction = foretold.prediction
    assert prediction is not None
    assert prediction.flops == found["flops"]
    assert prediction.reference_flops == found["reference_flops"]
    for name in ("steps", "pairs", "tokens_real", "tokens_padded"):
        assert getattr(prediction, name) == found[name], name
    assert prediction.seconds_low <= prediction.seconds <= prediction.seconds_high
    assert prediction.checkpoint_bytes > 0
    counted = outcome.facts.sequences
    assert counted is not None
    names = ("forwarded_per_pair", "with_gradient_per_pair", "once_per_pair")
    assert tuple(getattr(counted, n) for n in names) == sequences
    assert foretold.stage is not None
    before = foretold.stage.model_dump(exclude={"weights_at_end"})
    after = outcome.facts.model_dump(exclude={"weights_at_end"})
    known = {name for name, value in before.items() if value not in (None, [])}
    assert {"batches", "optimizer", "ids_in_order", "head", "weights_at_start"} <= known
    assert {name for name in known if before[name] != after[name]} == set()


def test_steps_hold_what_was_spent_up_to_them(make_job: Any, probed: None) -> None:
    job = make_job("dpo", beta=0.5, reference="precomputed", epochs=2)
    outcome = train(job)
    rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
    flops = [row["metrics"]["elapsed_flops"] for row in rows]
    found = {m.quantity: m.value for m in outcome.ledger}
    assert flops[-1] == found["flops"]
    assert flops == sorted(flops)
    once = outcome.facts.sequences.once_per_pair
    assert once == 2
    assert 0 < flops[0] < found["reference_flops"] * 1.01
    seconds = [row["metrics"]["elapsed_seconds"] for row in rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] <= job.window.headline()


def test_all_methods_see_the_same_chosen_tokens_and_stock_orpo_does_not(make_job: Any) -> None:
    cases = {
        "sft": ("sft", {}),
        "dpo": ("dpo", {"beta": 0.5}),
        "orpo": ("orpo", {"lambda": 0.5}),
        "stock": ("orpo", {"lambda": 0.5, "implementation": "trl"}),
    }
    seen = {
        name: train(make_job(method, name=name, **settings)).facts.batches
        for name, (method, settings) in cases.items()
    }
    for key in ("chosen_ids", "chosen_scored", "pairs", "longest_chosen"):
        assert getattr(seen["sft"], key) == getattr(seen["dpo"], key) == getattr(seen["orpo"], key), key
    assert seen["dpo"].rejected_ids == seen["orpo"].rejected_ids
    assert seen["sft"].rejected_ids is None
    assert seen["stock"].chosen_scored != seen["orpo"].chosen_scored


@pytest.mark.slow
@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("reference", ["in_loop", "precomputed"])
def test_the_references_weights_are_those_that_dpo_starts_from(
    make_job: Any, lora: Any, reference: str
) -> None:
    sft = train(make_job("sft", name="sft", lora=lora, epochs=2))
    model = str(make_job("sft", name="sft").out / "model")
    job = make_job("dpo", name="dpo", model=model, beta=0.5, reference=reference, lora=lora)
    dpo = train(job)
    assert dpo.facts.reference.weights == dpo.facts.weights_at_start == sft.facts.weights_at_end


def test_a_rehearsal_keeps_adapters_for_the_next_and_no_full_weights(make_job: Any) -> None:
    adapters, full = make_job("sft", name="a", lora=LORA), make_job("sft", name="b")
    rehearse(adapters, 3)
    rehearse(full, 3)
    assert (adapters.out / "model" / "adapter_config.json").is_file()
    assert not any(full.out.iterdir())


LENGTHS = [(7 * i) % 41 + 1 for i in range(64)]


@pytest.mark.parametrize("per_step", [1, 2])
@pytest.mark.parametrize("steps", [3, 5])
def test_rehearsed_batches_are_real_ones_with_the_longest_first(steps: int, per_step: int) -> None:
    batches = spread_of_batches(padded(LENGTHS), 64, 4, 0, steps=steps, per_step=per_step)
    assert len(batches) == steps * per_step
    order = epoch_order(64, 0, 0)
    real = [order[i : i + 4] for i in range(0, 64, 4)]
    assert all(batch in real for batch in batches)
    longest = [max(LENGTHS[i] for i in batch) for batch in batches]
    assert longest[0] == max(LENGTHS)
    assert max(longest[per_step : 2 * per_step]) == max(LENGTHS), "again beside the optimizer's state"
    assert len(set(longest[per_step:])) > 1, "two lengths are timed"


def pair(index: int, prompt: int, chosen: int, rejected: int) -> Row:
    ids = [[5] * count for count in (prompt, chosen, rejected)]
    return Row(index=index, id=str(index), prompt_ids=ids[0], chosen_ids=ids[1], rejected_ids=ids[2])


WEIGHED = {
    # The most padded, the most in two sequences, the most with prompts once: in micro-batches of two.
    "padded": [(1, 40, 1), (1, 1, 1)],
    "flat": [(20, 5, 5), (20, 5, 5)],
    "shared": [(1, 20, 19), (1, 20, 19)],
}


@pytest.mark.parametrize(
    ("heaviest", "layout"),
    [("padded", {"packing": "off"}), ("flat", {"shared_prompt": "off"}), ("shared", {})],
)
def test_the_first_rehearsed_batch_computes_the_most_tokens(
    make_job: Any, heaviest: str, layout: dict[str, str]
) -> None:
    """What peaks is another micro-batch in a row than where it is padded."""
    job = make_job("dpo", beta=0.1, **layout)
    in_order = [size for sizes in WEIGHED.values() for size in sizes]
    sizes = dict(zip(epoch_order(6, job.seed, 0), in_order, strict=True))
    data = Rows([pair(i, *sizes[i]) for i in range(6)])
    first = (_trial(job, data, 5).job.rows or ())[:2]
    assert [sizes[i] for i in first] == WEIGHED[heaviest]


@pytest.mark.parametrize(("batch_size", "least"), [(4, 2), (2, 3)])
def test_a_rehearsal_of_a_short_stage_is_its_least_steps(make_job: Any, batch_size: int, least: int) -> None:
    """12 pairs are 3 or 6 steps, of which 5% is none; a step of one micro-batch needs one more to time."""
    job = make_job("sft", batch_size=batch_size)
    found = rehearse(job, 8)
    assert found.steps == least
    assert found.prediction is not None
    assert len(found.prediction.timed.around_seconds) == least
    assert found.prediction.seconds_low < found.prediction.seconds < found.prediction.seconds_high


def test_a_rehearsal_of_a_long_stage_is_as_long_as_it_may_be(make_job: Any) -> None:
    job = make_job("sft", epochs=400)
    trial = _trial(job, read_rows(job.train_file), 5)
    assert trial.job.config.max_steps == 5
    assert trial.whole == pytest.approx(400 * 12 * sum(trial.tokens) / (2 * len(trial.tokens)), rel=0.3)


def test_a_trial_ends_when_it_has_cost_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 tokens a step and second: 100,000 tokens foretell 100 s, of which the third step passes 2.5."""
    clock = {"now": 0.0}
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock["now"])
    timer = StepTimer()
    limit = CostLimit(timer, [1000] * 8, whole=100_000, least=2, began=0.0)
    control = SimpleNamespace(should_training_stop=False)
    steps = 0
    while not control.should_training_stop:
        for event in ("on_step_begin", "on_pre_optimizer_step", "on_step_end"):
            getattr(timer, event)()
            clock["now"] += event == "on_step_begin"
        limit.on_step_end(None, None, control)
        steps += 1
    assert steps == 3


def test_a_slow_trial_still_has_its_least_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 0.0}
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock["now"])
    timer, control = StepTimer(), SimpleNamespace(should_training_stop=False)
    limit = CostLimit(timer, [1000] * 8, whole=2000, least=2, began=-1e6)
    stopped = []
    for _ in range(2):
        for event in ("on_step_begin", "on_pre_optimizer_step", "on_step_end"):
            getattr(timer, event)()
            clock["now"] += event == "on_step_begin"
        limit.on_step_end(None, None, control)
        stopped.append(control.should_training_stop)
    assert stopped == [False, True]


def test_two_timed_micro_batches_give_a_wide_interval() -> None:
    timer = StepTimer()
    timer.micro = [MicroBatch(s, i // 2, i % 2 == 1) for i, s in enumerate((3.0, 1.0, 1.0, 2.2))]
    timer.around = [0.5, 0.1]
    found = forecast(timer, [20, 20, 10, 20], [15] * 100, steps=50, fixed=0.0)
    assert found.seconds == pytest.approx(100 * 15 * 0.1045 + 5 + 0.4, rel=0.02)
    assert found.low < 0.7 * found.seconds < 1.3 * found.seconds < found.high


def test_seconds_follow_from_flops_and_steps() -> None:
    """Micro-batches of 0.01 s + 2 s a TFLOP, 0.005 s for clipping, 0.1 s around each step; the
    first micro-batch took 0.7 s more and the first optimizer step 8.9 s, which a run takes once too."""
    flops = [int(1e10 * (1 + i % 7)) for i in range(16)]
    timer = StepTimer()
    for i, f in enumerate(flops):
        last = i % 2 == 1
        seconds = 0.01 + 2 * f / 1e12 + (0.005 if last else 0)
        timer.micro.append(MicroBatch(seconds, i // 2, last))
    timer.micro[0] = MicroBatch(timer.micro[0].seconds + 0.7, 0, False)
    timer.around = [9.0] + [0.1] * 7
    run = [int(3e10)] * 100
    found = forecast(timer, flops, run, steps=50, fixed=1.0)
    expected = 100 * (0.01 + 2 * 0.03) + 50 * 0.105 + 0.7 + 8.9 + 1.0
    assert found.seconds == pytest.approx(expected, rel=1e-6)
    assert math.isclose(found.low, found.high, rel_tol=1e-4)


def test_a_noisy_rehearsal_has_a_wide_interval() -> None:
    timer = StepTimer()
    flops = [int(1e10 * (1 + i % 7)) for i in range(16)]
    for i, f in enumerate(flops):
        timer.micro.append(MicroBatch(2 * f / 1e12 * (1.5 if i % 3 else 0.7), i // 2, i % 2 == 1))
    timer.around = [0.0] * 8
    found = forecast(timer, flops, [int(3e10)] * 100, steps=50, fixed=0.0)
    assert (found.high - found.low) / found.seconds > 0.2


def test_stock_orpo_ends_a_sequence_with_a_token_more_where_a_turn_does_not_end_with_eos(
    make_job: Any, prepared: Path, tiny_tokenizer: Any, tmp_path: Path
) -> None:
    """As in chat templates whose turns end with a token of their own."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    tokenizer = copy.deepcopy(tiny_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": ["w63"]})
    tokenizer.chat_template = tokenizer.chat_template.replace(" <eos>", " w63")
    template = apply_choice(tokenizer, "tokenizer")
    words = [
        ("w5 w6", "w7 w8", "w9"),
        ("w10", "w11", "w12 w13"),
        ("w14", "w15 w16", "w17"),
        ("w18", "w19", "w20"),
    ]
    pairs = [Pair(f"p{i}", [{"role": "user", "content": p}], c, r) for i, (p, c, r) in enumerate(words)]
    for split in ("train", "test"):
        write_pairs(tokenise(pairs, tokenizer, template, max_length=32), folder / f"{split}.parquet")
    tokenizer.save_pretrained(folder / "tokenizer")
    facts = {}
    for name in ("matched", "trl"):
        job = make_job("orpo", name=name, implementation=name, **{"lambda": 0.5})
        outcome = train(replace(job, prepared=folder))
        facts[name] = outcome.facts.batches
    assert facts["trl"].longest_chosen == facts["matched"].longest_chosen + 1
    assert facts["trl"].tokens_real == facts["matched"].tokens_real + 2 * len(pairs)
    assert facts["trl"].chosen_ids != facts["matched"].chosen_ids
