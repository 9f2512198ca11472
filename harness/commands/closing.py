"""The last four lines of a comparison: verdict, cost, where the page lies, what to type next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.evidence.next_steps import out_flag, power_command
from harness.evidence.sections.first import EXPLORATORY
from harness.evidence.short import WORDS
from harness.evidence.statistics.verdict import Outcome
from harness.quantities import COST, DEVICE_SECONDS, WALL_SECONDS, cost_of
from harness.records import FailedStage
from harness.units import rounded


def print_closing(report: Path, console: Console) -> None:
    """Read `comparison.json` in the folder `report` and print the four lines."""
    data: Mapping[str, Any] = json.loads((report / "comparison.json").read_text(encoding="utf-8"))
    for line in (verdict_line(data), cost_line(data)):
        console.print(line, highlight=False, markup=False, soft_wrap=not console.is_terminal)
    for line in (f"Page: {(report / 'report.html').resolve().as_uri()}", next_line(data, report.parent)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def failed_lines(failed: Sequence[FailedStage], out: Path) -> list[str]:
    """A line for each stage that failed, and how to go on."""
    lines = [f"Failed: {one.name} {one.cause} (log: {out / one.log})" for one in failed]
    return (
        [*lines, "The same command, without --again, tries again what failed and reuses the rest."]
        if lines
        else []
    )


def verdict_line(data: Mapping[str, Any]) -> str:
    """The registered answers in the file's order, else the headline of the two primary arms."""
    answers: list[Mapping[str, Any]] = data["questions"]
    warnings = [str(text) for text in data.get("warnings", ())]
    exploratory = not answers or any(text.startswith(EXPLORATORY) for text in warnings)
    first = "Verdict (exploratory): " if exploratory else "Verdict: "
    answers = answers or _headline(data)
    if not answers:
        return "Verdict: none, since no benchmark scored two arms."
    titles = _titles(data)
    by_pair: dict[tuple[str, str], list[str]] = {}
    for one in answers:
        words = f"{_named(one['quantity'], answers)} {_in_words(one)}"
        # A question may be about an arm that was left out.
        pair = (titles.get(one["a"], one["a"]), titles.get(one["b"], one["b"]))
        by_pair.setdefault(pair, []).append(words)
    told = [f"{a} against {b}: {', '.join(words)}" for (a, b), words in by_pair.items()]
    return f"{first}{'; '.join(told)}.{_warned([w for w in warnings if not w.startswith(EXPLORATORY)])}"


def _warned(warnings: list[str]) -> str:
    """The gravest warning of the first page, and how many more stand there."""
    if not warnings:
        return ""
    rest = f" ({len(warnings) - 1} more on the page)" if len(warnings) > 1 else ""
    return f" Warning: {warnings[0]}{rest}"


def cost_line(data: Mapping[str, Any]) -> str:
    """What the primary arms took of what the cost reference took."""
    reference, titles = data["cost_reference"], _titles(data)
    if reference not in data["arms"]:
        return f"Cost: not measured against {reference}, which is not in this comparison."
    base, pair = data["arms"][reference]["cost"], data["primary"]
    shares = []
    for arm in (pair["a"], pair["b"]) if pair else data["arms"]:
        found = [] if arm == reference else _shares(data["arms"][arm]["cost"], base)
        shares += [f"{titles[arm]} took {' and '.join(found)}"] if found else []
    if not shares:
        return "Cost: there is nothing that it could be compared with."
    return f"Cost: against {titles[reference]}, {'; '.join(shares)}."


def next_line(data: Mapping[str, Any], run: Path) -> str:
    """How many seeds it takes where something stayed open, else where a figure comes from."""
    more = power_command(str(data["provenance"]["command"]))
    if more and any(one["outcome"] == Outcome.NOT_SEPARABLE for one in data["questions"]):
        return f"Next: {more}  (how many seeds would decide)"
    arm = (data["primary"] or {}).get("a") or next(iter(data["arms"]))
    out = out_flag(run.parent)
    return f'Next: harness trace {run.name} "main {arm}"{out}  (where its figures come from)'


def _shares(cost: Mapping[str, Any], base: Mapping[str, Any]) -> list[str]:
    """Time by the mean ratio over seeds, FLOPs as they were counted."""
    time = DEVICE_SECONDS.title if cost.get("time_kind") == DEVICE_SECONDS.name else WALL_SECONDS.title
    found = [f"{_percent(cost['relative'])} of the {time}"] if cost.get("relative") is not None else []
    if cost.get("flops") and base.get("flops"):
        found.append(f"{_percent(cost['flops'] / base['flops'])} of the FLOPs")
    return found


def _headline(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The first score in which the primary arms were compared."""
    pair = data["primary"]
    rows = [
        row
        for row in data["evidence"]
        if not row["quantity"].startswith(COST) and row["estimate"] is not None
    ]
    return [row for row in rows if pair and (row["a"], row["b"]) == (pair["a"], pair["b"])][:1]


def _named(quantity: str, answers: list[Mapping[str, Any]]) -> str:
    """`win rate` of `alpaca_eval.win_rate_vs_sft_dpo`; the benchmark too where two would be called alike."""
    cost = cost_of(quantity)
    if cost is not None:
        return cost.title
    alike = [one for one in answers if _short(one["quantity"]) == _short(quantity)]
    return _short(quantity) if len(alike) == 1 else f"{quantity.rpartition('.')[0]} {_short(quantity)}"


def _short(quantity: str) -> str:
    return quantity.rpartition(".")[2].partition("_vs_")[0].replace("_", " ")


def _in_words(one: Mapping[str, Any]) -> str:
    """The verdict as the first page calls it, without its figures."""
    estimate = one["estimate"] if isinstance(one["estimate"], Mapping) else one
    if one["outcome"] == Outcome.NOT_SEPARABLE and estimate["low"] is None and estimate["reason"]:
        return f"no verdict ({estimate['reason']})"
    told: str = WORDS.get(Outcome(one["outcome"])) or one["verdict"]
    return told.partition(" (")[0].partition(": ")[0]


def _titles(data: Mapping[str, Any]) -> dict[str, str]:
    return {arm: one.get("title") or arm for arm, one in data["arms"].items()}


def _percent(share: float) -> str:
    return f"{rounded(100 * share, 0)}%"
