"""Which weights are served, and what cannot be, said before anything starts."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from corpus.worlds import finished_run

from harness.errors import UserError
from harness.records import ComparisonRecord
from harness.serving.chosen import Chosen, of_folder, of_run
from harness.serving.folder import made
from harness.store.leftovers import remove_leftovers
from harness.store.run_dir import RunRoot


@pytest.fixture
def run(tmp_path: Path) -> tuple[RunRoot, ComparisonRecord]:
    """The made run with weights of `orpo` at seed 0, a tokenizer, and facts as stages write them."""
    record = finished_run(tmp_path / "runs", digests=False)
    root = RunRoot(tmp_path / "runs")
    for file in (("orpo0", "model", "config.json"), ("orpo0", "model", "generation_config.json")):
        _write(root.stage_folder(file[0]) / file[1] / file[2], '{"repetition_penalty": 2.0}')
    _write(root.stage_folder("orpo0") / "model" / "model.safetensors", "weights")
    _write(root.stage_folder("prep") / "tokenizer" / "tokenizer.json", "{}")
    return root, changed(record, "prep", stop_token_ids=[2, 5], pad_token_id=0)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def changed(record: ComparisonRecord, digest: str, **facts: Any) -> ComparisonRecord:
    """The record with other facts of one stage."""
    result = record.results[digest]
    result = result.model_copy(update={"facts": result.facts.model_copy(update=facts)})
    return record.model_copy(update={"results": {**record.results, digest: result}})


def test_the_last_stage_of_the_first_seed_answers_as_the_run_did(
    run: tuple[RunRoot, ComparisonRecord],
) -> None:
    root, record = run
    record = changed(record, "ev-orpo0", generation={"max_new_tokens": 32, "temperature": 0.0})
    record = changed(record, "orpo0", precision="float32", weights_at_end="abc")
    found = of_run(root, record, "orpo", None)
    assert (found.served.name, found.served.run, found.served.stage) == ("orpo-seed0", record.id, "orpo0")
    assert (found.served.weights, found.dtype, found.precision, found.max_tokens) == (
        "abc",
        "float32",
        None,
        32,
    )
    assert found.generation == {"eos_token_id": [2, 5], "pad_token_id": 0, "do_sample": False}


def test_sampled_answers_are_sampled_and_never_compared(run: tuple[RunRoot, ComparisonRecord]) -> None:
    root, record = run
    file = root.stage_folder("ev-orpo0") / "answers.jsonl"
    _write(file, "{}")
    result = record.results["ev-orpo0"].model_copy(update={"outputs": {"answers": "answers.jsonl"}})
    record = record.model_copy(update={"results": {**record.results, "ev-orpo0": result}})
    greedy = of_run(root, changed(record, "ev-orpo0", generation={}), "orpo", 0)
    assert greedy.recorded == file
    found = of_run(
        root, changed(record, "ev-orpo0", generation={"temperature": 0.7, "top_p": 0.9}), "orpo", 0
    )
    assert found.recorded is None
    assert found.generation is not None
    assert (found.generation["do_sample"], found.generation["temperature"]) == (True, 0.7)


def test_trained_in_lower_precision_it_is_served_so(run: tuple[RunRoot, ComparisonRecord]) -> None:
    root, record = run
    assert of_run(root, changed(record, "orpo0", precision="mixed"), "orpo", 0).dtype == "bfloat16"
    assert of_run(root, record, "orpo", 0).dtype == "auto"
    lora = changed(record, "orpo0", precision="mixed", tuning="lora")
    assert of_run(root, lora, "orpo", 0).precision == "mixed"


def replayed(record: ComparisonRecord) -> ComparisonRecord:
    plan = record.plan.model_copy(update={"spec": {**record.plan.spec, "replayed": True}})
    return record.model_copy(update={"plan": plan})


@pytest.mark.parametrize(
    ("arm", "seed", "change", "message"),
    [
        (None, None, lambda record: record, "no arm named; give one of: sft, sft_dpo, orpo"),
        ("orp", None, lambda record: record, 'unknown arm "orp"; did you mean "orpo"'),
        ("orpo", 7, lambda record: record, "the run has no seed 7 of orpo; known: 0, 1"),
        ("orpo", 1, lambda record: record, "the weights of stage orpo/orpo@1 are gone"),
        ("orpo", 0, replayed, "trained nothing"),
        ("orpo", 0, lambda record: changed(record, "prep", trust_remote_code=True), "code of its own"),
        ("orpo", 0, lambda record: changed(record, "orpo0", quantization="4bit"), "weights of 4bit"),
    ],
)
def test_what_cannot_be_served_is_said(
    run: tuple[RunRoot, ComparisonRecord],
    arm: str | None,
    seed: int | None,
    change: Callable[[ComparisonRecord], ComparisonRecord],
    message: str,
) -> None:
    root, record = run
    with pytest.raises(UserError, match=message):
        of_run(root, change(record), arm, seed)


def test_weights_that_were_changed_are_not_served(
    run: tuple[RunRoot, ComparisonRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, record = run
    monkeypatch.setattr(root, "damage", lambda digest: {"model/model.safetensors": "was changed"})
    with pytest.raises(UserError, match=r"model/model\.safetensors of stage orpo/orpo@0 was changed"):
        of_run(root, record, "orpo", 0)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("config.json", "adapter_config.json", "tokenizer.json"), "holds adapters"),
        (("config.json", "model.safetensors"), "no tokenizer"),
        (("config.json", "tokenizer.json", "pytorch_model.bin"), "pickle alone"),
    ],
)
def test_a_folder_that_no_server_loads(tmp_path: Path, files: tuple[str, ...], message: str) -> None:
    for name in files:
        _write(tmp_path / name, "{}")
    with pytest.raises(UserError, match=message):
        of_folder(tmp_path, "auto")


@pytest.mark.parametrize(
    ("name", "safe"), [("my model@2:q.gguf", "my-model-2-q.gguf"), ("--host", "host"), ("@", "model")]
)
def test_a_name_is_no_flag_and_no_revision(tmp_path: Path, name: str, safe: str) -> None:
    for file in ("config.json", "tokenizer.json", "model.safetensors"):
        _write(tmp_path / name / file, "{}")
    found = of_folder(tmp_path / name, "auto")
    assert found.served.name == safe
    with made(found, None) as parent:
        assert (parent / safe / "config.json").read_text() == "{}"
        (listed,) = (parent / "cache").glob("models--*/snapshots/*/config.json")
        assert listed.parents[2].name == f"models--{safe}"
        assert listed.samefile(tmp_path / name / "config.json")
    assert not parent.exists()
    assert (tmp_path / name / "config.json").is_file()


def served(run: tuple[RunRoot, ComparisonRecord]) -> tuple[Chosen, Path]:
    root, record = run
    return of_run(root, record, "orpo", 0), root.run_folder(record.id)


def test_the_folder_holds_the_runs_files_and_its_own_settings(run: tuple[RunRoot, ComparisonRecord]) -> None:
    chosen, folder = served(run)
    with made(chosen, folder) as parent:
        inside = parent / "orpo-seed0"
        assert {file.name for file in inside.iterdir()} == {
            *("config.json", "generation_config.json", "model.safetensors", "tokenizer.json")
        }
        assert os.path.samefile(inside / "model.safetensors", chosen.weights / "model.safetensors")
        assert json.loads((inside / "generation_config.json").read_text()) == chosen.generation
    assert not parent.exists()
    # What the run saved is as it was.
    assert (chosen.weights / "generation_config.json").read_text() == '{"repetition_penalty": 2.0}'


def test_a_disk_without_hard_links_gets_links_by_name(
    run: tuple[RunRoot, ComparisonRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    chosen, folder = served(run)
    monkeypatch.setattr(os, "link", refuse)
    with made(chosen, folder) as parent:
        assert (parent / "orpo-seed0" / "model.safetensors").read_text() == "weights"
    assert (chosen.weights / "model.safetensors").read_text() == "weights"


def test_what_cannot_be_made_whole_leaves_nothing(
    run: tuple[RunRoot, ComparisonRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen, folder = served(run)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UserError, match="No space left on device"), made(chosen, folder):
        pass
    assert not list(folder.glob(".served.*"))


def test_what_a_killed_command_left_goes_with_the_next(run: tuple[RunRoot, ComparisonRecord]) -> None:
    root, record = run
    left = root.run_folder(record.id) / ".served.999999999"
    left.mkdir()
    remove_leftovers(root.path, root.path / "stages")
    assert not left.exists()
    left.mkdir()
    with made(*served(run)):
        assert not left.exists()
