"""A few real steps of a stage, and what they foretell of the whole run."""

from __future__ import annotations

import functools
import itertools
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.measure.window import COUNTING, ROLLOUT_PHASES
from harness.methods import about, load_method
from harness.records import Prediction, RehearseFacts, TimedSteps
from harness.training.collate import Rows, length_of, read_rows, tokens_of
from harness.training.facts import dealt_out, stage_facts
from harness.training.flops import Counted, count
from harness.training.job import TrainJob
from harness.training.order import Weigh, first_epoch, flat, padded, spread_of_batches
from harness.training.run import Run, run_trainer
from harness.training.shape import Walk
from harness.training.timing import COST_SHARE, CostLimit, StepTimer, forecast
from harness.training.walk import planned_steps

MICRO_BATCHES = 2
LEAST_STEPS = 2
"""One to warm up and one to time; one more where a step is a single micro-batch, since two have a spread."""


@dataclass(frozen=True)
class Trial:
    """The shortened job, tokens of its micro-batches in order, those of the `whole` run, and its least
    number of steps."""

    job: TrainJob
    tokens: list[int]
    whole: float
    least: int


def rehearse(job: TrainJob, most_steps: int) -> RehearseFacts:
    """Facts for the audit before training, and `prediction` without bytes of memory.

    Steps of two micro-batches a rank each run on real rows, the longest first: a second one adds
    to gradients that are there, so that memory peaks as in the run. A stage that answers prompts itself
    answers those of a step at once, so that its steps are whole ones. There are `most_steps` of them, or
    fewer where those would cost more than a small share of what they foretell. Adapters are kept in `model/`
    for the rehearsal of the stage that goes on from them; full weights are not.
    """
    began = time.perf_counter()
    data = read_rows(job.train_file)
    trial, timer = _trial(job, data, most_steps), StepTimer()
    limit = CostLimit(
        timer, turns(trial.tokens, job.ranks.size, sum), whole=trial.whole, least=trial.least, began=began
    )
    run = run_trainer(trial.job, data, callbacks=[timer, limit], observed=False)
    job.trained()
    run.trainer.trace.gather()
    job.ranks.part()
    if not job.ranks.first:
        return RehearseFacts()
    with job.window.phase(COUNTING):
        if run.weights is not None:
            run.trainer.be_whole_again(run.weights)
        course = run.trainer.course(job.config, job.facts.stop_token_ids)
        facts = stage_facts(run.trainer, job, run.data, run.started_from, course)
        facts = facts.model_copy(update={"parallel": dealt_out(run.trainer, 0)})
        prediction = _prediction(trial.job, run, timer, course)
    return RehearseFacts(stage=facts, prediction=prediction, steps=len(timer.around))


