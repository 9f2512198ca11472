"""Values that are given to make are handed on word for word, and never run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import making
import pytest

VALUES = (
    "a b",
    "x; touch {evil}",
    "x && touch {evil}",
    "x | touch {evil} &",
    "$(touch {evil})",
    "$$(touch {evil})",
    "$(shell touch {evil})",
    "`touch {evil}`",
    '"; touch {evil}; "',
    "'; touch {evil}; '",
    "a\ntouch {evil}",
    "--help",
    "# no comment",
    "*",
    "a\\ b \\",
    "${HOME} $HOME ~ %",
)
FLAGS = {
    "compare": ("MODEL", "DATA", "ARMS", "SEEDS", "SCORE", "AGAIN", "DEVICE", "OFFLINE", "OUT"),
    "plan": ("OFFLINE", "DEVICES", "PEAK_TFLOPS", "MFU"),
    "fetch": ("TO", "MODEL", "DATA", "ARMS", "SCORE"),
    "cost": ("PEAK_TFLOPS", "MFU"),
    "score": ("BENCHMARK", "JUDGE", "AS", "DEVICE", "OUT"),
    "report": ("FORMAT", "OUT"),
    "replay": ("BASELINE",),
    "ui": ("PORT",),
    "doctor": ("DEVICE",),
}
NAMED = {
    "compare": "COMPARISON",
    "plan": "COMPARISON",
    "fetch": "COMPARISON",
    "report": "RUN",
    "score": "RUN",
    "replay": "FOLDER",
}


@pytest.mark.parametrize("value", VALUES)
def test_a_value_is_one_argument_as_it_was_written(value: str, tmp_path: Path) -> None:
    value = value.format(evil=tmp_path / "evil") if "{evil}" in value else value
    asked = [f"{name}={value}" for name in (*FLAGS["compare"], NAMED["compare"])]
    done, said = making.make(["compare", *asked], tmp_path / "bin")
    assert done.returncode == 0, done.stderr
    assert said is not None
    assert sorted(said) == sorted(["compare", value, *(f"--{n.lower()}={value}" for n in FLAGS["compare"])])
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("target", FLAGS)
def test_so_it_is_for_every_target(target: str, tmp_path: Path) -> None:
    value = f'$(shell touch {tmp_path}/evil)`touch {tmp_path}/evil`"; touch {tmp_path}/evil'
    asked = [f"{name}={value}" for name in (*FLAGS[target], *([NAMED[target]] if target in NAMED else []))]
    done, said = making.make([target, *asked], tmp_path / "bin")
    assert said is not None, done.stderr
    given = [f"--{name.lower().replace('_', '-')}={value}" for name in FLAGS[target]]
    named = [value] if target in NAMED else []
    defaults = [word for word in said[1:] if word not in (*given, *named)]
    assert set(given) | set(named) <= set(said)
    assert all(word.startswith("--out=") for word in defaults)
    assert not (tmp_path / "evil").exists()


def test_settings_are_divided_at_blanks_and_nothing_in_them_runs(tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    given = f"data.limit=2000  training.lora.r=16 name=$(touch${{IFS}}{evil}) x=* y=`touch\t{evil}` z=a;b"
    for target in ("compare", "plan", "fetch", "cost", "score"):
        done, said = making.make([target, f"SET={given}"], tmp_path / target)
        assert said is not None, done.stderr
        assert [word for word in said if word.startswith("--set=")] == [f"--set={s}" for s in given.split()]
    assert not evil.exists()


def test_a_switch_and_the_environment_run_nothing(tmp_path: Path) -> None:
    value = f"$(shell touch {tmp_path}/evil)"
    done, said = making.make(["compare", f"UNTIL_DECIDED={value}"], tmp_path / "a")
    assert said == ["compare", "--out=runs", "--until-decided"], done.stderr
    done, said = making.make(["plan"], tmp_path / "b", {**os.environ, "MODEL": value, "WHY": value})
    assert said == ["plan", f"--model={value}", "--out=runs", "--why"], done.stderr
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["VENV", "BIN"])
@pytest.mark.parametrize(
    "value", ["x; touch {evil}", "x;y", "$(shell touch {evil})", "`touch {evil}`", "a b"]
)
def test_places_of_programs_are_plain_paths(name: str, value: str, tmp_path: Path) -> None:
    given = value.format(evil=tmp_path / "evil")
    done, said = making.make(["compare", f"{name}={given}"], tmp_path / "bin")
    assert (done.returncode, said) == (2, None)
    assert f"{name} is no plain path" in done.stderr
    assert not (tmp_path / "evil").exists()


def test_what_sets_up_runs_nothing_that_is_given(tmp_path: Path) -> None:
    """PYTHON and PACKAGE are divided at blanks, and are no code."""
    given = [f"PYTHON=false; touch {tmp_path}/evil", f"PACKAGE=x; touch {tmp_path}/evil", "JOBS=`touch evil`"]
    venv = tmp_path / "venv"
    done, said = making.make([f"VENV={venv}", *given, "setup"], tmp_path / "bin")
    assert done.returncode != 0
    assert said is None
    assert not (tmp_path / "evil").exists()


def test_every_benchmark_runs_and_those_that_miss_are_named(tmp_path: Path) -> None:
    """One that misses its goal ends in 1, and is no reason to leave out those after it."""
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\necho "ran $1"\ncase "$1" in */tracking.py|*/training.py) exit 1;; esac\n')
    python.chmod(0o755)
    asked = ["make", "--no-print-directory", "-o", ".venv/.ready", "-o", ".venv/.ready-dev"]
    done = subprocess.run(
        [*asked, f"BIN={tmp_path}", "bench"], cwd=making.ROOT, capture_output=True, text=True, timeout=60
    )
    ran = [line.removeprefix("ran ") for line in done.stdout.splitlines() if line.startswith("ran ")]
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "missed their goals: tracking training"
    assert all((making.ROOT / file).is_file() for file in ran)
    assert {"perf/whole.py", "perf/sharing.py", "perf/report.py", "perf/overhead.py"} <= set(ran)
