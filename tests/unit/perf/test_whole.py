"""The whole beside stock: what the scripts are asked to do, and what made repeats of it say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from perf.paired import in_turn
from perf.stock import run_all
from perf.whole_report import Repeat, Side, report

JOB = run_all.Job(
    model="base-model",
    train={seed: f"train-{seed}.jsonl" for seed in (0, 1, 2)},
    test="test.jsonl",
    settings={method: {"method": method} for method in run_all.METHODS},
    max_length=64,
    max_new_tokens=32,
    batch_size=8,
)
Called = list[tuple[str, dict[str, str]]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> Called:
    """Every script that would have run, with its options."""
    found: Called = []

    def call(script: str, arguments: Sequence[str], cache: Path) -> tuple[float, dict[str, Any]]:
        options = [word for word in arguments if word != "--in-order"]
        found.append((script, dict(zip(options[::2], options[1::2], strict=True))))
        return 1.0, {}

    monkeypatch.setattr(run_all, "call", call)
    return found


def test_three_seeds_are_nine_trainings_and_ten_scorings(called: Called) -> None:
    calls = run_all.run_all(JOB, Path("out"))
    assert [one.script for one in calls[:9]] == ["sft", "dpo", "orpo"] * 3
    assert [one.script for one in calls[9:]] == ["score"] * 10
    assert [one.seed for one in calls[9:]] == [None, 0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_dpo_starts_from_the_sft_of_its_seed_and_all_else_from_the_base(called: Called) -> None:
    run_all.run_all(JOB, Path("out"))
    trained = {(name, options["--seed"]): options for name, options in called if name != "score"}
    assert {one["--model"] for (name, _), one in trained.items() if name != "dpo"} == {"base-model"}
    assert trained["dpo", "2"]["--model"] == "out/sft-2/model"
    assert {(seed, one["--pairs"]) for (_, seed), one in trained.items()} == {
        (str(seed), file) for seed, file in JOB.train.items()
    }
    scored = [options["--model"] for name, options in called if name == "score"]
    assert scored[:4] == ["base-model", "out/sft-0/model", "out/dpo-0/model", "out/orpo-0/model"]


def test_a_script_that_fails_says_its_command_and_its_error(tmp_path: Path) -> None:
    with pytest.raises(run_all.ScriptFailed, match=r"(?s)nothing\.py --model m\n.*No such file"):
        run_all.call("nothing", ["--model", "m"], tmp_path)


def side(wall: float, train: float, *, accuracy: float = 0.6) -> Side:
    trained = {m: {seed: (train, [(1, 1, 1.0)]) for seed in (0, 1)} for m in run_all.METHODS}
    scores = {"accuracy": {"base": {0: 0.5}, "sft": {0: accuracy, 1: accuracy + 0.01}}}
    return Side(wall, trained, scores, {"training": 3 * train, "start-up": wall - 3 * train})


def repeats(ours: Sequence[Side]) -> list[Repeat]:
    stock = side(100.0, 10.0)
    return [Repeat(*in_turn(number, lambda one=one: one, lambda: stock)) for number, one in enumerate(ours)]


@pytest.mark.parametrize(
    ("ours", "code"),
    [
        ([side(45.0, 7.0), side(46.0, 7.1)], 0),
        ([side(60.0, 7.0), side(60.5, 7.1)], 1),
        ([side(45.0, 9.0), side(46.0, 9.1)], 1),
        ([side(200.0, 20.0)], 0),
    ],
    ids=["meets", "whole too slow", "training too slow", "one repeat"],
)
def test_the_exit_code_says_whether_a_goal_is_missed(ours: list[Side], code: int, capsys: Any) -> None:
    assert report(repeats(ours), {"seeds": 2}) == code
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert [row["name"] for row in found["rows"]] == ["whole", *(f"training of {m}" for m in run_all.METHODS)]
    assert found["rows"][1]["stock"][0] == 20.0


def test_scores_are_paired_by_seed(capsys: Any) -> None:
    report(repeats([side(45.0, 7.0, accuracy=0.7), side(45.0, 7.1)]), {})
    said = {one["of"]: one for one in json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]}
    assert said["sft"]["difference"] == pytest.approx(0.1)
    assert said["sft"]["verdict"] == "separable"
    assert said["base"]["verdict"] == "one seed, no interval"


def test_what_rounding_alone_sets_apart_is_not_separable(capsys: Any) -> None:
    report(repeats([side(45.0, 7.0, accuracy=0.6 - 1e-16), side(45.0, 7.1)]), {})
    said = {one["of"]: one for one in json.loads(capsys.readouterr().out.splitlines()[-1])["scores"]}
    assert (said["sft"]["difference"], said["sft"]["verdict"]) == (0.0, "not separable")
