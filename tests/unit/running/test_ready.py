"""What is done with what the rehearsals found, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from synthetic import foretold

from harness.errors import UserError
from harness.pipeline.load import find_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.resolved import Resolved
from harness.records import ParityCheck, RehearseFacts
from harness.running import execute, ready
from harness.running.forecast import check_memory
from harness.store.run_dir import RunRoot

GPU = 24 << 30
SMALL = {
    "micro_batch_size": 2,
    "gradient_checkpointing": True,
    "lora": None,
    "quantization": "none",
    "precision": "auto",
}


def facts(peak: int | None = None) -> RehearseFacts:
    sizes: dict[str, int] = {} if peak is None else {"peak_memory_bytes": peak, "device_bytes": GPU}
    return RehearseFacts(prediction=foretold(**sizes))


@pytest.mark.parametrize(
    ("found", "too_large"),
    [
        (facts(), False),
        (facts(peak=20 << 30), False),
        (facts(peak=GPU - (100 << 20)), True),
        (RehearseFacts(out_of_memory=True), True),
    ],
)
def test_what_fits_the_gpu(found: RehearseFacts, too_large: bool) -> None:
    assert ready.does_not_fit(found) is too_large


class Rehearsals:
    """Stands for the rehearsed comparison: full fine-tuning takes `full` bytes, LoRA `lora`."""

    def __init__(self, full: int, lora: int) -> None:
        self.peaks = {False: full, True: lora}
        self.specs: list[Any] = []

    def __call__(self, spec: Any, root: Any, console: Console, *, checks: bool, **_: Any) -> Any:
        self.specs.append(spec)
        found = facts(peak=self.peaks[spec.fell_back])
        result = SimpleNamespace(facts=found, facts_as=lambda kind: found)
        stage = SimpleNamespace(config={"stage": "dpo", "arms": ["sft_dpo"], "job": {"config": SMALL}})
        plan = SimpleNamespace(rehearsals=["r"], rehearse_evaluate=None, stages={"r": stage})
        return SimpleNamespace(plan=plan, results={"r": result}, spec=spec)


def make_ready(monkeypatch: pytest.MonkeyPatch, rehearsals: Rehearsals) -> Any:
    monkeypatch.setattr(ready, "_rehearsed", rehearsals)
    path = find_comparison("ultrafeedback", model=None)
    return ready.make_ready(path, Overrides(), SimpleNamespace(), Console())  # type: ignore[arg-type]


def test_what_fits_is_trained_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    rehearsals = Rehearsals(full=20 << 30, lora=5 << 30)
    make_ready(monkeypatch, rehearsals)
    assert [s.fell_back for s in rehearsals.specs] == [False]


def test_what_does_not_fit_is_trained_with_lora_in_every_arm(
    monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    rehearsals = Rehearsals(full=GPU, lora=5 << 30)
    make_ready(monkeypatch, rehearsals)
    assert [s.fell_back for s in rehearsals.specs] == [False, True]
    assert rehearsals.specs[1].training["lora"]["r"] == 16
    assert "every arm trains by if_too_large" in capsys.readouterr().out


def test_what_does_not_fit_even_so_stops_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    execution = make_ready(monkeypatch, Rehearsals(full=GPU, lora=GPU))
    with pytest.raises(
        UserError,
        match=r"stage dpo does not fit .*micro_batch_size=1 or .*bfloat16_stochastic or .*lora.r=16",
    ):
        check_memory(execution)


def test_unequal_terms_stop_with_the_remedy_unless_allowed() -> None:
    check = ParityCheck(
        check="dtype", equal=False, detail="bfloat16 and float32", remedy="set training.dtype"
    )
    with pytest.raises(UserError, match=r"dtype: bfloat16 and float32.*allow_unequal: \[dtype\]"):
        ready.check_parity([check])
    ready.check_parity(
        [check.model_copy(update={"allowed": True}), check.model_copy(update={"stops": False})]
    )


def test_what_the_plan_alone_shows_to_be_unequal_stops_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "run_stage", lambda *_, **__: pytest.fail("a stage was run"))
    monkeypatch.setattr(ready, "resolve", lambda spec: Resolved())
    sets = ("tuning_trials_per_arm={sft: 8, sft_dpo: 8, orpo: 16}",)
    root = RunRoot(tmp_path)
    root.open_for_writing()
    path = find_comparison("embedded", model=None)
    with pytest.raises(UserError, match=r"unequal terms \(tuning_trials: sft 8, sft_dpo 8, orpo 16\)"):
        ready.make_ready(path, Overrides(sets=sets), root, Console(quiet=True))
    assert list((tmp_path / "stages").iterdir()) == []
