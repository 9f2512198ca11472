"""The recipes of papers: they load and plan without a hub, and hold what their sources say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.find import find_file, shipped
from harness.pipeline.load import find_comparison, load_comparison, stage_config
from harness.pipeline.plan import plan_comparison
from harness.pipeline.resolved import Resolved

NAMES = sorted(path.stem for path in (shipped("pipelines") / "papers").glob("*.yaml"))
OURS = ("micro_batch_size", "max_new_tokens", "margin")
"""Numbers that are no paper's; the batch of generation stands below `generation`."""


def configs(name: str) -> dict[str, Any]:
    """Every arm's stages by name, checked."""
    spec = load_comparison(find_comparison(f"papers/{name}", model=None))
    return {stage.stage_name: stage_config(spec, stage) for arm in spec.arms for stage in arm.stages}


def test_all_of_them_are_there() -> None:
    simpo = [f"simpo_{model}_{kind}" for model in ("llama3", "mistral") for kind in ("base", "instruct")]
    assert [*NAMES] == ["orpo_llama_2_7b", "orpo_mistral_7b", "orpo_phi_2", *simpo, "zephyr_7b"]


@pytest.mark.parametrize("name", NAMES)
def test_each_loads_and_plans(name: str) -> None:
    spec = load_comparison(find_comparison(f"papers/{name}", model=None))
    plan = plan_comparison(spec, Resolved())
    assert spec.name == name
    assert {cell.arm for cell in plan.cells if cell.stages} == {arm.name for arm in spec.arms}
    trained = [stage for stage in plan.stages.values() if stage.kind == "train"]
    assert len(trained) == len({stage.name for stage in trained}) >= 2


@pytest.mark.parametrize("name", NAMES)
def test_every_number_says_where_it_is_from(name: str) -> None:
    text = find_file(f"papers/{name}", "comparison").read_text(encoding="utf-8")
    settings, _, _ = text.partition("\nscore:")
    for line in settings.splitlines():
        numbers = re.match(r"\s*(\w+): \[?[\d.]", line)
        if numbers and numbers[1] not in OURS:
            assert "  # " in line, line


@pytest.mark.parametrize(
    ("name", "rate", "beta", "ratio", "rate_of_dpo"),
    [
        ("simpo_mistral_base", 3e-7, 2.0, 0.8, 5e-7),
        ("simpo_mistral_instruct", 5e-7, 2.5, 0.1, 5e-7),
        ("simpo_llama3_base", 6e-7, 2.0, 0.5, 5e-7),
        ("simpo_llama3_instruct", 1e-6, 2.5, 0.55, 7e-7),
    ],
)
def test_simpo_has_the_rows_of_its_authors_tables(
    name: str, rate: float, beta: float, ratio: float, rate_of_dpo: float
) -> None:
    stages = configs(name)
    simpo, dpo = stages["simpo"], stages["dpo"]
    assert (simpo.learning_rate, simpo.beta, simpo.gamma_beta_ratio) == (rate, beta, ratio)
    assert (dpo.learning_rate, dpo.beta) == (rate_of_dpo, 0.01)
    assert {one.batch_size for one in stages.values()} == {128}


@pytest.mark.parametrize(
    ("name", "weight", "rate", "epochs", "course"),
    [
        ("orpo_mistral_7b", 0.1, 5e-6, 5, "inverse_sqrt, warm-up 200 steps"),
        ("orpo_phi_2", 0.25, 8e-6, 10, "cosine, warm-up 0.1"),
        ("orpo_llama_2_7b", 0.2, 8e-6, 10, "cosine, warm-up 0.1"),
    ],
)
def test_orpo_is_trained_as_its_authors_say(
    name: str, weight: float, rate: float, epochs: float, course: str
) -> None:
    orpo = configs(name)["orpo"]
    assert (orpo.lambda_, orpo.learning_rate, orpo.epochs) == (weight, rate, epochs)
    assert (orpo.nll_scope, orpo.schedule_in_words()) == ("prompt+response", course)


def test_zephyr_is_the_same_alone_and_beside_orpo() -> None:
    alone, beside = configs("zephyr_7b"), configs("orpo_mistral_7b")
    assert {name: alone[name] for name in ("sft", "dpo")} == {name: beside[name] for name in ("sft", "dpo")}


def test_a_name_in_a_folder_means_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_file("papers/zephyr_7b", "comparison").parent == shipped("pipelines") / "papers"
