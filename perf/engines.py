"""What engines of generation take for the same answers, in turns: seconds, and how many answers are equal.

    PYTHONPATH=. python perf/engines.py [--model FOLDER] [--tokens 64] [--batch 64] [--stops 0]

Prompts are those of the embedded world, whose answers are about as long as each other, and random tokens,
after which some answers end at once and some never. `--stops` makes stop tokens for a model that never ends.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness.data.base_model import EMBEDDED
from harness.generate import LoadedModel
from harness.generate.engines.by_name import token_ids
from harness.generate.load import load_model
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm
from perf.batching import embedded_prompts

ENGINES = ("padded", "continuous")
SHORTEST, LONGEST = 4, 20
"""Tokens of a random prompt."""
Answers = dict[int, list[int]]


def main() -> None:
    """Print a row for each kind of prompt and engine, then the same as JSON."""
    arguments = _arguments()
    form = ModelForm(precision=arguments.precision)
    loaded = load_model(str(arguments.model), arguments.model, stop_token_ids=[], form=form)
    loaded = replace(loaded, stop_token_ids=_stops(loaded, arguments.stops))
    settings = GenerationSpec(max_new_tokens=arguments.tokens, batch_size=arguments.batch)
    rows = {}
    for name, prompts in _prompts(loaded, arguments.prompts).items():
        rows[name] = _in_turns(loaded, prompts, settings, arguments.repeats)
    table = Table("prompts", "engine", "tokens", "longest", "seconds", "processor s", "over padded", "equal")
    for name, found in rows.items():
        for engine, row in found.items():
            table.add_row(name, engine, *(f"{value:.4g}" for value in row.values()))
    Console().print(table)
    print(json.dumps(rows))


def _in_turns(
    loaded: LoadedModel, prompts: list[list[int]], settings: GenerationSpec, repeats: int
) -> dict[str, dict[str, float]]:
    """Medians by engine, after a first round that nobody times."""
    answers = {engine: _answers(loaded, prompts, settings, engine) for engine in ENGINES}
    took: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for repeat in range(repeats):
        for engine in ENGINES if repeat % 2 else reversed(ENGINES):
            began = time.perf_counter(), time.process_time()
            _answers(loaded, prompts, settings, engine)
            took[engine].append((time.perf_counter() - began[0], time.process_time() - began[1]))
    processor = {engine: statistics.median(cpu for _, cpu in pairs) for engine, pairs in took.items()}
    return {
        engine: {
            "tokens": sum(map(len, answers[engine].values())),
            "longest": max(map(len, answers[engine].values())),
            "seconds": statistics.median(wall for wall, _ in pairs),
            "processor_seconds": processor[engine],
            "over_padded": processor[engine] / processor["padded"],
            "equal": _equal(answers[engine], answers["padded"]),
        }
        for engine, pairs in took.items()
    }


def _answers(loaded: LoadedModel, prompts: list[list[int]], settings: GenerationSpec, engine: str) -> Answers:
    found: Answers = {}
    for some in token_ids(loaded, prompts, settings.model_copy(update={"engine": engine})):
        found |= some
    return found


def _equal(answers: Answers, expected: Answers) -> float:
    return sum(answers[place] == ids for place, ids in expected.items()) / len(expected)


def _prompts(loaded: LoadedModel, count: int) -> Mapping[str, list[list[int]]]:
    rng, words = random.Random(0), range(4, loaded.model.config.vocab_size)
    drawn = [rng.choices(words, k=rng.randint(SHORTEST, LONGEST)) for _ in range(count)]
    return {"embedded world": embedded_prompts(loaded.tokenizer, count), "random": drawn}


def _stops(loaded: LoadedModel, made: int) -> list[int]:
    """The model's own stop token, and `made` others."""
    rng, words = random.Random(0), range(4, loaded.model.config.vocab_size)
    return [int(loaded.tokenizer.eos_token_id), *rng.sample(words, made)]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--stops", type=int, default=0, help="tokens of the vocabulary that end an answer too"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
