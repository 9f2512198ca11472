"""What `harness compare` does with what the rehearsal found."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness.commands import compare, forecast
from harness.errors import UserError
from harness.pipeline.load import Overrides

GPU = 24 << 30


def job(peak: int | None = None, **more: Any) -> dict[str, Any]:
    config = {"micro_batch_size": 2, "gradient_checkpointing": True, "lora": None, "quantization": "none"}
    sizes = {} if peak is None else {"peak_bytes": peak, "device_bytes": GPU}
    return {"method": "dpo", "config": {"method": "dpo", "config": config}, **sizes, **more}


@pytest.mark.parametrize(
    ("found", "too_large"),
    [
        (job(), False),
        (job(peak=20 << 30), False),
        (job(peak=GPU - (100 << 20)), True),
        (job(out_of_memory=True), True),
    ],
)
def test_what_fits_the_gpu(found: dict[str, Any], too_large: bool) -> None:
    assert forecast.does_not_fit(found) is too_large


class Rehearsals:
    """Stands for the rehearsed comparison: full fine-tuning takes `full` bytes, LoRA `lora`."""

    def __init__(self, full: int, lora: int) -> None:
        self.peaks = {False: full, True: lora}
        self.specs: list[Any] = []

    def __call__(self, spec: Any, root: Any, console: Console) -> Any:
        self.specs.append(spec)
        rehearsal = SimpleNamespace(facts={"jobs": [job(peak=self.peaks[spec.fell_back])]})
        plan = SimpleNamespace(order=["prepare", "rehearse", "train"])
        return SimpleNamespace(plan=plan, results={"rehearse": rehearsal}, spec=spec)


def run(monkeypatch: pytest.MonkeyPatch, out: Path, rehearsals: Rehearsals) -> Any:
    seen: list[Any] = []

    def stop(plan: Any, rehearsal: Any, root: Any, console: Any) -> None:
        seen.append(rehearsal)
        if forecast.does_not_fit(rehearsal.facts["jobs"][0]):
            raise UserError("too large", remedy="less")
        raise KeyboardInterrupt

    monkeypatch.setattr(compare, "_rehearsed", rehearsals)
    monkeypatch.setattr(compare, "forecast", stop)
    compare.run("ultrafeedback", Overrides(), out=out, mlflow=False)


def test_what_fits_is_trained_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rehearsals = Rehearsals(full=20 << 30, lora=5 << 30)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, rehearsals)
    assert [s.fell_back for s in rehearsals.specs] == [False]


def test_what_does_not_fit_is_trained_with_lora_in_every_arm(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    rehearsals = Rehearsals(full=GPU, lora=5 << 30)
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, tmp_path, rehearsals)
    assert [s.fell_back for s in rehearsals.specs] == [False, True]
    assert rehearsals.specs[1].training["lora"]["r"] == 16
    assert "every arm trains by if_too_large" in capsys.readouterr().out


def test_what_does_not_fit_even_so_stops(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rehearsals = Rehearsals(full=GPU, lora=GPU)
    with pytest.raises(UserError, match="too large"):
        run(monkeypatch, tmp_path, rehearsals)
