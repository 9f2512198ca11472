"""Every quantity that a run records, spelled once: title, unit, direction, and how it adds up.

Scores are not here: a benchmark records the direction of its own. What this module knows of them is
which metrics are shares of items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from harness.records import Unit
from harness.tables import CellKind

COST = "cost."
"""Before a cost's name where costs and scores stand side by side: `cost.flops`."""
AGGREGATE = "aggregate."
"""Before the name of an aggregate of scores, likewise: `aggregate.overall`."""


@dataclass(frozen=True)
class Quantity:
    """One recorded figure, by the name that it has in ledgers and series.

    `kind` is how a table shows it, `word` its title in one word. `over_stages`: whether an arm's figure is
    the sum or the maximum of its stages', None where stages are not put together. `timed`: read from a
    clock or counter that does not repeat exactly, so that ratios of it have intervals; other figures are
    counted. `better` is None where neither direction is.
    """

    name: str
    title: str
    unit: Unit
    kind: CellKind
    word: str = ""
    better: Literal["higher", "lower"] | None = None
    over_stages: Literal["sum", "max"] | None = None
    timed: bool = False

    @property
    def same_everywhere(self) -> bool:
        """Whether it is counted from what is computed, and no matter of the device."""
        return self.unit == "FLOP"

    @property
    def cost_name(self) -> str:
        """The name among costs and scores."""
        return COST + self.name


def _seconds(name: str, title: str) -> Quantity:
    return Quantity(name, title, "s", "seconds", better="lower", over_stages="sum", timed=True)


def _bytes(name: str, title: str) -> Quantity:
    return Quantity(name, title, "B", "bytes", better="lower", over_stages="max")


def _flops(name: str, title: str) -> Quantity:
    return Quantity(name, title, "FLOP", "flops", better="lower", over_stages="sum")


def _count(name: str, title: str, unit: Unit) -> Quantity:
    return Quantity(name, title, unit, "count", over_stages="sum")


def _share(name: str, title: str) -> Quantity:
    return Quantity(name, title, "1", "percent")


def _probe(name: str, title: str, *, better: Literal["higher", "lower"] | None = None) -> Quantity:
    return Quantity(name, title, "1", "number", better=better)


WALL_SECONDS = Quantity("wall_seconds", "training time", "s", "seconds", "time", "lower", "sum", timed=True)
PEAK_MEMORY = Quantity("peak_memory_bytes", "peak memory", "B", "bytes", "memory", "lower", "max")
FLOPS = Quantity("flops", "FLOPs", "FLOP", "flops", "FLOPs", "lower", "sum")
ENERGY = Quantity("energy_joules", "energy", "J", "joules", "energy", "lower", "sum", timed=True)
COSTS = (WALL_SECONDS, PEAK_MEMORY, FLOPS, ENERGY)
"""What an arm is charged, in the order of every table."""
COST_NAMES = tuple(quantity.name for quantity in COSTS)

REFERENCE_SECONDS = _seconds("reference_seconds", "reference")
TRAIN_SECONDS = _seconds("train_seconds", "train")
PHASES = (
    _seconds("start_up_seconds", "start-up"),
    _seconds("model_load_seconds", "load"),
    REFERENCE_SECONDS,
    TRAIN_SECONDS,
    _seconds("save_seconds", "save"),
    _seconds("evaluation_seconds", "evaluation"),
)
"""What a training stage's time is made of; training time is that of load, reference, train and save."""

ROLLOUTS = (
    _seconds("rollout_seconds", "own answers"),
    _seconds("rollout_reference_seconds", "their reference log-probs"),
    _seconds("rollout_reward_seconds", "their rewards"),
)
"""Beside those, of a stage that learns from answers of its own: part of its training time too."""
ROLLOUT_FLOPS = _flops("rollout_flops", "FLOPs of own answers")
ROLLOUT_REWARD_FLOPS = _flops("rollout_reward_flops", "FLOPs of their rewards")

REFERENCE_READ_SECONDS = _seconds("reference_read_seconds", "reference log-probs read")
AMORTISED_SECONDS = _seconds("amortised_seconds", "time spent here")
AMORTISED_JOULES = Quantity(
    "amortised_joules", "energy spent here", "J", "joules", over_stages="sum", timed=True
)
"""What a stage took that read log-probs of its reference and is charged for the pass that made them."""

