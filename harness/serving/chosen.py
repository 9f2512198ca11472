"""Which weights are served: those of an arm at a seed of a finished run, or of a folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UserError
from harness.pipeline.cells import cells_of_arm
from harness.pipeline.generation_spec import GenerationSpec
from harness.records import (
    ComparisonRecord,
    EvaluateFacts,
    PlannedCell,
    PrepareFacts,
    ServedModel,
    StageResult,
    TrainFacts,
)
from harness.store.run_dir import RunRoot
from harness.untrusted import ADAPTER_CONFIG, check_folder

LEAST_TOKENIZER = ("tokenizer_config.json", "tokenizer.json", "tokenizer.model")
Setting = int | float | bool | list[int] | None
Generation = Mapping[str, Setting]


@dataclass(frozen=True)
class Chosen:
    """Weights, tokenizer, and how answers are made.

    `tokenizer` is None where it lies beside the weights, `generation` where the folder says by itself how
    answers are made. `precision` is that of training where the weights are adapters, else None. `recorded`
    is the file of the answers that the run kept of this model, None without greedy ones.
    """

    served: ServedModel
    weights: Path
    dtype: str
    tokenizer: Path | None = None
    generation: Generation | None = None
    precision: str | None = None
    max_tokens: int | None = None
    recorded: Path | None = None

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is chosen where a request says nothing."""
        return self.generation is not None and not self.generation["do_sample"]


def of_folder(folder: Path, dtype: str) -> Chosen:
    """A model folder as it is; raises UserError for one that no server can load, or loads by pickle.

    `dtype` auto is that of its weights.
    """
    where = str(folder)
    if (folder / ADAPTER_CONFIG).is_file():
        raise UserError(
            "holds adapters, and a server loads whole weights",
            where=where,
            remedy="fold them into their model first (peft: merge_and_unload), and give that folder",
        )
    if not any((folder / name).is_file() for name in LEAST_TOKENIZER):
        raise UserError(
            "has no tokenizer beside its weights", where=where, remedy="save the tokenizer into the folder"
        )
    check_folder(folder, where)
    folder = folder.resolve()
    return Chosen(ServedModel(name=_safe(folder.name), folder=str(folder)), folder, dtype)


def of_run(root: RunRoot, record: ComparisonRecord, arm: str | None, seed: int | None) -> Chosen:
    """What the last stage of an arm trained, at the first of its seeds by default.

    Raises UserError for an arm or a seed that the run has not, and for weights that are gone.
    """
    cell = _cell(record, arm, seed)
    result = record.results[cell.stages[-1]]
    facts, prepared = result.facts_as(TrainFacts), record.results[record.plan.prepare]
    told = prepared.facts_as(PrepareFacts)
    _refuse(facts, told, cell)
    weights = _weights(root, result)
    lora, precision = facts.tuning == "lora", facts.precision or "auto"
    dtype = {"float32": "float32", "auto": "auto"}.get(precision, "bfloat16")
    recorded = record.results.get(cell.evaluate or "")
    generation = _generation(recorded)
    return Chosen(
        served=ServedModel(
            name=_safe(f"{cell.arm}-seed{cell.seed}"),
            folder=str(weights),
            run=record.id,
            arm=cell.arm,
            seed=cell.seed,
            stage=result.digest,
            weights=facts.weights_at_end,
        ),
        weights=weights,
        dtype=dtype,
        tokenizer=root.folder_of(prepared) / "tokenizer",
        generation=_settings(told, generation),
        precision=precision if lora else None,
        max_tokens=None if generation is None else generation.max_new_tokens,
        recorded=None if generation is None or generation.temperature else _answers(root, recorded),
    )


def _cell(record: ComparisonRecord, arm: str | None, seed: int | None) -> PlannedCell:
    of_arm = cells_of_arm(record, arm)
    if seed is None:
        return next(iter(of_arm.values()))
    if seed not in of_arm:
        known = ", ".join(map(str, of_arm))
        raise UserError(f"the run has no seed {seed} of {arm}", where="--seed", remedy=f"known: {known}")
    return of_arm[seed]


def _refuse(facts: TrainFacts, told: PrepareFacts, cell: PlannedCell) -> None:
    if told.trust_remote_code:
        raise UserError(
            "the model brings code of its own, which no server here runs",
            where=f"{cell.arm}, seed {cell.seed}",
            remedy="serve it by a program that you trust it with",
        )
    if facts.quantization not in (None, "none"):
        raise UserError(
            f"was trained on weights of {facts.quantization}, and no whole weights answer as those do",
            where=f"{cell.arm}, seed {cell.seed}",
            remedy="fold its adapters into whole weights yourself, and serve that folder",
        )


def _weights(root: RunRoot, result: StageResult) -> Path:
    folder = root.folder_of(result) / "model"
    if not folder.is_dir():
        raise UserError(
            f"the weights of stage {result.name} are gone",
            where=str(folder),
            remedy="run the comparison again, which trains this stage again",
        )
    for file, what in root.damage(result.digest).items():
        if file.startswith("model/"):
            raise UserError(
                f"{file} of stage {result.name} {what} after it was finished",
                where=str(folder.parent),
                remedy="run the comparison again, which runs this stage again",
            )
    return folder.resolve()


def _generation(recorded: StageResult | None) -> GenerationSpec | None:
    """How the run's own answers were made, None where it made none."""
    facts = None if recorded is None else recorded.facts_as(EvaluateFacts)
    if facts is None or not facts.answers or facts.generation is None:
        return None
    return GenerationSpec.model_validate({"engine": "padded", **facts.generation})


def _settings(told: PrepareFacts, generation: GenerationSpec | None) -> Generation:
    """`generation_config.json`: the run's stop tokens, and how the tokens of its answers were chosen.

    What the base model's own file said (a repetition penalty, sampling) was put aside in the run, as here.
    """
    common = {"eos_token_id": list(told.stop_token_ids), "pad_token_id": told.pad_token_id}
    if generation is None or generation.temperature == 0:
        return {**common, "do_sample": False}
    sampled = {"temperature": generation.temperature, "top_p": generation.top_p, "top_k": 0}
    return {**common, "do_sample": True, **sampled}


def _answers(root: RunRoot, recorded: StageResult | None) -> Path | None:
    if recorded is None or "answers" not in recorded.outputs:
        return None
    file = root.folder_of(recorded) / recorded.outputs["answers"]
    return file if file.is_file() else None


def _safe(name: str) -> str:
    """A name that is a folder's and a model's alike: servers read marks such as `@` and `:` in names."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "model"
