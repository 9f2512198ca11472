"""What the cases stand on: a finished run, and files by small recipes."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

from synthetic import make_view

from harness import artifacts
from harness.evidence.view import ComparisonView
from harness.jsonl import write_jsonl
from harness.pipeline.load import find_comparison, load_comparison
from harness.records import ComparisonRecord, Score, StageRequest, StageResult
from harness.store.run_dir import RunRoot

PAIR = {"prompt": "Which is the largest?", "chosen": "The whale.", "rejected": "The mouse."}


def pairs(count: int = 12) -> list[dict[str, Any]]:
    """Good rows of data."""
    return [{key: f"{text} {n}" for key, text in PAIR.items()} for n in range(count)]


def finished_run(out: Path, *, digests: bool = True) -> ComparisonRecord:
    """The made comparison as it lies on disk; without `digests` as versions left it that kept none."""
    root, view = RunRoot(out), make_view()
    root.open_for_writing()
    results = {d: _stage(root, one, view, digests) for d, one in view.record.results.items()}
    plan = view.record.plan.model_copy(update={"spec": {**view.record.plan.spec, **_spec()}})
    record = view.record.model_copy(update={"results": results, "plan": plan})
    file = root.write_record(record) / "record.json"
    # Without its seal, so that what it says is looked at and not only that it was changed.
    file.write_text(record.model_dump_json(indent=1))
    return record


def _spec() -> dict[str, Any]:
    """What a comparison's own settings are, beside those that the made one has."""
    spec = load_comparison(find_comparison("embedded", model=None)).model_dump(mode="json")
    kept = ("name", "budget", "generation", "score", "training", "arms", "stages")
    return {**{key: spec[key] for key in kept}, "questions": []}


def _stage(root: RunRoot, result: StageResult, view: ComparisonView, digests: bool) -> StageResult:
    asked = StageRequest(
        digest=result.digest, kind=result.kind, name=result.name, seed=result.seed, config={}
    )
    folder = root.start_stage(asked, owner="made")
    update: dict[str, Any] = {}
    if result.digest in view.series:
        write_jsonl(folder / "steps.jsonl", view.series[result.digest])
    if result.kind == "evaluate":
        arm, _, seed = result.name.partition("/evaluate@")
        values = view.items[f"{arm}@{seed}"]["preference.accuracy"]
        rows = [{"id": item, "metrics": {"accuracy": value}} for item, value in values.items()]
        write_jsonl(folder / "items.jsonl", rows)
        estimate = sum(values.values()) / len(values)
        score = {"benchmark": "preference", "metric": "accuracy", "estimate": estimate, "n": len(values)}
        update["scores"] = [Score(**score, items_file="items.jsonl")]
    if digests:
        update["artifacts"] = artifacts.written(folder)
    result = result.model_copy(update=update)
    (folder / "result.json").write_text(result.model_dump_json())
    return result


def annotations() -> list[dict[str, Any]]:
    """AlpacaEval's annotations of an arm `a`."""
    return [
        {
            "instruction": f"question {n}",
            "output_1": "x" * 20,
            "output_2": "y" * (15 + n),
            "generator_1": "text_davinci_003",
            "generator_2": "a",
            "annotator": "alpaca_eval_gpt4",
            "preference": 1.0 + n % 2,
            "price_per_example": 0.01,
        }
        for n in range(8)
    ]


def judgments() -> list[dict[str, Any]]:
    """FastChat's single-answer grades of an arm `a`."""
    return [
        {
            "model": "a",
            "question_id": 81 + n // 2,
            "turn": 1 + n % 2,
            "score": 3 + n,
            "judge": ["gpt-4", "single-v1"],
        }
        for n in range(6)
    ]


def samples() -> list[dict[str, Any]]:
    """lm-eval's samples of a task."""
    return [
        {
            "doc_id": n,
            "doc_hash": f"d{n}",
            "prompt_hash": "p",
            "target_hash": "t",
            "acc": float(n % 2),
            "metrics": ["acc"],
        }
        for n in range(6)
    ]


def results() -> dict[str, Any]:
    """lm-eval's figures of that task."""
    return {
        "results": {"arc_easy": {"acc,none": 0.5}},
        "higher_is_better": {"arc_easy": {"acc": True}},
        "n-shot": {"arc_easy": 0},
        "versions": {"arc_easy": 1.0},
    }


WHEN = "2026-01-01T00-00-00.000000"
GOOD = {
    "annotations": lambda: {"a.annotations.json": json.dumps(annotations())},
    "judgments": lambda: {"gpt-4_single.jsonl": lines(judgments())},
    "samples": lambda: {
        f"sft/samples_arc_easy_{WHEN}.jsonl": lines(samples()),
        f"sft/results_{WHEN}.json": json.dumps(results()),
    },
}