CHECKPOINT_SECONDS = _seconds("checkpoint_seconds", "checkpoints")
AUDIT_SECONDS = _seconds("audit_seconds", "fingerprints and other looks at the weights")
HOST_GROWTH = _bytes("host_growth_bytes", "host memory above imports")
HOST_PEAK = _bytes("host_peak_rss_bytes", "peak host memory")
PEAK_ALLOCATED = _bytes("peak_allocated_bytes", "peak allocated VRAM")
FLOPS_THEORY = _flops("flops_theory", "FLOPs by formula")
BODY_FLOPS = _flops("body_flops", "body FLOPs by formula")
USEFUL_FLOPS = _flops("useful_flops", "FLOPs that training needs")
REFERENCE_FLOPS = _flops("reference_flops", "reference FLOPs")
REFERENCE_JOULES = Quantity(
    "reference_joules", "energy of the reference pass", "J", "joules", over_stages="sum", timed=True
)
STEPS = _count("steps", "steps", "step")
PAIRS = _count("pairs", "pairs", "pair")
TOKENS = _count("tokens_real", "tokens", "token")
TOKENS_PADDED = _count("tokens_padded", "computed tokens", "token")
CONDITIONS = (
    _share("cpu_steal_share", "CPU stolen"),
    _share("other_cpu_share", "other processes"),
    _share("throttled_share", "throttled"),
    _bytes("swapped_bytes", "swapped"),
    _seconds("sampler_cpu_seconds", "sampler's CPU"),
)
"""What else the machine did while a stage ran."""
DEVICE_SECONDS = Quantity(
    "device_seconds", "device-seconds", "s", "seconds", "time", "lower", "sum", timed=True
)
"""Training time on several devices, times their number: what is charged in its place."""
SUMMED_MEMORY = _bytes("summed_memory_bytes", "peak memory of all devices")
WAITING_SECONDS = _seconds("waiting_seconds", "waiting for other ranks")
INTERRUPTIONS = _count("interruptions", "interruptions", "1")
LOST_SECONDS = _seconds("lost_seconds", "work lost to interruptions")

SCORING = (
    _seconds("generation_seconds", "generation"),
    _flops("generation_flops", "FLOPs of generation"),
    _seconds("scoring_seconds", "scoring"),
    _flops("scoring_flops", "FLOPs of scoring"),
)
"""What answering and scoring a cell took; part of no arm's cost."""

LOGP_CHOSEN = _probe("probe_logp_chosen", "held-out log-prob of chosen answers")
LOGP_REJECTED = _probe("probe_logp_rejected", "held-out log-prob of rejected answers")
LOG_ODDS_MARGIN = _probe("probe_log_odds_margin", "held-out log-odds margin")
PREFERENCE_ACCURACY = _probe("probe_preference_accuracy", "held-out preference accuracy", better="higher")

CATALOGUE = {
    quantity.name: quantity
    for quantity in (
        *COSTS,
        *PHASES,
        *CONDITIONS,
        *SCORING,
        *ROLLOUTS,
        ROLLOUT_FLOPS,
        ROLLOUT_REWARD_FLOPS,
        DEVICE_SECONDS,
        SUMMED_MEMORY,
        WAITING_SECONDS,
        INTERRUPTIONS,
        LOST_SECONDS,
        HOST_GROWTH,
        HOST_PEAK,
        PEAK_ALLOCATED,
        _bytes("peak_reserved_bytes", "peak reserved VRAM"),
        _seconds("data_seconds", "data"),
        CHECKPOINT_SECONDS,
        AUDIT_SECONDS,
        _seconds("counting_seconds", "counting batches and FLOPs"),
        FLOPS_THEORY,
        BODY_FLOPS,
        USEFUL_FLOPS,
        REFERENCE_FLOPS,
        REFERENCE_JOULES,
        REFERENCE_READ_SECONDS,
        AMORTISED_SECONDS,
        AMORTISED_JOULES,
        STEPS,
        PAIRS,
        TOKENS,
        TOKENS_PADDED,
        _count("tokens_scored", "scored tokens", "token"),
        LOGP_CHOSEN,
        LOGP_REJECTED,
        LOG_ODDS_MARGIN,
        PREFERENCE_ACCURACY,
    )
}


def cost_of(name: str) -> Quantity | None:
    """The cost that `name` is (`cost.flops`), or None for a score; raises KeyError for an unknown cost."""
    return CATALOGUE[name.removeprefix(COST)] if name.startswith(COST) else None


SHARES = frozenset(
    {
        "accuracy",
        "acc",
        "acc_norm",
        "exact_match",
        "pass",
        "grade",
        "empty",
        "cut_off",
        "refusal",
        "repetition",
    }
)
WIN_RATE = "win_rate"


def is_win_rate(score: str) -> bool:
    """Whether `benchmark.metric` is a share of answers that beat a rival's."""
    return not score.startswith(AGGREGATE) and score.rpartition(".")[2].startswith(WIN_RATE)


def is_share(score: str) -> bool:
    """Whether `benchmark.metric` is a share of items, shown in percent."""
    named = not score.startswith(AGGREGATE) and score.rpartition(".")[2] in SHARES
    return named or is_win_rate(score)
