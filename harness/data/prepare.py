"""The whole preparation: what every arm trains on and is tested on, written once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.data import base_model
from harness.data.check import check_raw, check_tokenised
from harness.data.load import RawPairs, load_conversations, load_pairs
from harness.data.schemas import digest
from harness.data.statistics import describe
from harness.data.template import Template, apply_choice, digests_of
from harness.data.tokenise import Tokenised, tokenise
from harness.errors import UserError
from harness.pipeline.spec import DataSpec, SpecModel
from harness.records import PrepareFacts, SftStatistics

Progress = Callable[[int, int, dict[str, float]], None]


class PrepareConfig(SpecModel):
    """`sft_data` maps an arm to SFT data of its own."""

    model: str
    model_revision: str | None = None
    data: DataSpec
    sft_data: dict[str, DataSpec] = Field(default_factory=dict)


def prepare(config: PrepareConfig, out: Path, progress: Progress) -> PrepareFacts:
    """Write `train.parquet`, `test.parquet`, `tokenizer/` and `statistics.json`; return facts.

    An arm's own SFT data becomes `sft_<arm>.parquet`, random weights `base_model/`. Raises
    UserError for data or a model that no comparison can be made of.
    """
    spec = config.data
    raw = load_pairs(spec)
    check_raw(raw.train, spec.source, "train")
    base = base_model.locate(config.model, config.model_revision, out)
    tokenizer = base_model.load_tokenizer(base)
    template = apply_choice(tokenizer, spec.chat_template)
    train, test = _tokenise_both(raw, tokenizer, template, spec, progress)
    write_pairs(train, out / "train.parquet")
    write_pairs(test, out / "test.parquet")
    own_sft = {
        arm: _prepare_sft(arm_data, tokenizer, template, spec.max_length, out / f"sft_{arm}.parquet", raw)
        for arm, arm_data in config.sft_data.items()
    }
    tokenizer.save_pretrained(out / "tokenizer")
    statistics = describe(raw, train, test, own_sft)
    (out / "statistics.json").write_text(statistics.model_dump_json(indent=1))
    return PrepareFacts(
        **_facts(base, tokenizer, template, train, test),
        max_length=spec.max_length,
        statistics=statistics,
        source=spec.source,
        sft_data={arm: arm_data.source for arm, arm_data in config.sft_data.items()},
    )


def _tokenise_both(
    raw: RawPairs, tokenizer: Any, template: Template, spec: DataSpec, progress: Progress
) -> tuple[Tokenised, Tokenised]:
    total = len(raw.train) + len(raw.test)
    train = tokenise(
        raw.train,
        tokenizer,
        template,
        max_length=spec.max_length,
        progress=lambda done, _: progress(done, total, {}),
    )
    check_tokenised(
        train, spec.source, max_length=spec.max_length, unknown_token_limit=spec.unknown_token_limit
    )
    test = tokenise(
        raw.test,
        tokenizer,
        template,
        max_length=spec.max_length,
        progress=lambda done, _: progress(len(raw.train) + done, total, {}),
    )
    return train, test


def _prepare_sft(
    spec: DataSpec, tokenizer: Any, template: Template, max_length: int, path: Path, pairs: RawPairs
) -> SftStatistics:
    """Tokenise an arm's own SFT data like the pairs; how much there is, and what the test knows."""
    conversations = load_conversations(spec)
    if not conversations.train:
        raise UserError("has no conversations", where=spec.source, remedy="give SFT data with rows")
    rows = tokenise(conversations.train, tokenizer, template, max_length=max_length, needs_rejected=False)
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
    base: base_model.BaseModel, tokenizer: Any, template: Template, train: Tokenised, test: Tokenised
) -> dict[str, Any]:
    ended = [p for p in train.kept if not p.truncated]
    return {
        "model_path": base.path,
        "model_revision": base.revision,
        "model_digest": base.digest,
        "random_weights": base.random_weights,
        **digests_of(tokenizer),
        "chat_template_source": template.source,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "stop_token_ids": template.stop_token_ids,
        "train_pairs": len(train.kept),
        "test_pairs": len(test.kept),
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
