"""One stage on several ranks: the very training of one process, whatever the lengths of each rank's pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from ranks import trained_together
from safetensors.torch import load_file

from harness.jsonl import read_jsonl
from harness.training.collate import read_rows
from harness.training.job import TrainJob, TrainOutcome
from harness.training.order import FixedOrder, RanksBatches
from harness.training.run import train
from harness.training.trace import Totals, Trace

CLOSE = 1e-5
COUNTED = ("flops", "tokens_real", "tokens_padded", "tokens_scored", "pairs", "steps", "reference_flops")


def weights(job: TrainJob) -> dict[str, torch.Tensor]:
    return load_file(next((job.out / "model").glob("*.safetensors")))


def rows(job: TrainJob) -> list[dict[str, Any]]:
    return [row["metrics"] for row in read_jsonl(job.out / "steps.jsonl")]


def counted(outcome: TrainOutcome) -> dict[str, Any]:
    return {m.quantity: m.value for m in outcome.ledger if m.quantity in COUNTED}


def assert_equal(one: TrainJob, alone: TrainOutcome, several: TrainJob, shared: TrainOutcome) -> None:
    assert [set(row) for row in rows(several)] == [set(row) for row in rows(one)]
    for ours, theirs in zip(rows(several), rows(one), strict=True):
        ours.pop("elapsed_seconds", None), theirs.pop("elapsed_seconds", None)
        assert ours == pytest.approx(theirs, rel=CLOSE, abs=CLOSE)
    for name, weight in weights(one).items():
        assert (weights(several)[name] - weight).abs().max() < CLOSE, name
    assert counted(shared) == counted(alone)
    assert shared.facts.sequences == alone.facts.sequences
    assert shared.facts.weights_at_start == alone.facts.weights_at_start


ADAPTERS = {"lora": {"r": 4, "alpha": 8}}
METHODS = [
    ("sft", {}),
    ("dpo", {"beta": 0.5}),
    ("orpo", {"lambda": 0.5}),
]
MORE = [
    ("dpo", {"beta": 0.5, "reference": "precomputed"}),
    ("dpo", {"beta": 0.5, **ADAPTERS}),
    ("dpo", {"beta": 0.5, "reference": "adapter_off", **ADAPTERS}),
    ("orpo", {"lambda": 0.5, "gradient_checkpointing": True, "packing": "off", **ADAPTERS}),
    ("sft", {"epochs": 3.0, "early_stopping": {"eval_every_steps": 1, "patience": 1}}),
]


FAST = [("fsdp2", *METHODS[2])]
LONG = [
    (parallel, *case)
    for parallel in ("ddp", "fsdp2")
    for case in [*METHODS, *MORE]
    if (parallel, *case) not in FAST
]


@pytest.mark.usefixtures("probed")
@pytest.mark.parametrize(
    ("parallel", "method", "settings"),
    [*FAST, *(pytest.param(*case, marks=pytest.mark.slow) for case in LONG)],
)
def test_two_ranks_train_as_one_process(make_job: Any, method: str, settings: Any, parallel: str) -> None:
    # Twelve pairs in steps of eight: the last step of an epoch leaves one rank without a micro-batch.
    common = {"batch_size": 8, "micro_batch_size": 4, "epochs": 2.0, "parallel": parallel, **settings}
    several = make_job(method, name="two", **common)
    shared = trained_together(several)
    one = make_job(method, name="one", **common)
    assert_equal(one, train(one), several, shared)


@pytest.fixture
def unequal(make_prepared: Any, make_job: Any) -> Any:
    """Jobs whose micro-batches of one rank have short answers and those of the other long ones."""

    def make(method: str, **settings: Any) -> TrainJob:
        job: TrainJob = make_job(method, batch_size=4, micro_batch_size=2, **settings)
        rows = read_rows(job.train_file)
        by_length = sorted(range(len(rows)), key=lambda i: len(rows[i]["chosen_ids"]))
        short, long = by_length[:6], by_length[6:]
        order = [row for i in range(0, 6, 2) for row in (*short[i : i + 2], *long[i : i + 2])]
        return replace(job, rows=tuple(order))

    return make


@pytest.mark.parametrize(
    ("method", "settings"), [*(pytest.param(*one, marks=pytest.mark.slow) for one in METHODS[:2]), METHODS[2]]
)
def test_unequal_ranks_share_the_totals_of_the_whole_batch(unequal: Any, method: str, settings: Any) -> None:
    several = unequal(method, name="two", **settings)
    shared = trained_together(several)
    one = unequal(method, name="one", **settings)
    assert_equal(one, train(one), several, shared)


@pytest.mark.parametrize(
    ("method", "settings"), [pytest.param(*METHODS[0], marks=pytest.mark.slow), METHODS[2]]
)
def test_means_of_each_rank_averaged_are_another_training(
    unequal: Any, method: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known mistake, which the tests above have to see."""
    note = Trace.note

    def by_rank(self: Trace, own: Any, void: Any = ()) -> Totals:
        note(self, own, void)
        ranks = self.ranks.size
        return Totals(ranks * sum(s.pairs for s in own), ranks * sum(s.nll_tokens for s in own))

    one = unequal(method, name="one", **settings)
    train(one)
    several = unequal(method, name="two", **settings)
    monkeypatch.setattr(Trace, "note", by_rank)
    trained_together(several)
    differences = [
        abs(ours["grad_norm"] - theirs["grad_norm"])
        for ours, theirs in zip(rows(several), rows(one), strict=True)
        if "grad_norm" in theirs
    ]
    assert max(differences) > 100 * CLOSE


def test_no_row_comes_twice_and_every_rank_has_as_many_micro_batches() -> None:
    for rows_, size, per_step, ranks in ((12, 4, 2, 2), (13, 2, 4, 2), (9, 1, 4, 4), (20, 2, 6, 3)):
        dealt = [RanksBatches(FixedOrder(range(rows_)), size, per_step, rank, ranks) for rank in range(ranks)]
        batches = [list(one) for one in dealt]
        assert {len(one) for one in batches} == {len(dealt[0])}
        assert sorted(row for one in batches for batch in one for row in batch) == list(range(rows_))
        alone = list(RanksBatches(FixedOrder(range(rows_)), size, per_step, 0, 1))
        in_turn = [batch for turn in zip(*batches, strict=True) for batch in turn if batch]
        assert in_turn == alone


def test_what_a_rank_has_to_do_is_told_and_its_void_micro_batches_apart(make_job: Any) -> None:
    job = make_job("orpo", batch_size=8, micro_batch_size=4, epochs=2.0, **{"lambda": 0.5})
    facts = trained_together(job).facts.parallel
    assert facts is not None
    assert (facts.devices, facts.how) == (2, "ddp")
    assert [rank.micro_batches for rank in facts.ranks] == [4, 2]
    assert [rank.pairs for rank in facts.ranks] == [16, 8]
    assert facts.void_micro_batches == 2
    assert facts.void_flops > 0


def test_one_device_leaves_nothing_of_ranks_behind(make_job: Any) -> None:
    assert train(make_job("sft", max_steps=1)).facts.parallel is None
