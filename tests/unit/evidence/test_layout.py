"""How evidence/ is built: imports go down only, no circle, and no arm or method is known by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[3] / "harness"
EVIDENCE = HARNESS / "evidence"
FLOORS = {"statistics": 0, "": 1, "sections": 2, "documents": 3}
NAMES = re.compile(r"\b(orpo|dpo|sft|sft_dpo|simpo|kto|cpo)\b|[._](orpo|dpo|sft)\b", re.IGNORECASE)
TITLES_OF_PAPERS = {"bibliography.py"}


def modules() -> dict[str, Path]:
    """Dotted names below `harness.evidence`, packages left out."""
    files = [path for path in sorted(EVIDENCE.rglob("*.py")) if path.stem != "__init__"]
    return {".".join(path.relative_to(EVIDENCE).with_suffix("").parts): path for path in files}


def floor(module: str) -> int:
    return FLOORS[module.rpartition(".")[0]]


def imported(path: Path) -> set[str]:
    """Modules of evidence/ that a file imports, at its top or within a function."""
    known = modules()
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {short for name in names if (short := name.removeprefix("harness.evidence.")) in known}


def test_imports_within_evidence_go_down_only() -> None:
    wrong = [
        f"{module} imports {other}"
        for module, path in modules().items()
        for other in imported(path)
        if floor(other) > floor(module)
    ]
    assert wrong == []


def test_there_is_no_circle() -> None:
    arrows = {module: imported(path) for module, path in modules().items()}
    done: set[str] = set()

    def visit(module: str, on_the_way: tuple[str, ...]) -> None:
        assert module not in on_the_way, " -> ".join([*on_the_way, module])
        if module not in done:
            for other in arrows[module]:
                visit(other, (*on_the_way, module))
            done.add(module)

    for module in arrows:
        visit(module, ())


def test_statistics_know_nothing_of_runs() -> None:
    for path in (EVIDENCE / "statistics").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("harness"):
                assert str(node.module).startswith("harness.evidence.statistics"), path.name


def strings(path: Path) -> Iterator[str]:
    """Every string of a file's code; docstrings and comments are no code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = set()
    for node in ast.walk(tree):
        for inner in getattr(node, "body", []) if not isinstance(node, ast.Lambda | ast.IfExp) else []:
            if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
                told.add(id(inner.value))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.mark.parametrize("room", ["evidence", "render"])
def test_no_arm_and_no_method_is_known_by_name(room: str) -> None:
    known = [
        f"{path.relative_to(HARNESS)}: {text!r}"
        for path in sorted((HARNESS / room).rglob("*.py"))
        if path.name not in TITLES_OF_PAPERS
        for text in strings(path)
        if NAMES.search(text.replace("orpo-harness", ""))
    ]
    assert known == []


def test_the_search_for_names_finds_them(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(
        '"""orpo in a docstring"""\nA = "orpo"\nB = f"SFT then {A}"\nC = x["win_rate_vs_sft_dpo"]\n'
    )
    assert [text for text in strings(path) if NAMES.search(text)] == [
        "orpo",
        "SFT then ",
        "win_rate_vs_sft_dpo",
    ]


def test_modules_own_one_thing_each() -> None:
    long = {name: n for name, path in modules().items() if (n := len(path.read_text().splitlines())) > 250}
    assert long == {}
