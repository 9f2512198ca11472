"""A tiny world for unit tests: a random Llama, a tokenizer, a prepared folder of random pairs."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
VOCABULARY = 64

LOCKS = tempfile.TemporaryDirectory(prefix="harness-locks-")
"""Locks of this process's tests alone: a comparison holds its device for all of the machine."""
os.environ["HARNESS_LOCKS"] = LOCKS.name

# Imports leave over a million objects that live to the end. Each trainer asks for a full collection, which
# walked them all for 0.4 s: left out of it, they cost nothing.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<bos>": 1, "<eos>": 2, "<unk>": 3} | {f"w{i}": i for i in range(4, VOCABULARY)}
    core = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>", unk_token="<unk>"
    )
    tokenizer.chat_template = (
        "{{ '<bos>' }}{% for m in messages %}{{ ' ' + m['content'] }}"
        "{% if m['role'] == 'assistant' %}{{ ' <eos>' }}{% endif %}{% endfor %}"
    )
    return tokenizer


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: Any, tiny_tokenizer: Any) -> Path:
    """A random Llama with grouped-query attention, saved with its tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        initializer_range=0.2,
    )
    folder = Path(tmp_path_factory.mktemp("model"))
    LlamaForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_prepared(tmp_path_factory: Any, tiny_tokenizer: Any) -> Any:
    """Makes a folder as the prepare stage writes it, of random pairs of different lengths."""
    from harness.data.prepare import write_pairs
    from harness.data.schemas import Pair
    from harness.data.template import apply_choice
    from harness.data.tokenise import tokenise

    template = apply_choice(tiny_tokenizer, "tokenizer")

    def make(seed: int, **pairs_of: int) -> Path:
        folder = Path(tmp_path_factory.mktemp("prepared"))
        rng = np.random.default_rng(seed)

        def words(low: int, high: int) -> str:
            return " ".join(f"w{i}" for i in rng.integers(4, VOCABULARY, rng.integers(low, high)))

        for split, count in pairs_of.items():
            pairs = [
                Pair(f"{split}-{i}", [{"role": "user", "content": words(2, 6)}], words(2, 9), words(2, 9))
                for i in range(count)
            ]
            write_pairs(tokenise(pairs, tiny_tokenizer, template, max_length=32), folder / f"{split}.parquet")
        tiny_tokenizer.save_pretrained(folder / "tokenizer")
        return folder

    return make


@pytest.fixture(scope="session")
def prepared(make_prepared: Any) -> Path:
    """12 training, 6 test and 4 validation pairs."""
    folder: Path = make_prepared(0, train=12, test=6, validation=4)
    return folder


def prepared_facts() -> Any:
    """What the prepare stage would say of `prepared`."""
    from synthetic import SPLIT

    from harness.records import PrepareFacts

    statistics = {"test_origin": "by hand", "train": SPLIT, "test": SPLIT}
    return PrepareFacts(
        source="pairs.jsonl",
        random_weights=False,
        train_pairs=12,
        test_pairs=6,
        train_ids_digest="d1",
        statistics={**statistics, "test_pairs_whose_prompt_is_in_train": 0},
        max_length=32,
        stop_token_ids=[2],
    )


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages of `prepared`, which is too small for probes to be worth their cost, are probed all the same."""
    from harness.records import ProbeFacts
    from harness.training import run

    planned = ProbeFacts(pairs=6, probes=3, reason="asked for by a test")
    monkeypatch.setattr(run, "probes_of", lambda *_: planned)


@pytest.fixture(scope="session")
def counts_folder(tmp_path_factory: Any) -> Path | None:
    """Where stages of one run root keep their FLOP counts; tests of counting keep none."""
    folder: Path = tmp_path_factory.mktemp("flops")
    return folder


@pytest.fixture
def make_job(prepared: Path, tiny_model: Path, tmp_path: Path, counts_folder: Path | None) -> Any:
    """Builds a TrainJob for a method and its settings."""
    from harness.measure.window import Window
    from harness.methods import load_method
    from harness.training.job import TrainJob

    def make(method: str, *, model: str | None = None, name: str = "out", **settings: Any) -> TrainJob:
        defaults = {"learning_rate": 1e-2, "batch_size": 4, "micro_batch_size": 2, "precision": "float32"}
        return TrainJob(
            method=method,
            config=load_method(method).Config.model_validate({**defaults, **settings}),
            seed=0,
            prepared=prepared,
            facts=prepared_facts(),
            model=model or str(tiny_model),
            revision=None,
            out=tmp_path / name,
            window=Window(),
            report=lambda step, total, metrics: None,
            counts_folder=counts_folder,
        )

    def with_folder(method: str, **settings: Any) -> TrainJob:
        job = make(method, **settings)
        job.out.mkdir(parents=True, exist_ok=True)
        return job

    return with_folder


@pytest.fixture
def make_family_job(make_job: Any, tmp_path: Path, tiny_tokenizer: Any) -> Any:
    """Builds a TrainJob that starts from a random model of a family."""
    import families

    def make(name: str, method: str, **settings: Any) -> Any:
        folder = tmp_path / "base"
        families.family(name).save_pretrained(folder)
        tiny_tokenizer.save_pretrained(folder)
        return make_job(method, model=str(folder), **settings)

    return make
