"""A method from another package: AlphaPO, installed as a user would, through the whole comparison."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent / "alphapo"
COMPARISON = """
kind: comparison
name: alphapo
data: {{max_length: 64, limit: 64, test_limit: 40}}
arms: [sft, sft_dpo, {{pipeline: {arm}}}]
baseline: sft
cost_reference: sft_dpo
seeds: [0]
training: {{batch_size: 16, micro_batch_size: 8, precision: float32}}
stages:
  sft: {{learning_rate: 0.005}}
  dpo: {{learning_rate: 0.00075, beta: 0.5}}
  alphapo: {{learning_rate: 0.00075}}
budget: {{of: sft_dpo}}
score: [preference, rubric, alpaca_eval]
benchmarks:
  alpaca_eval: {{judge: embedded, head_to_head: [[sft_alphapo, sft_dpo]]}}
generation: {{max_new_tokens: 32, batch_size: 64}}
questions:
  - {{quantity: alpaca_eval.win_rate_vs_sft_dpo, a: sft_alphapo, b: sft_dpo, margin: 0.05}}
  - {{quantity: cost.flops, a: sft_alphapo, b: sft_dpo}}
"""


@pytest.fixture(scope="session")
def site(tmp_path_factory: Any) -> Path:
    """A folder of packages that holds the plug-in, as pip lays it out."""
    source, target = tmp_path_factory.mktemp("source") / "alphapo", tmp_path_factory.mktemp("site")
    shutil.copytree(HERE, source)
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(source)], check=True, timeout=120)
    return target


def harness(site: Path, *arguments: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def comparison(tmp_path_factory: Any) -> Path:
    file = Path(tmp_path_factory.mktemp("comparison")) / "alphapo.yaml"
    file.write_text(COMPARISON.format(arm=HERE / "sft_alphapo.yaml"))
    return file


def test_it_is_small() -> None:
    assert len((HERE / "harness_alphapo" / "alphapo.py").read_text().splitlines()) <= 60


def test_it_is_listed_and_planned(site: Path, comparison: Path, tmp_path: Path) -> None:
    assert "alphapo" in harness(site, "list").stdout
    done = harness(site, "plan", str(comparison), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "rehearse alphapo" in done.stdout
    assert "sft_alphapo/alphapo@0" in done.stdout


def test_without_the_package_the_message_names_the_method(comparison: Path, tmp_path: Path) -> None:
    done = harness(tmp_path, "plan", str(comparison), "--out", str(tmp_path))
    assert done.returncode == 2
    assert 'sft_alphapo.yaml:6: unknown method "alphapo"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_it_trains_is_scored_and_stands_in_every_format(site: Path, comparison: Path, tmp_path: Path) -> None:
    done = harness(site, "compare", str(comparison), "--out", str(tmp_path), "--no-mlflow")
    assert done.returncode == 0, done.stderr + done.stdout
    report = tmp_path / "latest" / "report"
    data = json.loads((report / "comparison.json").read_text())
    scores = data["arms"]["sft_alphapo"]["scores"]
    assert scores["rubric"]["grade"]["estimate"] is not None
    assert scores["preference"]["accuracy"]["estimate"] is not None
    text = (report / "report.md").read_text()
    assert text.splitlines()[0] == "# SFT then AlphaPO against SFT then DPO: alphapo"
    assert "0.750" in text, "AlphaPO trains two sequences a pair, DPO forwards two more"
    for path in ("report.html", "report.md"):
        assert "AlphaPO" in (report / path).read_text(), path
    assert harness(site, "paper", "latest", "--out", str(tmp_path)).returncode == 0
    assert "2501.03884" in (tmp_path / "latest" / "paper" / "references.bib").read_text()
    assert "gupta2025" in (tmp_path / "latest" / "paper" / "methods.tex").read_text()
    assert any("sft_alphapo" in file.read_text() for file in (report / "tables").glob("*.csv"))
    assert any("alphapo" in file.read_text() for file in (report / "tables").glob("*.tex"))
