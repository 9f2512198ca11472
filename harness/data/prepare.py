"""The whole preparation: what every arm trains on and is tested on, written once."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.data import base_model
from harness.data.check import check_raw, check_tokenised
from harness.data.load import RawPairs, load_conversations, load_pairs
from harness.data.schemas import digest
from harness.data.split import without_overlap
from harness.data.statistics import describe
from harness.data.template import Template, apply_choice, digests_of
from harness.data.tokenise import Tokenised, tokenise
from harness.errors import UserError
from harness.pipeline.data_spec import DataSpec
from harness.pipeline.spec_model import SpecModel
from harness.records import PrepareFacts, SftStatistics

HELD_OUT = "prompt held out for early stopping"
say = logging.getLogger("harness.data").info
Progress = Callable[[int, int, dict[str, float]], None]


class PrepareConfig(SpecModel):
    """`sft_data` maps an arm to SFT data of its own; `validation` holds pairs out for early stopping, and
    `development` puts such pairs in the test's place."""

    model: str
    model_revision: str | None = None
    trust_remote_code: bool = False
    data: DataSpec
    sft_data: dict[str, DataSpec] = Field(default_factory=dict)
    validation: bool = False
    development: bool = False


def prepare(config: PrepareConfig, out: Path, progress: Progress) -> PrepareFacts:
    """Write `train.parquet`, `test.parquet`, `tokenizer/` and `statistics.json`; return facts.

    What is held out for early stopping becomes `validation.parquet`, an arm's own SFT data
    `sft_<arm>.parquet`, random weights `base_model/`. Raises UserError for data or a model that no
    comparison can be made of.
    """
    spec = config.data
    raw = load_pairs(spec, validation=config.validation, development=config.development)
    check_raw(raw.train, spec.source, "train")
    _name_diverging(raw)
    base = base_model.locate(config.model, config.model_revision, out, own_code=config.trust_remote_code)
    tokenizer = base_model.load_tokenizer(base)
    template = apply_choice(tokenizer, spec.chat_template, spec.template_date)
    tokens = _tokenise_splits(raw, tokenizer, template, spec, progress)
    for split, tokenised in tokens.items():
        write_pairs(tokenised, out / f"{split}.parquet")
    own_sft = {
        arm: _prepare_sft(arm_data, tokenizer, template, spec.max_length, out / f"sft_{arm}.parquet", raw)
        for arm, arm_data in config.sft_data.items()
    }
    tokenizer.save_pretrained(out / "tokenizer")
    statistics = describe(raw, tokens, own_sft)
    (out / "statistics.json").write_text(statistics.model_dump_json(indent=1))
    return PrepareFacts(
        **_facts(base, tokenizer, template, tokens),
        max_length=spec.max_length,
        statistics=statistics,
        source=spec.source,
        sft_data={arm: arm_data.source for arm, arm_data in config.sft_data.items()},
    )


def _name_diverging(raw: RawPairs) -> None:
    """Say which rows were left out, the first of each split by its place."""
    for split in raw.splits().values():
        if split.diverging:
            others = len(split.diverging) - 1
            more = f", and {others} more rows like it" if others else ""
            say(f"{split.diverging[0]}; left out for every arm{more}")


def _tokenise_splits(
    raw: RawPairs, tokenizer: Any, template: Template, spec: DataSpec, progress: Progress
) -> dict[str, Tokenised]:
    """Every split by name; raises UserError where nothing is left to train or to stop by."""
    splits, tokens = raw.splits(), dict[str, Tokenised]()
    total, before = sum(len(split.pairs) for split in splits.values()), 0
    for name, split in splits.items():
        tokens[name] = tokenise(
            split.pairs,
            tokenizer,
            template,
            max_length=spec.max_length,
            progress=_counted_from(before, total, progress),
        )
        before += len(split.pairs)
        if name != "test":
            where = spec.source if name == "train" else f"{name} pairs of {spec.source}"
            check_tokenised(
                tokens[name],
                where,
                max_length=spec.max_length,
                unknown_token_limit=spec.unknown_token_limit,
            )
    return tokens


