"""`harness compare --until-decided` from the file to the record; stages are made and not trained."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from synthetic import PREPARED, rehearsed, trained

from harness import cli
from harness.commands import compare
from harness.commands import report as report_command
from harness.errors import Interrupted, UserError
from harness.jsonl import write_jsonl
from harness.pipeline.load import load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.questions_spec import LookSpec
from harness.records import (
    CheckFacts,
    ComparisonRecord,
    EvaluateFacts,
    RehearseEvaluateFacts,
    Score,
    StageRequest,
    StageResult,
)
from harness.running import execute
from harness.store.run_dir import RunRoot, read_record

ITEMS = 50
TEXT = Path("pipelines/embedded.yaml").read_text(encoding="utf-8")


def comparison(
    folder: Path, *, looks: str | None = "[3, 5, 10]", seeds: int = 10, questions: bool = True
) -> Path:
    """The embedded comparison with one benchmark, looks, and a question about a score and a cost."""
    text = TEXT.partition("# What the run")[0]
    text = text.replace("seeds: [0, 1, 2]", f"seeds: {list(range(seeds))}")
    text = text.replace("score: [preference, rubric, lm_eval, alpaca_eval]", "score: [preference]")
    text += f"looks: {looks}\n" if looks else ""
    if questions:
        text += "questions:\n  - {quantity: preference.accuracy, margin: 0.05}\n  - {quantity: cost.flops}\n"
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


class World:
    """Makes every stage's result at once. Orpo is better by `effect`; seeds differ by up to `spread`.

    `stop_before` raises as Ctrl-C does, when so many stages have run.
    """

    def __init__(self) -> None:
        self.effect, self.spread = 0.0, 0.01
        self.stop_before: int | None = None
        self.ran: list[str] = []

    def run_stage(self, folder: Path, *, name: str, **_: Any) -> StageResult:
        if self.stop_before == len(self.ran):
            raise Interrupted(name)
        self.ran.append(name)
        request = StageRequest.model_validate_json((folder / "request.json").read_text())
        result = self._result(request, folder).model_copy(
            update={
                **{"digest": request.digest, "kind": request.kind, "name": name, "seed": request.seed},
                "attempt": request.attempt,
            }
        )
        (folder / "result.json").write_text(result.model_dump_json(), encoding="utf-8")
        return result

    def _result(self, request: StageRequest, folder: Path) -> StageResult:
        if request.kind == "train":
            write_jsonl(folder / "steps.jsonl", [{"step": 28, "metrics": {}}])
            return trained(request.digest, request.name, request.seed, request.config["method"])
        if request.kind == "rehearse":
            method = request.config["job"]["method"]
            return rehearsed(method).model_copy(update={"outputs": {}})
        update: dict[str, Any] = {"ledger": [], "outputs": {}}
        if request.kind == "prepare":
            update["facts"] = PREPARED
        elif request.kind == "check":
            update["facts"] = CheckFacts(free_disk_bytes=1 << 40)
        elif request.kind == "rehearse_evaluate":
            update["facts"] = RehearseEvaluateFacts()
        else:
            update |= {"facts": EvaluateFacts(), "scores": [self._score(request, folder)]}
        return trained(request.digest, request.name, request.seed, "sft").model_copy(update=update)

    def _score(self, request: StageRequest, folder: Path) -> Score:
        arm = request.name.partition("/")[0]
        rng = random.Random(request.name)
        mean = 0.5 + self.spread * rng.uniform(-1, 1) + (self.effect if arm == "orpo" else 0.0)
        rows = [{"id": f"i{i}", "metrics": {"accuracy": mean + 0.001 * i}} for i in range(ITEMS)]
        write_jsonl(folder / "scores" / "preference.jsonl", rows)
        file = "scores/preference.jsonl"
        return Score(benchmark="preference", metric="accuracy", estimate=mean, n=ITEMS, items_file=file)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    monkeypatch.setattr(execute, "run_stage", world.run_stage)
    # Nothing is measured, so that a comparison which holds the device is not in the way.
    monkeypatch.setattr(compare, "opened", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(report_command, "write", lambda record, root: root.run_folder(record.id) / "report")
    return world


def look_for(path: Path, out: Path, **overrides: Any) -> tuple[ComparisonRecord, str]:
    """The last look's record, and what the console heard."""
    heard, console = io.StringIO(), Console(width=400)
    console.file = heard
    record = compare.run_until_decided(
        str(path), Overrides(**overrides), out=out, console=console, mlflow=False
    )
    return record, heard.getvalue()


def looks_of(out: Path) -> dict[int, ComparisonRecord]:
    """Records of the looks in a run root, by their number."""
    records = [read_record(file.parent) for file in out.glob("*/record.json") if file.parent.name != "latest"]
    return {record.plan.spec["look"]["number"]: record for record in records}


