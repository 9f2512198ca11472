"""Log-probs that one stage scored train another one to the bit, and cost it what they cost the first."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
import transformers
from synthetic import trained

from harness.measure.window import HEADLINE_PHASES, Window
from harness.records import StageResult, TrainFacts
from harness.training.build import build
from harness.training.collate import read_rows
from harness.training.job import ReferenceCache, StageTrainer, TrainJob, TrainOutcome
from harness.training.kept_log_probs import KeptLogProbs
from harness.training.load import load_policy, load_tokenizer
from harness.training.reference import Reference
from harness.training.rehearse import rehearse
from harness.training.run import train

MakeJob = Callable[..., TrainJob]
LORA = {"r": 4, "alpha": 8}
CONFIG = {"beta": 0.5, "reference": "precomputed"}


class Shelf:
    """A run root's cache, and the stages that are finished in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.results = folder / "cache" / "reference", dict[str, StageResult]()

    def cache(self, name: str, **others: Any) -> ReferenceCache:
        own = {"digest": f"d-{name}", "name": f"{name}/dpo@0", "attempt": f"a-{name}"}
        asked = {**own, "origin": "base", "repeat": 0, "depends_on": "this machine", **others}
        return ReferenceCache(self.folder, finished=self.results.get, **asked)

    def finish(self, job: TrainJob, notes: list[str] | None = None) -> None:
        """Write the result of a job that has run."""
        assert job.references is not None
        digest, attempt = job.references.digest, job.references.attempt
        made = trained(digest, job.references.name, job.seed, "pre")
        self.results[digest] = made.model_copy(update={"attempt": attempt, "notes": notes or []})


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Micro-batches of every pass that is made."""
    seen: list[int] = []
    precompute = Reference.precompute

    def noted(self: Reference, batches: Iterator[Any], split: str) -> None:
        made = list(batches)
        seen.append(len(made))
        precompute(self, iter(made), split)

    monkeypatch.setattr(Reference, "precompute", noted)
    return seen


def left_by(job: TrainJob) -> tuple[dict[str, torch.Tensor], list[dict[str, Any]]]:
    """Weights, and every logged figure but those of clocks."""
    (file,) = (job.out / "model").glob("*.safetensors")
    rows = [json.loads(line) for line in (job.out / "steps.jsonl").read_text().splitlines()]
    for row in rows:
        row["metrics"].pop("elapsed_seconds", None)
    return safetensors.torch.load_file(file), rows


def without_clocks(facts: TrainFacts) -> dict[str, Any]:
    found = facts.model_dump()
    for probe in ("probe_first", "probe_last"):
        found[probe].pop("elapsed_seconds")
    return found


def run(job: TrainJob, cache: ReferenceCache | None) -> tuple[TrainJob, TrainOutcome]:
    job = replace(job, references=cache)
    return job, train(job)


def scored_in(done: TrainOutcome | StageTrainer) -> str | None:
    facts = done.facts.reference if isinstance(done, TrainOutcome) else done.reference_facts()
    assert facts is not None
    return facts.scored_in


def score(job: TrainJob, cache: ReferenceCache | None) -> tuple[TrainJob, StageTrainer]:
    """A stage up to its first step."""
    job = replace(job, references=cache)
    rows = read_rows(job.train_file)
    validation = read_rows(job.prepared / "validation.parquet") if job.config.early_stopping else None
    transformers.set_seed(job.seed)
    trainer = build(job, load_policy(job), load_tokenizer(job.prepared), rows, validation)
    trainer.prepare_reference()
    return job, trainer


@pytest.mark.parametrize(
    ("settings", "after_sft"),
    [
        ({}, False),
        pytest.param({"packing": "off"}, False, marks=pytest.mark.slow),
        pytest.param({"precision": "mixed"}, False, marks=pytest.mark.slow),
        pytest.param({"lora": LORA}, False, marks=pytest.mark.slow),
        pytest.param({"lora": LORA}, True, marks=pytest.mark.slow),
        ({"early_stopping": {"patience": 9, "eval_every_steps": 2}, "epochs": 2}, False),
    ],
)
def test_training_from_what_was_read_is_the_same_to_the_bit(
    make_job: MakeJob, shelf: Shelf, probed: None, passes: list[int], settings: Any, after_sft: bool
) -> None:
    model = None
    if after_sft:
        sft = make_job("sft", name="sft", **settings)
        train(sft)
        model = str(sft.out / "model")
    made, _ = score(make_job("dpo", name="a", model=model, **CONFIG, **settings), shelf.cache("a"))
    shelf.finish(made)
    other = {**CONFIG, "beta": 0.1, "learning_rate": 3e-3, **settings}
    passes.clear()
    read, outcome = run(make_job("dpo", name="b", model=model, **other), shelf.cache("b"))
    of_validation = [2] if "early_stopping" in settings else []
    assert (scored_in(outcome), passes) == ("d-a", of_validation)
    alone, as_alone = run(make_job("dpo", name="c", model=model, **other), None)
    assert passes[-1 - len(of_validation)] == 6
    (weights, rows), (expected, rows_alone) = left_by(read), left_by(alone)
    assert rows == rows_alone
    assert weights.keys() == expected.keys()
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    reference = as_alone.facts.reference
    assert reference is not None
    told = {"reference": reference.model_copy(update={"scored_in": "d-a"})}
    assert without_clocks(outcome.facts) == without_clocks(as_alone.facts.model_copy(update=told))
    assert outcome.ledger == as_alone.ledger


class Peaks:
    """A memory whose every phase has reached what a test says."""

    def __init__(self, host: int) -> None:
        self.host, self.carried = host, dict[str, Any]()

    def book(self, phase: str | None) -> None:
        """Nothing is read."""

    def highest(self) -> dict[str, Any]:
        return {"reference": (self.host, None, None), "train": (2 * self.host, None, None)}

    def host_level(self) -> int:
        return self.host // 2

    def carry(self, peaks: Any, host_level: int | None, where: str = "") -> None:
        self.carried = {"peaks": peaks, "level": host_level, "where": where}


def metered(job: TrainJob, host: int, joules: bool = True) -> TrainJob:
    """The job with a counter of energy that moves by one joule a reading."""
    counter = itertools.count(1.0)
    energy = (lambda: next(counter)) if joules else None
    return replace(job, window=Window(energy=energy, peaks=Peaks(host)))


def test_who_reads_is_charged_what_the_pass_took(make_job: MakeJob, shelf: Shelf) -> None:
    first = metered(make_job("dpo", name="a", **CONFIG), 100)
    first, outcome = run(first, shelf.cache("a"))
    shelf.finish(first, ["other processes took 40% of the CPU"])
    second = metered(make_job("dpo", name="b", **{**CONFIG, "beta": 0.1}), 900)
    second, charged = run(second, shelf.cache("b"))
    made, window = first.window, second.window
    assert made.seconds["reference"] == window.seconds["reference"] > 0
    assert made.joules["reference"] == window.joules["reference"] > 0
    carried = window._peaks.carried  # type: ignore[union-attr]
    assert carried == {
        "peaks": {"reference": (100, None, None)},
        "level": 50,
        "where": ", measured in a/dpo@0 (d-a)",
    }
    assert window.charged["reference"].notes == ("other processes took 40% of the CPU",)
    assert window.headline() == sum(window.seconds.get(phase, 0.0) for phase in HEADLINE_PHASES)
    assert window.seconds["reference_read"] > 0
    assert (made.charged, "reference_read" in made.seconds) == ({}, False)
    figures = [{m.quantity: m.value for m in one.ledger} for one in (outcome, charged)]
    assert figures[0] == figures[1]
    assert figures[0]["reference_flops"] > 0
    assert charged.facts.sequences == outcome.facts.sequences
    rows = [json.loads(line)["metrics"] for line in (second.out / "steps.jsonl").read_text().splitlines()]
    assert all(row["elapsed_seconds"] > window.seconds["reference"] for row in rows)


def another_config(**settings: Any) -> Callable[[TrainJob], TrainJob]:
    def changed(job: TrainJob) -> TrainJob:
        return replace(job, config=job.config.model_copy(update=settings))

    return changed


def with_other_pairs(job: TrainJob) -> TrainJob:
    """The same pairs in another split's place."""
    folder = job.out / "prepared"
    folder.mkdir()
    for file in job.prepared.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "train.parquet").unlink()
    (folder / "train.parquet").symlink_to(job.prepared / "test.parquet")
    return replace(job, prepared=folder)


