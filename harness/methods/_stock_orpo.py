"""trl.experimental.orpo.ORPOTrainer as it stands: its own tokenisation, full logits, NLL over all.

It is here to be compared with. It reads the texts that the others' tokens were made from, so its
token ids may differ from theirs; the report says so.
"""

from __future__ import annotations

import json
from typing import Any

import datasets
import pyarrow.parquet
import torch
from trl.experimental.orpo import ORPOConfig, ORPOTrainer

from harness.measure.flops import Bucket
from harness.methods import TrainJob
from harness.methods._arguments import arguments
from harness.methods._load import LoadedPolicy
from harness.methods._shared import SharedTrainer
from harness.methods.orpo import Config

_NAMES = {
    "nll_loss": "nll",
    "log_odds_ratio": "log_odds_ratio",
    "log_odds_chosen": "log_odds_margin",
    "logps/chosen": "logp_chosen",
    "logps/rejected": "logp_rejected",
    "rewards/accuracies": "preference_accuracy",
}


class StockORPO(SharedTrainer, ORPOTrainer):
    """TRL's own losses and loss scaling, with our order of pairs and names of metrics."""

    loss_is_scaled_for_ga = False
    fused = False
    nll_scope = "prompt+response"
    implementation = "trl"

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        batches, items = ORPOTrainer.get_batch_samples(self, *args, **kwargs)
        self.trace.micro_batches.append(len(batches))
        return [self._note(batch) for batch in batches], items

    def bucket_of(self, batch: dict[str, Any]) -> Bucket:
        chosen, rejected = batch["chosen_input_ids"], batch["rejected_input_ids"]
        size, length = 2 * chosen.shape[0], max(chosen.shape[1], rejected.shape[1])
        return Bucket(size, length, size * (length - 1))

    def sides(self, batch: dict[str, Any]) -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]:
        """TRL scores every real token of the chosen sequence in the NLL."""
        real = [batch[f"{side}_attention_mask"] == 1 for side in ("chosen", "rejected")]
        rejected_scored = batch["rejected_labels"] != -100
        return [
            (batch["chosen_input_ids"], real[0], real[0]),
            (batch["rejected_input_ids"], real[1], rejected_scored),
        ]

    def _note(self, batch: dict[str, Any]) -> dict[str, Any]:
        size, length, scored = (bucket := self.bucket_of(batch)).batch, bucket.length, bucket.scored
        self.trace.shapes.append((size, length, scored))
        real = batch["chosen_attention_mask"].sum() + batch["rejected_attention_mask"].sum()
        self.trace.tokens_real.append(real)
        self.trace.tokens_padded += size * length
        return batch

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """TRL's stored metrics under our names."""
        stored = self._stored_metrics["train"]
        for theirs, ours in _NAMES.items():
            for value in stored.get(theirs, []):
                self.trace.add(ours, torch.as_tensor(value, dtype=torch.float32).reshape(1))
        self._metrics: dict[str, dict[str, Any]] = {"train": {}, "eval": {}}
        super().log(logs, start_time)

    def synthetic(self, bucket: Bucket) -> dict[str, torch.Tensor]:
        batch = super().synthetic(bucket)
        half = bucket.batch // 2
        made: dict[str, torch.Tensor] = {}
        for name, rows in (("chosen", slice(0, half)), ("rejected", slice(half, None))):
            ids = batch["input_ids"][rows]
            made |= {
                f"{name}_input_ids": ids,
                f"{name}_attention_mask": torch.ones_like(ids),
                f"{name}_labels": ids,
            }
        return made | {
            "prompt_input_ids": made["chosen_input_ids"][:, :1],
            "prompt_attention_mask": made["chosen_attention_mask"][:, :1],
        }


def build(job: TrainJob, policy: LoadedPolicy, tokenizer: Any, train: Any, test: Any) -> StockORPO:
    """Stock ORPO over the texts of the pairs in `train`."""
    config = job.config
    assert isinstance(config, Config)
    stage = type("StockORPOOfJob", (StockORPO,), {"job": job})
    trainer: StockORPO = stage(
        model=policy.model,
        args=arguments(ORPOConfig, job, beta=config.lambda_, max_length=_max_length(job)),
        train_dataset=_texts(job, list(train["id"])),
        processing_class=tokenizer,
        peft_config=policy.peft_config,
    )
    trainer.args.remove_unused_columns = False
    return trainer


def _max_length(job: TrainJob) -> int:
    facts = json.loads((job.prepared / "result.json").read_text(encoding="utf-8"))["facts"]
    return int(facts["max_length"])


def _texts(job: TrainJob, ids: list[str]) -> datasets.Dataset:
    """Conversations of the pairs named by `ids`, in their order."""
    columns = ["id", "prompt", "chosen", "rejected"]
    table = pyarrow.parquet.read_table(job.prepared / "train.parquet", columns=columns)
    rows = {row["id"]: row for row in table.to_pylist()}
    return datasets.Dataset.from_list(
        [
            {
                "prompt": json.loads(rows[i]["prompt"]),
                "chosen": [{"role": "assistant", "content": rows[i]["chosen"]}],
                "rejected": [{"role": "assistant", "content": rows[i]["rejected"]}],
            }
            for i in ids
        ]
    )
