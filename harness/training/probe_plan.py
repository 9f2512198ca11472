"""How many held-out pairs a stage's probes read, and how often: what they may cost decides."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.methods import about, load_method
from harness.records import ProbeFacts
from harness.training.collate import Rows, read_rows, tokens_of
from harness.training.job import TrainJob
from harness.training.walk import planned_steps

COST_PERCENT = 5
MOST_PAIRS = 200
LEAST_PROBES, MOST_PROBES = 2, 7
FORWARD, FULL, LORA = 2, 6, 4
"""FLOPs a weight and token of a probe's forward pass, and of full and of adapter training (Kaplan et al.
2020, arXiv 2001.08361, section 2.1; frozen weights need no gradient of their own)."""


def plan_probes(
    pair_tokens: Sequence[int], epoch_tokens: int, trained_tokens: int, *, lora: bool, steps: int
) -> ProbeFacts:
    """Pairs and probes of one stage, so that its probes cost at most 5% of the training they watch.

    `pair_tokens[i]` are the tokens of both sequences of held-out pair i. One probe reads at most 5% as many
    tokens as an epoch of the chosen sequences has (`epoch_tokens`): the data alone decide which pairs are
    read, so that all arms are watched on the same. How often follows from the tokens that the stage itself
    trains on (`trained_tokens`, in `steps` optimizer steps): at its start, at its end and between them, or
    not at all.
    """
    totals = list(itertools.accumulate(pair_tokens[:MOST_PAIRS]))
    pairs = sum(100 * total <= COST_PERCENT * epoch_tokens for total in totals)
    if not pairs:
        return ProbeFacts(pairs=0, probes=0, reason=_no_pair(totals, epoch_tokens))
    trained_flops, probe_flops = (LORA if lora else FULL) * trained_tokens, FORWARD * totals[pairs - 1]
    affordable = COST_PERCENT * trained_flops // (100 * probe_flops)
    if affordable < LEAST_PROBES:
        reason = f"start and end of {pairs} held-out pairs would cost over {COST_PERCENT}% of the stage"
        return ProbeFacts(pairs=0, probes=0, reason=reason)
    probes = min(affordable, MOST_PROBES, steps + 1)
    return ProbeFacts(pairs=pairs, probes=probes, reason=f"{_why_pairs(pairs, pair_tokens)}; {_why(probes)}")


def probes_of(job: TrainJob, data: Rows, held_out: Rows) -> ProbeFacts:
    """The probes of a stage that trains on `data`; the chosen sequences are those of the prepared pairs,
    also where the stage has SFT data of its own."""
    config = job.config
    shared = data if job.sft_data is None else read_rows(job.prepared / "train.parquet")
    per_epoch = -(-len(data) // config.batch_size)
    steps = planned_steps(config, per_epoch)
    both = about(load_method(job.method), config).data == "pairs"
    # What training computes is less where a prompt stands once for two answers, as far as settings tell.
    once = config.why_padded() is None and config.shared_prompt != "off"
    return plan_probes(
        [tokens_of(row, both=True, once=False) for row in held_out],
        sum(tokens_of(row, both=False, once=False) for row in shared),
        sum(tokens_of(row, both=both, once=once) for row in data) * steps // per_epoch,
        lora=config.lora is not None,
        steps=steps,
    )


def due_steps(probes: int, steps: int) -> frozenset[int]:
    """The optimizer steps after which `probes` probes fall: the first before any, the last after all."""
    return frozenset(round(i * steps / (probes - 1)) for i in range(probes))


def _no_pair(totals: Sequence[int], epoch_tokens: int) -> str:
    if not totals:
        return "there are no held-out pairs"
    return (
        f"the first held-out pair has {totals[0]:,} tokens, over {COST_PERCENT}% of the {epoch_tokens:,} of "
        "an epoch's chosen sequences"
    )


def _why_pairs(pairs: int, pair_tokens: Sequence[int]) -> str:
    if pairs == MOST_PAIRS:
        return f"{pairs} pairs, the most that are read"
    if pairs == len(pair_tokens):
        return f"all {pairs} held-out pairs"
    return f"{pairs} pairs, {COST_PERCENT}% of the tokens of an epoch's chosen sequences"


def _why(probes: int) -> str:
    most = "the most there are" if probes == MOST_PROBES else f"within {COST_PERCENT}% of the stage"
    return f"{probes} probes, {most}"