@pytest.mark.parametrize(
    ("changed", "cache"),
    [
        (lambda job: replace(job, seed=1), {}),
        (with_other_pairs, {}),
        (another_config(micro_batch_size=4), {}),
        (another_config(packing="off"), {}),
        (another_config(attention="eager"), {}),
        (another_config(precision="bfloat16"), {}),
        (another_config(reference_cache="off"), {}),
        (lambda job: metered(job, 1), {}),
        (lambda job: job, {"origin": "another attempt of the stage before"}),
        (lambda job: job, {"repeat": 1}),
        (lambda job: job, {"depends_on": "another machine"}),
        (lambda job: job, {"anew": True}),
    ],
)
def test_nothing_is_read_that_may_differ_or_is_to_be_measured_anew(
    make_job: MakeJob, shelf: Shelf, passes: list[int], changed: Callable[[TrainJob], TrainJob], cache: Any
) -> None:
    made, _ = score(make_job("dpo", name="a", **CONFIG), shelf.cache("a"))
    shelf.finish(made)
    _, trainer = score(changed(make_job("dpo", name="b", **CONFIG)), shelf.cache("b", **cache))
    assert (scored_in(trainer), len(passes)) == (None, 2)


def test_other_weights_are_scored_by_themselves(make_job: MakeJob, shelf: Shelf, passes: list[int]) -> None:
    made, trainer = score(make_job("dpo", name="a", **CONFIG), shelf.cache("a"))
    shelf.finish(made)
    with torch.no_grad():
        next(trainer.model.parameters()).view(-1)[0] += 1e-3
    model = str(made.out / "model")
    trainer.model.save_pretrained(model)
    _, trainer = score(make_job("dpo", name="b", model=model, **CONFIG), shelf.cache("b"))
    assert (scored_in(trainer), passes) == (None, [6, 6])