def _counted_from(before: int, total: int, progress: Progress) -> Callable[[int, int], None]:
    """Progress over all splits, from that within one."""
    return lambda done, _: progress(before + done, total, {})


def _prepare_sft(
    spec: DataSpec, tokenizer: Any, template: Template, max_length: int, path: Path, pairs: RawPairs
) -> SftStatistics:
    """Tokenise an arm's own SFT data like the pairs; how much there is, and what the test knows.

    Conversations whose prompt was held out for early stopping, or for trials, are dropped.
    """
    conversations = load_conversations(spec)
    if not conversations.train:
        raise UserError("has no conversations", where=spec.source, remedy="give SFT data with rows")
    usable = without_overlap(pairs.held_out(), conversations.train)
    rows = tokenise(usable, tokenizer, template, max_length=max_length, needs_rejected=False)
    for _ in range(len(conversations.train) - len(usable)):
        rows.drop(HELD_OUT)
    check_tokenised(rows, spec.source, max_length=max_length, unknown_token_limit=spec.unknown_token_limit)
    write_pairs(rows, path)
    prompts = {row.pair.group for row in rows.kept}
    return SftStatistics(
        source=spec.source,
        available=conversations.train_available,
        kept=len(rows.kept),
        dropped=dict(rows.dropped),
        truncated=sum(row.truncated for row in rows.kept),
        test_pairs_whose_prompt_is_in_it=sum(pair.group in prompts for pair in pairs.test),
    )


def write_pairs(tokenised: Tokenised, path: Path) -> None:
    """One row a pair: ids of tokens beside the texts they were made from."""
    import pyarrow
    import pyarrow.parquet

    ids = pyarrow.list_(pyarrow.int32())
    schema = pyarrow.schema(
        [
            ("id", pyarrow.string()),
            ("prompt_ids", ids),
            ("chosen_ids", ids),
            ("rejected_ids", ids),
            ("prompt", pyarrow.string()),
            ("chosen", pyarrow.string()),
            ("rejected", pyarrow.string()),
            ("truncated", pyarrow.bool_()),
        ]
    )
    rows = [
        {
            "id": t.pair.id,
            "prompt_ids": t.prompt_ids,
            "chosen_ids": t.chosen_ids,
            "rejected_ids": t.rejected_ids,
            "prompt": json.dumps(t.pair.prompt),
            "chosen": t.pair.chosen,
            "rejected": t.pair.rejected,
            "truncated": t.truncated,
        }
        for t in tokenised.kept
    ]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), path)


def _facts(
    base: base_model.BaseModel, tokenizer: Any, template: Template, tokens: Mapping[str, Tokenised]
) -> dict[str, Any]:
    train = tokens["train"]
    ended = [p for p in train.kept if not p.truncated]
    return {
        "model_path": base.path,
        "model_revision": base.revision,
        "model_digest": base.digest,
        "random_weights": base.random_weights,
        "trust_remote_code": base.own_code,
        **digests_of(tokenizer),
        "chat_template_source": template.source,
        "template_date": template.day.isoformat() if template.day else None,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "stop_token_ids": template.stop_token_ids,
        "train_pairs": len(train.kept),
        "test_pairs": len(tokens["test"].kept),
        "validation_pairs": len(tokens["validation"].kept) if "validation" in tokens else None,
        "train_ids_digest": digest(json.dumps([p.pair.id for p in train.kept])),
        "train_tokens_digest": digest(
            json.dumps([[p.prompt_ids, p.chosen_ids, p.rejected_ids] for p in train.kept])
        ),
        "every_response_ends_with_a_stop_token": all(
            p.chosen_ids[-1] in template.stop_token_ids and p.rejected_ids[-1] in template.stop_token_ids
            for p in ended
        ),
        "doubled_bos": any(p.prompt_ids[:2] == [tokenizer.bos_token_id] * 2 for p in train.kept)
        if tokenizer.bos_token_id is not None
        else False,
    }
