"""Every parity check: what it reads, among which stages, what it touches, how to mend it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from harness.quantities import COST_NAMES as COSTS
from harness.records import BatchFacts, Environment, TrainFacts

ALL = (*COSTS, "scores")
Read = Callable[[TrainFacts, Environment], Any]


@dataclass(frozen=True)
class Check:
    """`read` gives a stage's value, None where it did not record one; checks without are special.

    `by_seed`: values may differ between seeds. `may_lack`: None means that the check does not apply to
    the stage. `stops`: an inequality ends the run. `of_trainer`: it is a matter of whose trainer a stage has,
    so that a method that has only one cannot be equal to others in it.
    """

    remedy: str
    touches: tuple[str, ...]
    read: Read | None = None
    among: Literal["all", "pairs", "rejected"] = "all"
    by_seed: bool = False
    may_lack: bool = False
    stops: bool = True
    of_trainer: bool = False


def _fact(name: str) -> Read:
    assert name in TrainFacts.model_fields, name
    return lambda facts, _: getattr(facts, name)


def _batch(name: str) -> Read:
    assert name in BatchFacts.model_fields, name
    return lambda facts, _: None if facts.batches is None else getattr(facts.batches, name)


def _tuning(facts: TrainFacts, _: Environment) -> Any:
    if facts.lora is None:
        return facts.tuning
    return {"tuning": facts.tuning, "lora": facts.lora.model_dump()}


def _precision(facts: TrainFacts, _: Environment) -> Any:
    """What weights are held in besides its name: records of version 1 have the former alone."""
    return facts.precision or facts.dtype


def _reference_mode(facts: TrainFacts, _: Environment) -> Any:
    return facts.reference and f"{facts.reference.mode}, {facts.reference.holder}"


def _padding(facts: TrainFacts, _: Environment) -> Any:
    return facts.batches and facts.batches.padding


def _head(facts: TrainFacts, _: Environment) -> Any:
    return facts.head and facts.head.kind


def _layout(facts: TrainFacts, _: Environment) -> Any:
    layout = facts.layout
    if layout is None:
        return None
    words = ["flat" if layout.flat else "padded"]
    words += ["prompts shared"] * layout.shared_prompt + ["gates recomputed"] * layout.gates_recomputed
    return ", ".join(words)


def _devices(facts: TrainFacts, _: Environment) -> Any:
    """How many, and how they share a stage."""
    parallel = facts.parallel
    return "1" if parallel is None else f"{parallel.devices} ({parallel.how})"


def _git_commit(_: TrainFacts, environment: Environment) -> Any:
    return environment.git_commit


_ONE_SETTING = "set it once under `training`, not by stage or arm"
_ONE_DATA = "let every arm train on the same prepared pairs"

CHECKS: dict[str, Check] = {
    "base_weights": Check("start every arm from the same model", ALL),
    "hand_over": Check("let the stage start from the stage before it", ALL),
    "reference_is_start": Check("let DPO's reference be the model that DPO starts from", ALL),
    "tokenizer_and_template": Check(_ONE_DATA, ALL),
    "precision": Check(f"{_ONE_SETTING} (training.precision)", ALL, _precision),
    "weights_moved": Check(
        "use training.precision: mixed, or bfloat16_stochastic where float32 weights do not fit",
        ALL,
        stops=False,
    ),
    "quantization": Check(f"{_ONE_SETTING} (training.quantization)", ALL, _fact("quantization")),
    "attention": Check(f"{_ONE_SETTING} (training.attention)", COSTS, _fact("attention")),
    "tuning": Check(f"{_ONE_SETTING} (training.lora)", ALL, _tuning),
    "max_length": Check("use one data.max_length", ALL, _fact("max_length")),
    "longest_sequence": Check(
        "use an implementation that truncates as the others do", ALL, _batch("longest_chosen"), "pairs", True
    ),
    "pair_count": Check(_ONE_DATA, ALL, _batch("pairs"), "pairs", True),
    "pairs_in_order": Check(_ONE_DATA, ALL, _fact("ids_in_order"), "pairs", True),
    "chosen_token_ids": Check(
        "use stages.orpo.implementation: matched, which shares the tokens of SFT and DPO",
        ALL,
        _batch("chosen_ids"),
        "pairs",
        True,
    ),
    "rejected_token_ids": Check(
        "use stages.orpo.implementation: matched, which shares the tokens of DPO",
        ALL,
        _batch("rejected_ids"),
        "rejected",
        True,
    ),
    "scored_positions": Check(
        "score the response alone everywhere (stages.orpo.nll_scope: response)",
        ALL,
        _batch("chosen_scored"),
        "pairs",
        True,
    ),
    "stop_token_learned": Check("do not mask the token that ends an answer", ("scores",)),
    "doubled_bos": Check("use a chat template that does not write the BOS token itself", ALL),
    "padding": Check("pad on one side", COSTS, _padding, of_trainer=True),
    "layout": Check(
        "leave packing, shared_prompt and recompute_gates to all arms alike; beside a stock trainer, which "
        "pads, set training.packing: off",
        COSTS,
        _layout,
        of_trainer=True,
    ),
    "tokens_real": Check(_ONE_DATA, COSTS, _batch("tokens_real"), "rejected", True),
    "tokens_padded": Check(
        "use one micro_batch_size, one layout and one order of pairs",
        COSTS,
        _batch("tokens_padded"),
        "rejected",
        True,
        of_trainer=True,
    ),
    "dropped_and_truncated": Check(_ONE_DATA, ALL),
    "effective_batch": Check(f"{_ONE_SETTING} (training.batch_size)", ALL, _fact("effective_batch_pairs")),
    "micro_batch": Check(f"{_ONE_SETTING} (training.micro_batch_size)", COSTS, _fact("micro_batch_pairs")),
    "optimizer": Check(f"{_ONE_SETTING} (training.optimizer and its settings)", ALL, _fact("optimizer")),
    "schedule": Check(f"{_ONE_SETTING} (training.schedule and its warm-up)", ALL, _fact("schedule")),
    "gradient_checkpointing": Check(
        f"{_ONE_SETTING} (training.gradient_checkpointing)", COSTS, _fact("gradient_checkpointing")
    ),
    "nll_scope": Check(
        "score the response alone in SFT and ORPO (stages.orpo.nll_scope: response)",
        ALL,
        _fact("nll_scope"),
        may_lack=True,
    ),
    "router_loss": Check(
        f"{_ONE_SETTING} (training.router_aux_loss)", ALL, _fact("router_loss"), may_lack=True
    ),
    "head": Check(
        "use stages.orpo.implementation: matched, which shares the head of SFT and DPO",
        COSTS,
        _head,
        of_trainer=True,
    ),
    "implementation": Check(
        "use stages.orpo.implementation: matched", ALL, _fact("implementation"), of_trainer=True
    ),
    "sft_source": Check("leave sft_data out, so that SFT clones the pairs' chosen answers", ALL),
    "reference_mode": Check(
        "the control arm sft_dpo_precomputed differs on purpose",
        (),
        _reference_mode,
        may_lack=True,
        stops=False,
    ),
    "budget": Check("give every stage the same epochs, or choose an axis by budget.axis", ALL),
    "tuning_trials": Check("tune every arm with the same number of trials", ("scores",)),
    "search_space": Check("search every arm's settings over spaces of one size", ("scores",)),
    "learning_rate_source": Check("set learning_rate for every stage", ALL),
    "seeds": Check("train every stage of a cell with the cell's seed", ALL),
    "device": Check("run all arms of a seed on one device (--again train)", COSTS, stops=False),
    "devices": Check(f"{_ONE_SETTING} (training.devices and training.parallel)", COSTS, _devices),
    "git_commit": Check("run every stage from one commit", (), _git_commit, stops=False),
    "clean_git_tree": Check("commit your changes", (), stops=False),
    "installed_packages": Check("run every stage with one version of each package (--again train)", ALL),
    "probed_pairs": Check("probe every arm on the same pairs (--again train)", (), stops=False),
    "test_prompts_in_training": Check("set data.test_overlap: drop, or give another test split", ("scores",)),
    "benchmark_prompts_in_training": Check(
        "take the benchmark's prompts out of the training pairs", ("scores",)
    ),
}
