"""What stands under a paper's tables, so that they can be read without the text around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.evidence.costs import MemoryKind, memory_kind
from harness.evidence.documents.bibliography import TITLES
from harness.evidence.documents.paper_columns import Column, display_names
from harness.evidence.findings import Findings
from harness.evidence.labels import unequal
from harness.evidence.registered import is_counted, questions_in_words
from harness.evidence.sections.throughput import unreliable
from harness.evidence.view import ComparisonView
from harness.evidence.wording import without_folders
from harness.quantities import COST, FLOPS, PEAK_MEMORY, cost_of, is_win_rate
from harness.tables import Cell
from harness.units import plain


def main_notes(
    findings: Sequence[Findings], columns: Sequence[Column], rows: Iterable[Sequence[Cell]]
) -> list[str]:
    """Model, data and seeds; how costs and scores were measured; what bold and marks mean."""
    views = [one.view for one in findings]
    cells = [cell for row in rows for cell in row]
    notes = [_setting(view) for view in views] if len(views) == 1 else [_settings(views)]
    notes += [*_costs(views, columns), *_scores(views, columns)]
    if any(cell.low is not None for cell in cells):
        notes.append(_intervals(views))
    if any(cell.bold for cell in cells):
        notes.append(_bold(findings, columns))
    notes += _unequal(views, columns)
    if any(cell.value is None for cell in cells):
        notes.append("--: not measured.")
    return notes


def _setting(view: ComparisonView) -> str:
    seeds = _counted(len(view.seeds), "seed")
    if view.replayed:
        return f"Published outputs of {view.source}, {seeds}."
    start = "Random weights of" if view.random_weights else "Model:"
    return (
        f"{start} {short_model(view)}; data: {view.prepared.train_pairs:,} preference pairs of "
        f"{without_folders(view.source)}, {view.prepared.test_pairs:,} held out; {seeds}."
    )


def _settings(views: Sequence[ComparisonView]) -> str:
    """Data and seeds, once where the runs have them alike."""
    data = list(
        dict.fromkeys(
            view.source
            if view.replayed
            else f"{view.prepared.train_pairs:,} pairs of {without_folders(view.source)}"
            for view in views
        )
    )
    counts = sorted({len(view.seeds) for view in views})
    seeds = _counted(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"
    return f"Data: {'; '.join(data)}; {seeds} each."


def short_model(view: ComparisonView) -> str:
    """A model by the last part of its name."""
    name = str(view.record.plan.spec.get("model", "replayed")).rstrip("/")
    return name.rpartition("/")[2].removeprefix("config:")


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' if count != 1 else ''}"


def _costs(views: Sequence[ComparisonView], columns: Sequence[Column]) -> list[str]:
    """What each cost is, where a column shows it."""
    shown = [(cost_of(column.quantity), column) for column in columns]
    costs = list(dict.fromkeys(cost for cost, _ in shown if cost is not None))
    if not costs:
        return []
    devices = dict.fromkeys(
        stage.environment.device_name
        for view in views
        for cell in view.record.plan.cells
        for stage in view.stages_of(cell)
    )
    said = []
    for cost in costs:
        if cost == FLOPS:
            said.append("FLOPs: counted, of all training")
        elif cost == PEAK_MEMORY:
            on_host = any(memory_kind(view) == MemoryKind.HOST for view in views)
            said.append(f"memory: peak {'of the host' if on_host else 'of allocated GPU memory'}")
        elif cost.timed:
            what = "from model load to the final checkpoint" if cost.unit == "s" else "of the same phases"
            said.append(f"{cost.word}: {what}, all stages")
    text = "; ".join(said)
    ratios = "; ratios of time are geometric means" if any(column.is_ratio for column in columns) else ""
    disturbed = unreliable(views) if any(cost.timed for cost in costs) else []
    return [f"{text[0].upper()}{text[1:]}, on {' and '.join(devices)}{ratios}.", *disturbed]


def _scores(views: Sequence[ComparisonView], columns: Sequence[Column]) -> list[str]:
    """Each score's benchmark and judge."""
    said = []
    for column in columns:
        if cost_of(column.quantity) is None:
            benchmark = column.quantity.rpartition(".")[0].partition("/")[0].partition("@")[0]
            judges = ", ".join(_judges(views, column.quantity))
            ties = ", ties count half" if is_win_rate(column.quantity) else ""
            judged = f", judged by {judges}" if judges else ""
            said.append(f"{column.words}: {TITLES.get(benchmark, benchmark)}{judged}{ties}")
    return [f"{'; '.join(said)}."] if said else []


def _judges(views: Sequence[ComparisonView], metric: str) -> list[str]:
    named = (
        score.settings.get("judge")
        for view in views
        for (_, name), (_, score) in view.written.items()
        if name == metric
    )
    return [str(judge) for judge in dict.fromkeys(named) if judge]


def _intervals(views: Sequence[ComparisonView]) -> str:
    if all(len(view.seeds) > 1 for view in views):
        return "Means over seeds, in brackets 95% t intervals over seeds."
    if all(len(view.seeds) == 1 for view in views):
        return "In brackets: 95% intervals about the population of items at this seed."
    return "In brackets: 95% t intervals over seeds; at one seed, about the population of items."


def _bold(findings: Sequence[Findings], columns: Sequence[Column]) -> str:
    """What bold rests on: adjusted answers where questions were registered."""
    asked = next((one.answers for one in findings if one.answers), ())
    how = f"adjusted over {questions_in_words(asked)} where registered" if asked else "unadjusted"
    counted = any(is_counted(column.quantity) for column in columns)
    rest = "; counted costs are not tested" if counted else ""
    return f"Bold: separably better than every other row, {how}{rest}."


def _unequal(views: Sequence[ComparisonView], columns: Sequence[Column]) -> list[str]:
    """Which inequalities between arms touch what is shown."""
    checks = dict.fromkeys(
        f"{column.title} ({check.check})"
        for view in views
        for column in columns
        for check in unequal(view, column.quantity)
    )
    return [f"Arms were not on equal terms in what these rest on: {', '.join(checks)}."] if checks else []


def answer_notes(findings: Findings, pair: tuple[str, str] | None) -> list[str]:
    """What the effects, p values and verdicts of the registered questions are."""
    asked, names = findings.answers, display_names(findings.view)
    costs = [one for one in asked if one.quantity.startswith(COST)]
    parts = ["differences of scores" if len(costs) < len(asked) else "", "ratios of costs" if costs else ""]
    effects = " and ".join(part for part in parts if part)
    of = "" if pair is None else f", {names.get(pair[0], pair[0])} against {names.get(pair[1], pair[1])}"
    notes = [
        _setting(findings.view),
        f"Effects: {effects}{of}, with 95% intervals.",
        f"p: of the verdict, adjusted over {questions_in_words(asked)}.",
    ]
    if any((cost := cost_of(one.quantity)) is not None and cost.timed for one in costs):
        notes += unreliable([findings.view])
    margins = {one.margin for one in asked}
    if len(margins) == 1 and asked[0].margin is not None:
        notes.append(f"Not worse: within a margin of {plain(Cell(asked[0].margin, 'points', digits=0))}.")
    return notes
