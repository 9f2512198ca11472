"""The whole preparation: files, facts, own SFT data, and models that cannot be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.data import base_model
from harness.data.prepare import PrepareConfig, prepare
from harness.errors import UserError


def run(out: Path, **settings: Any) -> dict[str, Any]:
    out.mkdir(exist_ok=True)
    return prepare(PrepareConfig.model_validate(settings), out, lambda done, total, metrics: None)


def rows_of(file: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet

    found: list[dict[str, Any]] = pyarrow.parquet.read_table(file).to_pylist()
    return found


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """12 training pairs, of which three teach nothing, and 4 test pairs, of which one is known."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    train = [{"prompt": f"w{4 + i}", "chosen": f"w{5 + i} w6", "rejected": "w7"} for i in range(9)]
    train += [
        {"prompt": "w40", "chosen": "w4", "rejected": "w4"},
        {"prompt": "w41", "chosen": "w4", "rejected": ""},
        {"prompt": "w4 " * 40, "chosen": "w4", "rejected": "w5"},
    ]
    test = [{"prompt": f"w{12 + i}", "chosen": "w5 " * 50, "rejected": "w6"} for i in range(4)]
    for name, rows in (("train", train), ("test", test)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_files_facts_and_statistics_agree(tmp_path: Path, tiny_model: Path, pairs: Path) -> None:
    out = tmp_path / "out"
    data = {"source": str(pairs), "max_length": 32, "test_overlap": "keep"}
    facts = run(out, model=str(tiny_model), data=data)
    train, test = rows_of(out / "train.parquet"), rows_of(out / "test.parquet")
    assert (facts.train_pairs, facts.test_pairs) == (len(train), len(test)) == (9, 4)
    assert facts.stop_token_ids == [2]
    assert json.loads(train[0]["prompt"]) == [{"role": "user", "content": "w4"}]
    assert (train[0]["prompt_ids"], train[0]["chosen_ids"]) == ([1, 4], [5, 6, 2])
    assert all(len(row["prompt_ids"]) + len(row["chosen_ids"]) <= 32 for row in train + test)
    found = json.loads((out / "statistics.json").read_text())
    assert found == facts.statistics.model_dump()
    assert found["train"]["dropped"] == {
        "chosen = rejected": 1,
        "empty answer": 1,
        "prompt fills max_length": 1,
    }
    assert (found["train"]["pairs_available"], found["train"]["chosen_equals_rejected"]) == (12, 1)
    assert found["train"]["chosen_minus_rejected_tokens"]["mean"] == 1.0
    assert (found["test"]["truncated"], found["test_pairs_whose_prompt_is_in_train"]) == (4, 1)
    again = run(tmp_path / "again", model=str(tiny_model), data=data)
    assert again == facts


def test_test_pairs_whose_prompt_is_in_train_are_dropped_and_counted(
    tmp_path: Path, tiny_model: Path, pairs: Path
) -> None:
    facts = run(tmp_path / "out", model=str(tiny_model), data={"source": str(pairs), "max_length": 32})
    statistics = facts.statistics
    assert facts.test_pairs == 3
    assert statistics.test_pairs_whose_prompt_is_in_train == 0
    assert statistics.test_pairs_dropped_for_a_prompt_in_train == 1


def test_the_saved_tokenizer_is_the_one_used(tmp_path: Path, tiny_model: Path, pairs: Path) -> None:
    from transformers import AutoTokenizer

    from harness.data.template import DEFAULT_TEMPLATE

    data = {"source": str(pairs), "max_length": 64, "chat_template": "default", "unknown_token_limit": 1}
    facts = run(tmp_path / "out", model=str(tiny_model), data=data)
    saved = AutoTokenizer.from_pretrained(tmp_path / "out" / "tokenizer")
    assert saved.chat_template == DEFAULT_TEMPLATE
    assert facts.chat_template_source == "default"
    assert (saved.pad_token_id, saved.eos_token_id) == (facts.pad_token_id, facts.eos_token_id) == (0, 2)


def test_sft_data_of_an_arm(tmp_path: Path, tiny_model: Path, pairs: Path) -> None:
    own = tmp_path / "own.jsonl"
    talks = [
        [("user", "w12"), ("assistant", "w5"), ("user", "w6"), ("assistant", "w7 w8")],
        [("user", "w13"), ("assistant", "w9")],
        [("user", "w14")],
    ]
    own.write_text(
        "".join(json.dumps({"messages": [{"role": r, "content": c} for r, c in t]}) + "\n" for t in talks)
    )
    facts = run(
        tmp_path / "out",
        model=str(tiny_model),
        data={"source": str(pairs), "max_length": 32},
        sft_data={"zephyr": {"source": str(own)}},
    )
    rows = rows_of(tmp_path / "out" / "sft_zephyr.parquet")
    assert [row["chosen_ids"] for row in rows] == [[7, 8, 2], [9, 2]]
    assert rows[0]["prompt_ids"] == [1, 12, 5, 2, 6]
    assert facts.sft_data == {"zephyr": str(own)}
    found = facts.statistics.sft_data["zephyr"]
    assert (found.available, found.kept, found.dropped) == (3, 2, {"empty answer": 1})
    assert found.test_pairs_whose_prompt_is_in_it == 1


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """40 training prompts with two pairs each, 4 test pairs, of which one is known, and a split of 3."""
    folder = tmp_path / "many"
    folder.mkdir()
    train = [
        {"prompt": f"w{4 + i % 40} w{4 + i // 40}", "chosen": f"w{5 + i % 9}", "rejected": "w50 w51"}
        for i in (*range(40), *range(40))
    ]
    train = [{**row, "chosen": f"{row['chosen']} w{20 + i // 40}"} for i, row in enumerate(train)]
    test = [{"prompt": p, "chosen": "w5", "rejected": "w6"} for p in ("w4 w4", "w60", "w61", "w62")]
    other = [{"prompt": p, "chosen": "w5", "rejected": "w6"} for p in ("w5 w4", "w60", "w58")]
    for name, rows in (("train", train), ("test", test), ("tuning", other)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def prompts_of(folder: Path, split: str) -> set[str]:
    return {row["prompt"] for row in rows_of(folder / f"{split}.parquet")}


@pytest.mark.parametrize("overlap", ["drop", "keep"])
def test_validation_pairs_are_held_out_of_training_and_never_tested(
    tmp_path: Path, tiny_model: Path, many: Path, overlap: str
) -> None:
    data = {"source": str(many), "max_length": 32, "test_overlap": overlap, "validation_fraction": 0.2}
    out = tmp_path / "out"
    facts = run(out, model=str(tiny_model), data=data, validation=True)
    train, test, validation = (prompts_of(out, split) for split in ("train", "test", "validation"))
    assert len(validation) > 3
    assert not validation & (train | test)
    assert facts.train_pairs + facts.validation_pairs == 80
    assert facts.validation_pairs == 2 * len(validation)
    statistics = facts.statistics
    assert statistics.validation.pairs_kept == facts.validation_pairs
    assert statistics.validation_origin == "20% of the training prompts, by hash"
    without = run(tmp_path / "without", model=str(tiny_model), data=data)
    assert (without.train_pairs, without.validation_pairs, without.test_pairs) == (80, None, facts.test_pairs)
    assert not (tmp_path / "without" / "validation.parquet").exists()


def test_the_test_split_does_not_decide_what_is_trained_on(
    tmp_path: Path, tiny_model: Path, many: Path
) -> None:
    base = {"source": str(many), "max_length": 32}
    changes: list[dict[str, Any]] = [{}, {"test_overlap": "keep"}, {"test_limit": 1}]
    made = [
        run(tmp_path / str(n), model=str(tiny_model), data={**base, **change}, validation=True)
        for n, change in enumerate(changes)
    ]
    assert len({facts.train_ids_digest for facts in made}) == 1
    assert len({frozenset(prompts_of(tmp_path / str(n), "validation")) for n in range(3)}) == 1
    assert made[0].validation_pairs >= 8


def test_the_sources_own_validation_split(tmp_path: Path, tiny_model: Path, many: Path) -> None:
    data = {"source": str(many), "max_length": 32, "validation_split": "tuning"}
    facts = run(tmp_path / "out", model=str(tiny_model), data=data, validation=True)
    assert (facts.train_pairs, facts.validation_pairs) == (80, 1)
    assert facts.statistics.validation_pairs_dropped_for_a_known_prompt == 2
    assert facts.statistics.validation_origin == "the source's split tuning"
    with pytest.raises(UserError, match='split "test" is named twice'):
        run(
            tmp_path / "no",
            model=str(tiny_model),
            data={**data, "validation_split": "test", "test_split": "test"},
        )
    shutil.copy(many / "train.jsonl", many / "train_too.jsonl")
    both = {**data, "validation_split": "train_too", "train_split": "train"}
    with pytest.raises(UserError, match="every one of 80 validation pairs stands in training"):
        run(tmp_path / "no", model=str(tiny_model), data=both, validation=True)


def test_too_few_prompts_to_hold_any_out(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / "one.jsonl"
    file.write_text(json.dumps({"prompt": "w4", "chosen": "w5", "rejected": "w6"}) + "\n")
    data = {"source": str(file), "test_fraction": 0.001}
    with pytest.raises(UserError, match=r"too few prompts .* leave early_stopping out"):
        run(tmp_path / "out", model=str(tiny_model), data=data, validation=True)


def test_sft_data_of_an_arm_holds_no_validation_prompt(tmp_path: Path, tiny_model: Path, many: Path) -> None:
    own = tmp_path / "own.jsonl"
    shutil.copy(many / "train.jsonl", own)
    facts = run(
        tmp_path / "out",
        model=str(tiny_model),
        data={"source": str(many), "max_length": 32},
        sft_data={"zephyr": {"source": str(own)}},
        validation=True,
    )
    assert not prompts_of(tmp_path / "out", "sft_zephyr") & prompts_of(tmp_path / "out", "validation")
    dropped = facts.statistics.sft_data["zephyr"].dropped
    assert dropped == {"prompt held out for early stopping": facts.validation_pairs}


def test_a_diverging_row_is_counted_and_said(tmp_path: Path, tiny_model: Path, caplog: Any) -> None:
    file = tmp_path / "talks.jsonl"
    rows = [
        {
            side: f"\n\nHuman: w{4 + i}\n\nAssistant: {word}"
            for side, word in (("chosen", "w5"), ("rejected", "w6"))
        }
        for i in range(6)
    ]
    rows[2]["rejected"] = "\n\nHuman: w60\n\nAssistant: w6"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    caplog.set_level("INFO", logger="harness.data")
    facts = run(tmp_path / "out", model=str(tiny_model), data={"source": str(file), "test_fraction": 0.001})
    assert (facts.train_pairs, facts.statistics.train.diverging_rows) == (5, 1)
    place = f"{file}:3: chosen and rejected share no prompt"
    assert facts.statistics.train.first_diverging == [place]
    assert caplog.messages == [f"{place}; left out for every arm"]


def test_random_weights_are_the_same_wherever_they_are_made(tmp_path: Path, tiny_model: Path) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    made = [
        base_model.locate(f"config:{source}", None, tmp_path / str(n))
        for n, source in enumerate((bare, bare / "config.json"))
    ]
    assert made[0].digest == made[1].digest != base_model.digest_folder(tiny_model)
    assert all(base.random_weights for base in made)


def test_a_device_with_bfloat16_gets_the_same_random_weights(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were rounded there, so that float32 on a GPU began from other weights than on a CPU."""
    made = []
    for native in (True, False):
        monkeypatch.setattr("harness.measure.device.native_bfloat16", lambda native=native: native)
        made.append(base_model.locate(f"config:{tiny_model}", None, tmp_path / str(native)))
    assert made[0].digest == made[1].digest


def test_models_that_cannot_be_used(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(UserError, match=r"holds no config.json; MODEL=config:FOLDER needs"):
        base_model.locate(f"config:{tmp_path}", None, tmp_path)
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(UserError, match=r"bare: holds no weights .*MODEL=config:FOLDER"):
        base_model.locate(str(bare), None, tmp_path)
    config = json.loads((bare / "config.json").read_text())
    (bare / "config.json").write_text(json.dumps({**config, "vocab_size": 60}))
    with pytest.raises(UserError, match="the tokenizer has a token 63 and the model 60 of them"):
        base_model.locate(f"config:{bare}", None, tmp_path)
    (bare / "config.json").write_text("{broken")
    with pytest.raises(UserError, match=r"cannot be loaded \(It looks like the config file"):
        base_model.locate(f"config:{bare}", None, tmp_path)
    with pytest.raises(UserError, match=r'model "org/none" cannot be loaded .*HF_TOKEN.* local folder'):
        base_model.locate("org/none", None, tmp_path)


def test_a_cached_hub_model_is_pinned_to_its_commit(
    tmp_path: Path, tiny_model: Path, monkeypatch: Any
) -> None:
    """The hub's cache, as a download leaves it: what `main` means is read once and kept."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    cache = tmp_path / "hub" / "models--org--tiny"
    (cache / "refs").mkdir(parents=True)
    (cache / "refs" / "main").write_text(commit)
    shutil.copytree(tiny_model, cache / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    found = base_model.locate("org/tiny", None, tmp_path)
    assert (found.path, found.revision, found.digest) == ("org/tiny", commit, f"hub:org/tiny@{commit}")
    for weights in (cache / "snapshots" / commit).glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(UserError, match='model "org/tiny" has no weights'):
        base_model.locate("org/tiny", None, tmp_path)


def test_data_that_is_wrong_is_refused_before_the_model_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "same.jsonl"
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": "b"}\n' * 9)
    with pytest.raises(UserError, match=r"same.jsonl: chosen equals rejected in all \d train pairs"):
        run(tmp_path / "out", model="org/none", data={"source": str(file)})
    file.write_text("\n")
    with pytest.raises(UserError, match=r"same.jsonl: has no train pairs"):
        run(tmp_path / "out", model="org/none", data={"source": str(file)})
    file.write_text('{"prompt": "a", "chosen": "b", "rejected": ""}\n')
    with pytest.raises(UserError, match=r"same.jsonl: has nothing to train on \(1 with empty answer\)"):
        run(tmp_path / "out", model="embedded", data={"source": str(file), "test_fraction": 0.001})


def test_importing_the_room_is_cheap() -> None:
    import subprocess
    import sys

    code = (
        "import sys, harness.data.prepare, harness.data.load, harness.generate.answer\n"
        "print([m for m in ('torch', 'transformers', 'datasets', 'pandas', 'pyarrow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