def _trial(job: TrainJob, data: Rows, most_steps: int) -> Trial:
    """`most_steps`, or as many as are affordable by their tokens."""
    config, weigh = job.config, _weigh(job, data)
    size = config.micro_batch_size
    per_step, ranks = config.batch_size // size, job.ranks.size
    if about(load_method(job.method), config).data != "prompts":
        per_step = min(MICRO_BATCHES * ranks, per_step)
    least = LEAST_STEPS if per_step > ranks else LEAST_STEPS + 1
    epoch = [weigh(rows) for rows in first_epoch(len(data), size, job.seed)]
    steps_of_run = planned_steps(config, -(-len(data) // config.batch_size))
    whole = steps_of_run * (config.batch_size // size) * sum(epoch) / len(epoch)
    batches = spread_of_batches(weigh, len(data), size, job.seed, max(most_steps, least), per_step)
    tokens = [weigh(rows) for rows in batches]
    steps = max(least, _affordable(tokens, whole) // per_step)
    changes = {
        "max_steps": steps,
        "batch_size": per_step * size,
        "early_stopping": None,
        "keep_checkpoints": False,
    }
    rows = tuple(row for batch in batches[: steps * per_step] for row in batch)
    shortened = replace(job, config=config.model_copy(update=changes), rows=rows)
    return Trial(shortened, tokens, whole, least)


def turns(amounts: Sequence[int], ranks: int, together: Callable[[Sequence[int]], int]) -> list[int]:
    """Amounts of micro-batches, `ranks` of which run at the same time, put together."""
    return [together(amounts[i : i + ranks]) for i in range(0, len(amounts), ranks)]


def turns_of_steps(flops: Sequence[int], steps: Sequence[int], ranks: int) -> list[int]:
    """FLOPs of the largest of the micro-batches that run at the same time, which the others wait for; `steps`
    are the micro-batches of each optimizer step."""
    left = iter(flops)
    return [turn for size in steps for turn in turns(list(itertools.islice(left, size)), ranks, max)]


def _weigh(job: TrainJob, data: Rows) -> Weigh:
    """By the settings: whether the model takes flat rows is known when it is loaded."""
    if job.config.why_padded():
        return padded([length_of(row) for row in data])
    both = about(load_method(job.method), job.config).data == "pairs"
    once = job.config.shared_prompt != "off"
    return flat([tokens_of(row, both=both, once=once) for row in data])


def _affordable(tokens: Sequence[int], whole: float) -> int:
    """Micro-batches within the share of the run's tokens, all of which a reference may score beforehand."""
    return sum(total <= COST_SHARE * whole for total in itertools.accumulate(tokens))


def _prediction(trial: TrainJob, run: Run, timer: StepTimer, course: Walk) -> Prediction:
    """FLOPs exactly, seconds from the timed steps, the checkpoint's bytes."""
    trainer, seconds = run.trainer, trial.window.seconds
    ahead = trainer.reference_buckets(whole=True)
    known = Counted.of(trainer, course.buckets, ahead)
    whole = count(trainer, course.buckets, ahead, known, course.steps)
    before, steps = trainer.reference_buckets(whole=False), trainer.trace.micro_batches
    tried = count(trainer, trainer.trace.in_order(), before, known, steps)
    reference = seconds.get("reference", 0.0) * (whole.once / tried.once if tried.once else 0.0)
    parts = {
        "model_load": seconds["model_load"],
        "reference": reference,
        "around_training": timer.outside_steps(sum(seconds.get(p, 0.0) for p in ("train", *ROLLOUT_PHASES))),
        "save": seconds["save"],
    }
    fixed = sum(parts.values())
    slowest = functools.partial(turns_of_steps, ranks=trial.ranks.size)
    timed = slowest(tried.by_micro_batch, steps)
    turns_of_run = slowest(whole.by_micro_batch, course.steps)
    expected = forecast(timer, timed, turns_of_run, len(course.steps), fixed)
    size = _size(trial.out / "model")
    if trial.config.lora is None:
        shutil.rmtree(trial.out / "model")
    return Prediction(
        steps=len(course.steps),
        pairs=course.pairs,
        tokens_real=course.tokens_real,
        tokens_padded=course.tokens_padded,
        flops=whole.total,
        flops_before=whole.once,
        reference_flops=whole.reference,
        flops_theory=whole.theory,
        body_flops=whole.body,
        useful_flops=whole.useful,
        no_formula=whole.no_formula,
        seconds=expected.seconds,
        seconds_low=expected.low,
        seconds_high=expected.high,
        seconds_of_parts={**parts, "train": expected.seconds - fixed},
        timed_micro_batches=len(timer.micro),
        timed=TimedSteps(
            micro_batch_seconds=[m.seconds for m in timer.micro],
            micro_batch_flops=timed,
            around_seconds=timer.around,
        ),
        checkpoint_bytes=size,
        flops_unknown_ops=list(whole.unknown_ops),
        flops_counted_by=whole.how,
        devices=trial.ranks.size,
    )


def _size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