def test_a_large_effect_is_decided_at_the_first_look(world: World, tmp_path: Path) -> None:
    world.effect = 0.3
    record, heard = look_for(comparison(tmp_path), tmp_path / "runs")
    assert record.plan.spec["seeds"] == [0, 1, 2]
    assert record.plan.spec["look"] == {"number": 1, "weights": [1 / 6, 1 / 3, 1 / 2], "earlier": []}
    assert "Look 1 of 3, 3 seeds: every question is decided." in heard
    assert "Saved: 7 of 10 seeds were not trained (about 8.3 min of training" in heard
    assert not any("@3" in name for name in world.ran)


def test_what_stays_open_goes_on_to_the_last_look_and_trains_nothing_twice(
    world: World, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    world.spread = 0.3
    record, heard = look_for(comparison(tmp_path), out)
    assert len(set(world.ran)) == len(world.ran)
    looks = looks_of(out)
    assert {number: one.plan.spec["seeds"] for number, one in looks.items()} == {
        number: list(range(seeds)) for number, seeds in ((1, 3), (2, 5), (3, 10))
    }
    assert looks[3].plan.spec["look"]["earlier"] == [looks[1].id, looks[2].id]
    assert read_record(RunRoot(out).find_run("latest")).id == record.id == looks[3].id
    assert "Look 1 of 3, 3 seeds: 1 question(s) open (preference.accuracy, orpo against sft_dpo: " in heard
    assert "All 10 seeds were trained: nothing was saved." in heard


@pytest.mark.slow
def test_after_ctrl_c_the_same_command_goes_on(world: World, tmp_path: Path) -> None:
    path, out = comparison(tmp_path), tmp_path / "runs"
    world.spread = 0.3
    world.stop_before = 30
    with pytest.raises(Interrupted):
        look_for(path, out)
    interrupted = looks_of(out)
    assert set(interrupted) == {1}
    world.stop_before = None
    record, _ = look_for(path, out)
    assert len(set(world.ran)) == len(world.ran)
    assert looks_of(out)[1].id == interrupted[1].id
    assert record.plan.spec["look"]["number"] == 3


def test_without_the_flag_all_seeds_are_used_and_no_look_is_spent(world: World, tmp_path: Path) -> None:
    path, out = comparison(tmp_path), tmp_path / "runs"
    console = Console(quiet=True)
    record = compare.run_comparison(str(path), Overrides(), out=out, console=console, mlflow=False)
    assert record.plan.spec["seeds"] == list(range(10))
    assert record.plan.spec["look"] is None
    few = compare.run_comparison(str(path), Overrides(seeds="2"), out=out, console=console, mlflow=False)
    assert few.plan.spec["seeds"] == [0, 1]


MISTAKES = {
    "no looks": ({"looks": None}, {}, r"needs looks, and none are registered; write `looks: \[3, 5, 10\]`"),
    "no questions": ({"questions": False}, {}, "asks no questions, so nothing can be decided"),
    "too few seeds": ({"seeds": 9}, {}, r"mine.yaml:\d+: the last look uses 10 seeds and there are 9"),
    "too few by the flag": ({}, {"seeds": "4"}, "--seeds: the last look uses 10 seeds and there are 4"),
    "one seed": ({"looks": "[1, 3]"}, {}, r"looks.0 is 1; give a number of at least 2"),
    "no growth": ({"looks": "[3, 3]"}, {}, "looks: a look uses no more seeds than the one before"),
    "a look in a file": ({}, {"sets": ("look.number=2",)}, "look is written by --until-decided"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_message_and_nothing_runs(name: str, world: World, tmp_path: Path) -> None:
    written, overrides, message = MISTAKES[name]
    with pytest.raises(UserError, match=message):
        look_for(comparison(tmp_path, **written), tmp_path / "runs", **overrides)  # type: ignore[arg-type]
    assert world.ran == []
    assert not (tmp_path / "runs").exists()


def test_again_is_refused_with_it(world: World, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--again and --until-decided do not go together"):
        compare.run_until_decided(
            str(comparison(tmp_path)), Overrides(), out=tmp_path, console=Console(), again=["train"]
        )


def test_the_flag_without_looks_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = comparison(tmp_path, looks=None)
    arguments = ["harness", "compare", str(path), "--until-decided", "--out", str(tmp_path / "runs")]
    monkeypatch.setattr(sys, "argv", arguments)
    assert cli._run() == 2
    said = capsys.readouterr().err
    assert "--until-decided needs looks" in said
    assert said.count("\n") == 1


def test_a_look_takes_the_first_seeds_and_is_another_run(tmp_path: Path) -> None:
    path = comparison(tmp_path)
    look = LookSpec(number=2, weights=[0.3, 0.3, 0.4])
    spec = load_comparison(path, Overrides(look=look, seeds="5,6,7,8,9,10,11,12,13,14"))
    assert (spec.seeds, spec.look) == ([5, 6, 7, 8, 9], look)
    assert spec.look is not None
    assert spec.look.weight == 0.3