def test_what_is_kept_counts_while_its_stage_stands(make_job: MakeJob, shelf: Shelf) -> None:
    """A figure that is charged is in the ledger of a finished stage, which another attempt is not."""
    made, _ = score(make_job("dpo", name="a", **CONFIG), shelf.cache("a"))
    _, unfinished = score(make_job("dpo", name="b", **CONFIG), shelf.cache("b"))
    assert scored_in(unfinished) is None
    shelf.finish(replace(made, references=shelf.cache("b", attempt="another")))
    _, again = score(make_job("dpo", name="c", **CONFIG), shelf.cache("c"))
    assert scored_in(again) is None
    shelf.finish(replace(made, references=shelf.cache("c")))
    _, read = score(make_job("dpo", name="d", **CONFIG), shelf.cache("d"))
    assert scored_in(read) == "d-c"


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    "hurt",
    [
        lambda folder: [flip(file) for file in folder.glob("*.safetensors")],
        lambda folder: [flip(file) for file in folder.glob("*.json")],
        lambda folder: [file.unlink() for file in folder.glob("*.safetensors")],
        lambda folder: [file.write_bytes(b"") for file in folder.glob("*.json")],
    ],
)
def test_what_was_damaged_is_made_again(
    make_job: MakeJob, shelf: Shelf, passes: list[int], hurt: Callable[[Path], Any]
) -> None:
    made, _ = score(make_job("dpo", name="a", **CONFIG), shelf.cache("a"))
    shelf.finish(made)
    hurt(shelf.folder)
    again, trainer = score(make_job("dpo", name="b", **CONFIG), shelf.cache("b"))
    assert (scored_in(trainer), passes) == (None, [6, 6])
    assert again.window.charged == {}
    shelf.finish(again)
    _, read = score(make_job("dpo", name="c", **CONFIG), shelf.cache("c"))
    assert scored_in(read) == "d-b"


def test_the_first_micro_batch_is_scored_to_see_that_it_agrees(
    make_job: MakeJob, shelf: Shelf, passes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, first = score(make_job("dpo", name="a", **CONFIG), shelf.cache("a"))
    shelf.finish(made)
    read = KeptLogProbs.read

    def other(self: KeptLogProbs, kept: Any) -> Any:
        found = read(self, kept)
        assert found is not None
        found[0][1][0] += 1e-6
        return found

    monkeypatch.setattr(KeptLogProbs, "read", other)
    job, trainer = score(make_job("dpo", name="b", **CONFIG), shelf.cache("b"))
    assert (scored_in(trainer), passes, job.window.charged) == (None, [6, 6], {})
    again, before = ((one.reference.known("train")) for one in (trainer, first))
    assert all(torch.equal(a, b) for i in before for a, b in zip(again[i], before[i], strict=True))


def test_rehearsals_neither_read_nor_keep(make_job: MakeJob, shelf: Shelf, passes: list[int]) -> None:
    job = replace(make_job("dpo", epochs=2, **CONFIG), references=shelf.cache("a"))
    rehearse(job, 2)
    assert not shelf.folder.exists()
    shelf.finish(job)
    made, _ = score(make_job("dpo", name="b", epochs=2, **CONFIG), shelf.cache("a"))
    passes.clear()
    foretold = rehearse(replace(made, window=Window(), references=shelf.cache("c")), 2).prediction
    assert len(passes) == 1
    assert foretold is not None
    assert foretold.seconds_of_parts["reference"] > 0


def test_a_reference_in_the_loop_keeps_nothing(make_job: MakeJob, shelf: Shelf) -> None:
    score(make_job("dpo", beta=0.5), shelf.cache("a"))
    assert not shelf.folder.exists()
