"""Trainer arguments from a TrainConfig: everything that matters is set, nothing left to a default."""

from __future__ import annotations

from typing import Any

from harness.artifacts import CHECKPOINTS
from harness.measure import device
from harness.training.job import TrainJob
from harness.training.load import precision_of


def arguments(kind: Any, job: TrainJob, **settings: Any) -> Any:
    """An instance of transformers' or a TRL config class for `job`; `settings` are the trainer's own."""
    config = job.config
    accelerator = device.kind()
    checkpoints: dict[str, Any] = {"save_strategy": "no"}
    if config.checkpoint_every_steps and config.keep_checkpoints:
        checkpoints = {"save_strategy": "steps", "save_steps": config.checkpoint_every_steps}
    if config.early_stopping:
        every = config.early_stopping.eval_every_steps
        checkpoints = {
            "eval_strategy": "steps",
            "eval_steps": every,
            "save_strategy": "steps",
            "save_steps": every,
            "save_total_limit": None if config.keep_checkpoints else 1,
            "load_best_model_at_end": True,
            "metric_for_best_model": "eval_loss",
            "greater_is_better": False,
            "per_device_eval_batch_size": config.micro_batch_size,
            # A stage that goes on from a checkpoint is as patient as it was.
            "restore_callback_states_from_checkpoint": True,
        }
    settings = {"per_device_train_batch_size": config.micro_batch_size, **settings}
    if not job.ranks.alone:
        # Every trained weight has a gradient in every micro-batch, a void one too, and no buffer changes.
        settings = {"ddp_find_unused_parameters": False, "ddp_broadcast_buffers": False, **settings}
    return kind(
        output_dir=str(job.out / CHECKPOINTS),
        seed=job.seed,
        data_seed=job.seed,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.schedule,
        # Below 1 it is a share of all steps.
        warmup_steps=config.warmup_ratio if config.warmup_steps is None else config.warmup_steps,
        lr_scheduler_kwargs=None if config.min_lr_rate is None else {"min_lr_rate": config.min_lr_rate},
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        gradient_accumulation_steps=config.batch_size // (config.micro_batch_size * job.ranks.size),
        optim=config.optimizer,
        weight_decay=config.weight_decay,
        adam_beta1=config.adam_beta1,
        adam_beta2=config.adam_beta2,
        max_grad_norm=config.max_grad_norm,
        bf16=precision_of(config).autocasts,
        gradient_checkpointing=config.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if config.gradient_checkpointing else None,
        use_cpu=accelerator == "cpu",
        dataloader_pin_memory=accelerator in ("cuda", "xpu"),
        dataloader_num_workers=0,
        logging_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        **checkpoints,
        **settings,
    )
