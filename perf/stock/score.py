"""What a user runs to score a model: answers to the test prompts, log-probs of the test pairs, lm-eval.

    python score.py --model FOLDER --pairs test.jsonl --out FOLDER ... [--grader MODULE:FUNCTION] [--tasks A]

Greedy answers by `generate` in the file's order; mean log-probs of chosen and rejected answers from the
model's logits; the grader, if any, is called with prompt and answer. Writes `answers.jsonl` and
`pairs.jsonl`; prints seconds and mean scores as one line of JSON.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

Row = dict[str, Any]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, help="folder of weights, tokenizer and chat template")
    parser.add_argument("--pairs", type=Path, required=True, help="JSON lines, as for training")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-length", type=int, required=True)
    parser.add_argument("--max-new-tokens", type=int, required=True)
    parser.add_argument("--batch-size", type=int, default=32, help="answers generated at a time")
    parser.add_argument("--pair-batch-size", type=int, default=16, help="sequences scored at a time")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--grader", help="MODULE:FUNCTION of prompt and answer")
    parser.add_argument("--tasks", nargs="*", default=[], help="names of lm-eval's tasks")
    parser.add_argument("--include-path", help="folder of task files for lm-eval")
    return parser.parse_args()


def main() -> None:
    """Each part after the other, on a clock of its own. Imports lie before the clocks."""
    given = arguments()
    given.out.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in given.pairs.read_text(encoding="utf-8").splitlines()]
    marks = [time.perf_counter()]
    tokenizer = AutoTokenizer.from_pretrained(given.model, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(given.model, dtype=given.dtype).eval()
    marks.append(time.perf_counter())
    scores = graded(given, rows, generated(model, tokenizer, rows, given))
    marks.append(time.perf_counter())
    scores |= pair_scores(given, model, tokenizer, rows)
    marks.append(time.perf_counter())
    scores |= lm_eval_scores(model, tokenizer, given) if given.tasks else {}
    marks.append(time.perf_counter())
    names = ("load_seconds", "generation_seconds", "scoring_seconds", "lm_eval_seconds")
    figures = {name: b - a for name, a, b in zip(names, marks, marks[1:], strict=False)}
    print(json.dumps({**figures, "answers": len(rows), "scores": scores}))


def chunks(rows: list[Any], size: int) -> Iterator[list[Any]]:
    """`rows` in lists of `size`."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def generated(model: Any, tokenizer: Any, rows: list[Row], given: argparse.Namespace) -> list[str]:
    """The model's greedy answers."""
    answers: list[str] = []
    for batch in chunks([row["prompt"] for row in rows], given.batch_size):
        inputs = tokenizer.apply_chat_template(
            batch, add_generation_prompt=True, padding=True, return_dict=True, return_tensors="pt"
        )
        with torch.no_grad():
            ids = model.generate(**inputs, max_new_tokens=given.max_new_tokens, do_sample=False)
        answers += tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    return [answer.strip() for answer in answers]


def graded(given: argparse.Namespace, rows: list[Row], answers: list[str]) -> dict[str, float]:
    """The mean grade, where there is a grader."""
    module, _, name = (given.grader or "").partition(":")
    kept = [{"prompt": row["prompt"], "answer": text} for row, text in zip(rows, answers, strict=True)]
    if name:
        grade = getattr(importlib.import_module(module), name)
        for one in kept:
            one["grade"] = grade(one["prompt"][-1]["content"], one["answer"])
    (given.out / "answers.jsonl").write_text("\n".join(map(json.dumps, kept)), encoding="utf-8")
    return {"grade": fmean(one["grade"] for one in kept)} if name else {}


def pair_scores(given: argparse.Namespace, model: Any, tokenizer: Any, rows: list[Row]) -> dict[str, float]:
    """How often the chosen answer has the higher mean log-prob a token; ties count half."""
    sides = {side: mean_log_probs(given, model, tokenizer, rows, side) for side in ("chosen", "rejected")}
    kept = [dict(zip(sides, values, strict=True)) for values in zip(*sides.values(), strict=True)]
    (given.out / "pairs.jsonl").write_text("\n".join(map(json.dumps, kept)), encoding="utf-8")
    wins = [0.5 if p["chosen"] == p["rejected"] else float(p["chosen"] > p["rejected"]) for p in kept]
    return {"accuracy": fmean(wins)}


def mean_log_probs(
    given: argparse.Namespace, model: Any, tokenizer: Any, rows: list[Row], side: str
) -> list[float]:
    """The mean log-prob of each answer's tokens."""
    means: list[float] = []
    for batch in chunks(rows, given.pair_batch_size):
        prompts = tokenizer.apply_chat_template([r["prompt"] for r in batch], add_generation_prompt=True)
        whole = tokenizer.apply_chat_template([r["prompt"] + r[side] for r in batch])
        inputs = tokenizer.pad(
            {"input_ids": [ids[: given.max_length] for ids in whole["input_ids"]]},
            padding_side="right",
            return_tensors="pt",
        )
        with torch.no_grad():
            log_probs = model(**inputs).logits[:, :-1].float().log_softmax(-1)
        taken = log_probs.gather(-1, inputs["input_ids"][:, 1:, None]).squeeze(-1)
        scored = inputs["attention_mask"][:, 1:].bool()
        for i, ids in enumerate(prompts["input_ids"]):
            scored[i, : len(ids) - 1] = False
        means += ((taken * scored).sum(1) / scored.sum(1).clamp(min=1)).tolist()
    return means


def lm_eval_scores(model: Any, tokenizer: Any, given: argparse.Namespace) -> dict[str, float]:
    """lm-eval's own figures of its tasks, on the model that is loaded already."""
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    found = simple_evaluate(
        model=HFLM(pretrained=model, tokenizer=tokenizer, batch_size=given.pair_batch_size),
        tasks=given.tasks,
        task_manager=TaskManager(include_path=given.include_path),
        apply_chat_template=True,
    )
    figures = {
        f"{task}.{name.partition(',')[0]}": value
        for task, values in found["results"].items()
        for name, value in values.items()
        if isinstance(value, float) and "stderr" not in name
    }
    return figures


if __name__ == "__main__":
    main()
