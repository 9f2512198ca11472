"""Every format shows a comparison of arms that nobody foresaw: title, citation, ratios."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from few import few
from synthetic import make_view

from harness import registry
from harness.evidence.documents.comparison import build_report
from harness.evidence.documents.many import many_report
from harness.evidence.documents.paper import build_paper
from harness.pipeline.claims import load_claims
from harness.render import latex

CASES = {
    "foreign": ({"sft": ["sft"], "sft_dpo": ["sft", "dpo"], "mine": ["simpo"]}, "mine", "sft_dpo"),
    "variants": ({"orpo": ["orpo"], "orpo_whole": ["whole"]}, "orpo_whole", "orpo"),
    "simpo and dpo": ({"a": ["sft", "simpo"], "b": ["sft", "dpo"]}, "a", "b"),
    "no preferences": ({"long": ["sft"], "mine": ["simpo"]}, "mine", "long"),
}
TITLES = {
    "foreign": "SimPO against SFT then DPO",
    "variants": "ORPO (orpo_whole) against ORPO (orpo)",
    "simpo and dpo": "SFT then SimPO against SFT then DPO",
    "no preferences": "SimPO against SFT",
}


@pytest.fixture(scope="module", params=few(CASES, "foreign"))
def case(request: Any, tmp_path_factory: Any) -> tuple[str, Path]:
    folder = Path(tmp_path_factory.mktemp("foreign"))
    arms, a, b = CASES[request.param]
    questions = [
        {"quantity": "preference.accuracy", "a": a, "b": b, "margin": 0.05},
        {"quantity": "cost.wall_seconds", "a": a, "b": b, "margin": None},
    ]
    spec = {"baseline": b, "cost_reference": b, "questions": questions}
    view = make_view(arms=arms, seeds=(0, 1, 2), **spec)
    report = build_report(view, load_claims())
    latex.render_paper(build_paper([view]), "plain", folder)
    for name in registry.names("formats"):
        registry.load("formats", name).render(report, folder)
    return request.param, folder


def test_every_format_names_the_arms_by_what_they_are(case: tuple[str, Path]) -> None:
    name, folder = case
    title = TITLES[name]
    assert (folder / "report.md").read_text().startswith(f"# {title}: made".replace("_", r"_"))
    assert f"<h1>{title}: made</h1>" in (folder / "report.html").read_text()
    data = json.loads((folder / "comparison.json").read_text())
    arms, a, b = CASES[name]
    assert data["primary"] == {"a": a, "b": b}
    assert f"{data['arms'][a]['title']} against {data['arms'][b]['title']}" == title
    macros = (folder / "macros.tex").read_text()
    named = title.replace(" then ", "+").replace("_", r"\_\allowbreak{}")
    first, second = named.split(" against ")
    assert rf"\newcommand{{\primaryArm}}{{{first}}}" in macros
    assert rf"\newcommand{{\primaryRival}}{{{second}}}" in macros
    assert (folder / "cells.parquet").stat().st_size > 0
    assert {path.stem for path in (folder / "figures").glob("*.svg")} >= {"log_probs", "quality_against_cost"}
    assert set(data["arms"]) == set(arms)


def test_every_format_cites_what_the_methods_cite(case: tuple[str, Path]) -> None:
    name, folder = case
    wanted = {
        "foreign": {"ouyang2022", "rafailov2023", "meng2024"},
        "variants": {"hong2024"},
        "simpo and dpo": {"ouyang2022", "rafailov2023", "meng2024"},
        "no preferences": {"ouyang2022", "meng2024"},
    }[name]
    for file in ("references.bib", "methods.tex", "report.md", "report.html"):
        text = (folder / file).read_text()
        for key in ("ouyang2022", "rafailov2023", "meng2024", "hong2024"):
            assert (key in text) == (key in wanted), (file, key)


def test_ratios_are_those_of_the_arms(case: tuple[str, Path]) -> None:
    name, folder = case
    file = folder / "tables" / "ratios.csv"
    wanted = {
        "foreign": ["0.5454545454545454", "0.75"],
        "variants": ["1.0"],
        "simpo and dpo": ["0.8181818181818182", "0.75"],
        "no preferences": None,
    }[name]
    if wanted is None:
        assert not file.exists()
        return
    rows = [line.split(",") for line in file.read_text().splitlines()]
    place = rows[0].index("body FLOPs at equal lengths and epochs")
    assert [row[place] for row in rows[1:]] == wanted


def test_several_runs_of_other_arms_stand_side_by_side(tmp_path: Path) -> None:
    arms, a, b = CASES["foreign"]
    views = [make_view(arms=arms, model=model) for model in ("small", "large")]
    report = many_report(views)
    assert "SimPO against SFT then DPO in every run" in [section.title for section in report.sections]
    table = next(table for table in report.tables() if table.name == "runs_differences")
    assert {(row[4].value, row[5].value) for row in table.rows} == {(a, b)}
    other = make_view(arms=CASES["variants"][0], baseline="orpo", cost_reference="orpo", model="m")
    mixed = many_report([views[0], other])
    assert "The primary arms in every run" in [section.title for section in mixed.sections]
    for name in registry.names("formats"):
        registry.load("formats", name).render(mixed, tmp_path)
