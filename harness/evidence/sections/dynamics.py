"""How log-probs moved during training: the probe's series as figures and as a table."""

from __future__ import annotations

from collections import defaultdict

from harness.evidence.costs import arm_cost
from harness.evidence.view import ComparisonView
from harness.tables import Cell, Figure, Panel, Series, Table

OLD_PROBE_PAIRS = 64  # in records that do not say how many
PROBE = ("probe_logp_chosen", "probe_logp_rejected", "probe_log_odds_margin")


def probe_series(view: ComparisonView, arm: str, metric: str) -> Series | None:
    """Mean over seeds against optimizer steps, stages one after the other; the band is min to max."""
    points: dict[int, list[float]] = defaultdict(list)
    for cell in view.cells_of(arm):
        offset = 0
        for digest in cell.stages:
            rows = [r for r in view.series.get(digest, []) if metric in r["metrics"]]
            for row in rows[(1 if offset else 0) :]:
                points[offset + row["step"]].append(row["metrics"][metric])
            offset += max((r["step"] for r in rows), default=0)
    if not points:
        return None
    steps = sorted(points)
    return Series(
        label=arm,
        x=tuple(float(s) for s in steps),
        y=tuple(sum(points[s]) / len(points[s]) for s in steps),
        low=tuple(min(points[s]) for s in steps),
        high=tuple(max(points[s]) for s in steps),
    )


def log_prob_figure(view: ComparisonView) -> Figure:
    """Chosen and rejected log-probs side by side."""
    return Figure(
        "log_probs",
        "Held-out log-probs during training",
        (
            _panel(view, "probe_logp_chosen", "Chosen answers", "mean log-prob per token (nats)"),
            _panel(view, "probe_logp_rejected", "Rejected answers", "mean log-prob per token (nats)"),
        ),
        f"Mean over the same {_probed(view)} held-out pairs and over seeds; bands from the lowest to the "
        "highest seed. The stages of an arm follow one another.",
        _sources(view),
    )


def margin_figure(view: ComparisonView) -> Figure:
    """The log-odds margin of the odds-ratio term, for every arm."""
    return Figure(
        "log_odds_margin",
        "Log-odds margin during training",
        (_panel(view, "probe_log_odds_margin", "Log-odds margin", "log odds ratio (nats)"),),
        "log odds of the chosen minus that of the rejected answer (Hong et al. 2024, eq. 4), held out.",
        _sources(view),
    )


def score_figure(view: ComparisonView, metric: str) -> Figure:
    """One point a seed: a score against the FLOPs that it took."""
    series = []
    for arm in view.arms:
        scores, flops = view.item_means(arm, metric), arm_cost(view, arm, "flops").per_seed
        if scores and len(scores) == len(flops):
            series.append(Series(arm, tuple(flops), tuple(scores)))
    panel = Panel(metric, "training FLOPs", metric, tuple(series), kind="scatter", x_kind="flops")
    return Figure("score_against_flops", "Score against FLOPs", (panel,), "One point a seed.", _sources(view))


def dynamics_table(view: ComparisonView) -> Table:
    """Log-probs of held-out answers at the start, early and at the end of every arm."""
    columns = (
        "arm",
        "rejected: start",
        "rejected: highest",
        "rejected: end",
        "chosen: end",
        "log-odds margin: start",
        "log-odds margin: end",
    )
    rows = []
    for arm in view.arms:
        rejected, chosen, margin = (probe_series(view, arm, m) for m in (PROBE[1], PROBE[0], PROBE[2]))
        if rejected and chosen and margin:
            sources = tuple(d for c in view.cells_of(arm) for d in c.stages)
            values = (rejected.y[0], max(rejected.y), rejected.y[-1], chosen.y[-1], margin.y[0], margin.y[-1])
            rows.append((Cell(arm), *(Cell(v, "number", digits=3, sources=sources) for v in values)))
    return Table(
        "dynamics",
        "Held-out log-probs during training",
        columns,
        tuple(rows),
        (f"Nats per token, mean over {_probed(view)} held-out pairs and over seeds.",),
    )


def _probed(view: ComparisonView) -> int:
    """How many held-out pairs the probes scored."""
    rows = (row for rows in view.series.values() for row in rows)
    found = (row["metrics"]["probe_pairs"] for row in rows if "probe_pairs" in row["metrics"])
    return int(next(found, min(OLD_PROBE_PAIRS, view.prepared.test_pairs)))


def _panel(view: ComparisonView, metric: str, title: str, label: str) -> Panel:
    series = [probe_series(view, arm, metric) for arm in view.arms]
    return Panel(title, "optimizer steps", label, tuple(s for s in series if s is not None))


def _sources(view: ComparisonView) -> tuple[str, ...]:
    return tuple(d for cell in view.record.plan.cells for d in cell.stages)
