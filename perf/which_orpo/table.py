"""The tables of docs/which_orpo.md, from what was answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from perf.which_orpo.asked import Answer
from perf.which_orpo.attributed import IMPLEMENTATIONS, Attributed
from perf.which_orpo.world import NEAR_ZERO

Answers = Mapping[str, Answer | str]
Ways = Mapping[str, Attributed]


def row(cells: Iterable[object]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    return "\n".join([row(head), row("---" for _ in head), *map(row, rows)])


def summary(answers: Answers, ways: Ways) -> str:
    """What each implementation gives, and how much of its distance is not explained."""
    head = ["implementation", "versions", "loss", "gradient away from ours", "left: loss", "left: gradient"]
    rows = []
    for name, (asked, _) in IMPLEMENTATIONS.items():
        answer = answers[name]
        if isinstance(answer, str):
            rows.append([asked.title, f"not measured: {answer}", *[""] * 4])
            continue
        way = ways[name]
        left = [f"{way.loss_left:.1e}", f"{way.gradient_left:.1e}"]
        versions = ", ".join(f"{package} {version}" for package, version in answer.versions.items())
        rows.append([asked.title, versions, f"{answer.loss:.6f}", f"{way.apart:.2%}", *left])
    return table(head, rows)


def steps(answers: Answers, ways: Ways) -> str:
    """Every choice between ours and theirs, one at a time."""
    ours = answers["ours"]
    assert isinstance(ours, Answer), ours
    rows: list[Sequence[object]] = []
    for name, way in ways.items():
        before = ours.loss
        for step in way.steps:
            change = f"{step.loss - before:+.6f}"
            title = IMPLEMENTATIONS[name][0].title
            rows.append([title, step.kind, step.words, change, f"{step.moved:.2%}"])
            before = step.loss
    return table(["implementation", "kind", "what is done otherwise", "loss", "gradient moves by"], rows)


def stability(answers: Answers) -> str:
    """Term and slope where the chosen answer's tokens are almost sure."""
    head = ["mean log-prob of chosen", *(f"{mean:g}" for mean in NEAR_ZERO)]
    rows = []
    for name, (asked, _) in IMPLEMENTATIONS.items():
        answer = answers[name]
        if not isinstance(answer, str) and not asked.says:
            cells = [f"{term}, {slope}" for term, slope in answer.near_zero]
            rows.append([asked.title, *cells])
    return table(head, rows)