def lines(rows: list[Any]) -> str:
    """JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def changed(row: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """`row` with other values; a key that begins with - goes away."""
    gone = {key[1:] for key in change if key.startswith("-")}
    return {
        **{k: v for k, v in row.items() if k not in gone},
        **{k: v for k, v in change.items() if k[:1] != "-"},
    }


def replay_folder(folder: Path, kind: str, change: dict[str, Any]) -> None:
    """Published results with one change."""
    if kind == "files":
        for name, text in (GOOD[change["beside"]]() if "beside" in change else {}).items():
            write(folder / name, {"text": text})
        recipe = change if "good" not in change else {"text": next(iter(GOOD[change["good"]]().values()))}
        write(folder / change["file"], recipe)
        return
    files = GOOD["samples" if kind == "results" else kind]()
    if kind == "annotations":
        rows = annotations()
        files = {"a.annotations.json": json.dumps([rows[0], changed(rows[1], change), *rows[2:]])}
    elif kind == "results":
        files[f"sft/results_{WHEN}.json"] = json.dumps(changed(results(), change))
    else:
        rows = {"judgments": judgments, "samples": samples}[kind]()
        files[next(iter(files))] = lines([rows[0], changed(rows[1], change), *rows[2:]])
    for name, text in files.items():
        write(folder / name, {"text": text})


def write(path: Path, recipe: dict[str, Any]) -> None:
    """A file of `text`, `hex`, `gzip`, or `repeat` `times`; or a `folder`."""
    if recipe.get("folder"):
        if path.is_file():
            path.unlink()
        path.mkdir(parents=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content(recipe))


def content(recipe: dict[str, Any]) -> bytes:
    """The bytes of a recipe."""
    if "hex" in recipe:
        return bytes.fromhex(recipe["hex"])
    if "gzip" in recipe:
        return gzip.compress(recipe["gzip"].encode(), mtime=0)
    if "parquet" in recipe:
        return parquet(recipe["parquet"])[: recipe.get("cut")]
    if "row" in recipe:
        first, second, *others = pairs()
        return lines([first, changed(second, recipe["row"]), *others]).encode()
    if "rows" in recipe:
        return lines(recipe["rows"]).encode()
    if "bomb" in recipe:
        return bomb(recipe["bomb"]).encode()
    text = recipe["repeat"] * recipe["times"] if "repeat" in recipe else recipe["text"]
    return text.encode("utf-8", "surrogatepass")


def parquet(columns: dict[str, list[Any]]) -> bytes:
    """A Parquet file of these columns."""
    import pyarrow
    from pyarrow.parquet import write_table

    sink = io.BytesIO()
    write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def data_files(folder: Path, case: dict[str, Any]) -> str:
    """Write a case's data; returns the source to give."""
    if "file" in case:
        write(folder / case["file"], case)
        return str(case["file"])
    for name, recipe in case["files"].items():
        write(folder / name, recipe)
    return str(case["source"])


WRITTEN = {
    "comparison": (
        "mine.yaml",
        "kind: comparison\nname: mine\narms: [sft, orpo]\nseeds: [0, 1]\nscore: [preference]\n"
        "training: {learning_rate: 1.0e-3}\nstages: {orpo: {lambda: 0.1}}\n",
    ),
    "arm": ("arm.yaml", "kind: arm\nname: mine\nstages: [{method: sft, config: {learning_rate: 1.0e-3}}]\n"),
    "claims": ("claims.yaml", "claims: []\n"),
    "suite": ("suite.yaml", "kind: suite\nname: mine\ntasks: [{task: arc_easy}]\n"),
}
AROUND = {
    "arm": "kind: comparison\nname: mine\narms: [./arm.yaml]\nseeds: [0]\nscore: [preference]\n",
    "suite": "kind: comparison\nname: mine\narms: [sft]\nseeds: [0]\nscore: [lm_eval]\n"
    "training: {learning_rate: 1.0e-3}\nbenchmarks: {lm_eval: {suite: ./suite.yaml}}\n",
}
READ_BY = {"claims": "check latest --claims claims.yaml"}


def written_file(folder: Path, kind: str, case: dict[str, Any]) -> str:
    """Write a user's file with a case's mistake; returns the command that reads it."""
    name, text = WRITTEN[kind]
    write(folder / name, case["whole"] if "whole" in case else {"text": replaced(text, case["change"])})
    if kind in AROUND:
        write(folder / "mine.yaml", {"text": AROUND[kind]})
    return READ_BY.get(kind, "plan mine.yaml")


def replaced(text: str, change: str) -> str:
    """A YAML file with other top-level keys."""
    keys = tuple(f"{line.partition(':')[0]}:" for line in change.splitlines() if not line.startswith(" "))
    return "".join(line for line in text.splitlines(True) if not line.startswith(keys)) + change + "\n"


def bomb(levels: int) -> str:
    """Anchors that unfold to ten to the power of `levels` values."""
    rows = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x, x, x, x, x, x, x, x, x]", *rows])


RUN = "made-0123456789"


def hurt(out: Path, case: dict[str, Any]) -> None:
    """Hurt one file of the finished run in `out`."""
    path = out / case["file"] if case["file"].startswith("stages/") else out / RUN / case["file"]
    if case.get("gone"):
        path.unlink()
    elif "cut" in case:
        path.write_bytes(path.read_bytes()[: case["cut"]])
    elif "set" in case:
        data = json.loads(path.read_text())
        for key, value in case["set"].items():
            _set(data, key.lstrip("-").split("."), value, gone=key.startswith("-"))
        path.write_text(json.dumps(data))
    else:
        write(path, case)


def _set(data: dict[str, Any], path: list[str], value: Any, *, gone: bool) -> None:
    for part in path[:-1]:
        data = data[part]
    if gone:
        del data[path[-1]]
    else:
        data[path[-1]] = value
