"""What a stage trained, as a model folder that others load: whole weights in a form, tokenizer, settings."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.forms import load_form
from harness.generate.model_folder import copy_beside
from harness.measure import device
from harness.records import ExportFacts, PrepareFacts, StageRequest
from harness.stages.context import Context, Outcome

WHOLE, MODEL = "whole", "model"
GENERATION = "generation_config.json"


def warm_up(request: StageRequest) -> str:
    """Import what loads the model."""
    from harness.generate.load import ready_to_load

    ready_to_load()
    return device.kind()


def run(context: Context) -> Outcome:
    """Whole weights first, then the form of them; only the latter stays."""
    config = context.request.config
    form = load_form(config["form"])
    whole, written = context.folder / WHOLE, context.folder / MODEL
    for left in (whole, written):
        shutil.rmtree(left, ignore_errors=True)
    with context.window.phase("save"):
        whole_weights(
            Path(context.model_path()), whole, adapters=config["adapters"], precision=config["precision"]
        )
        copy_beside(context.prepared / "tokenizer", whole)
        _write_generation(whole / GENERATION, context.prepared_facts())
        form.module.write(whole, written, form.variant)
    shutil.rmtree(whole)
    size = sum(file.stat().st_size for file in written.rglob("*") if file.is_file())
    facts = ExportFacts(
        form=str(form), rounds=form.module.ABOUT.rounds, merged=bool(config["adapters"]), bytes=size
    )
    return Outcome(facts=facts, outputs={"model": MODEL})


def whole_weights(trained: Path, to: Path, adapters: bool, precision: str) -> None:
    """What a stage trained as a model folder, adapters folded in."""
    if adapters:
        from harness.generate.merged import merge

        merge(trained, to, precision)
    else:
        shutil.copytree(trained, to)


def _write_generation(file: Path, facts: PrepareFacts) -> None:
    """Greedy, with the run's stop tokens; what the base model's own file said was put aside there too."""
    said = {"do_sample": False, "eos_token_id": facts.stop_token_ids, "pad_token_id": facts.pad_token_id}
    file.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
