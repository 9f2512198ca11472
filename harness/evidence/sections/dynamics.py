"""How log-probs moved during training: the probe's series as figures and as a table."""

from __future__ import annotations

from collections import defaultdict

from harness.evidence.arms import arm_titles
from harness.evidence.cells import score_format, stages_behind
from harness.evidence.costs import arm_cost
from harness.evidence.curves import probed_pairs
from harness.evidence.findings import Findings
from harness.evidence.series import banded, cloud
from harness.evidence.short import quantity_title
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, LOG_ODDS_MARGIN, LOGP_CHOSEN, LOGP_REJECTED, Quantity
from harness.records import TrainFacts
from harness.tables import Cell, Figure, Panel, Section, Series, Table

STAGES_FOLLOW = "The stages of an arm follow one another; dotted lines stand where one ends."
NATS = "mean log-prob per token (nats)"


def section(findings: Findings) -> Section:
    """Table and figures; a sentence where nothing was probed."""
    view = findings.view
    table = dynamics_table(view)
    if not any(probe_series(view, arm, LOGP_CHOSEN) for arm in view.arms):
        reasons = dict.fromkeys(why_unprobed(view, arm) for arm in view.arms)
        return Section("Training dynamics", (f"Not measured: {'; '.join(reasons)}.",))
    figures = (log_prob_figure(view), margin_figure(view))
    return Section("Training dynamics", (), (table,), tuple(f for f in figures if f.has_series))


def probe_series(view: ComparisonView, arm: str, quantity: Quantity) -> Series | None:
    """Mean over seeds against optimizer steps, stages one after the other, in the band of its interval."""
    points: dict[int, list[float]] = defaultdict(list)
    ends: set[int] = set()
    metric = quantity.name
    for cell in view.cells_of(arm):
        offset, ended_in_probe = 0, False
        for digest in cell.stages:
            series = view.series.get(digest, [])
            rows = [r for r in series if metric in r["metrics"]]
            # A stage starts as the one before it ended, so its first probe stands there already.
            for row in rows[(1 if ended_in_probe else 0) :]:
                points[offset + row["step"]].append(row["metrics"][metric])
            offset += max((r["step"] for r in series), default=0)
            ended_in_probe = bool(rows)
            if digest != cell.stages[-1]:
                ends.add(offset)
    if not points:
        return None
    steps = sorted(points)
    return banded(arm, [float(s) for s in steps], [points[s] for s in steps], sorted(map(float, ends)))


def log_prob_figure(view: ComparisonView) -> Figure:
    """Chosen and rejected log-probs side by side."""
    return Figure(
        "log_probs",
        "Held-out log-probs during training",
        (
            _panel(view, LOGP_CHOSEN, "Chosen answers", NATS),
            _panel(view, LOGP_REJECTED, "Rejected answers", NATS),
        ),
        f"Mean over the same {_probed(view)} held-out pairs and over seeds; bands: 95% t intervals over "
        f"seeds. {STAGES_FOLLOW}",
        stages_behind(view, view.arms),
    )


def margin_figure(view: ComparisonView) -> Figure:
    """The log-odds margin of chosen over rejected answers, for every arm."""
    return Figure(
        "log_odds_margin",
        "Log-odds margin during training",
        (_panel(view, LOG_ODDS_MARGIN, "Log-odds margin", "log odds ratio (nats)"),),
        "Log odds of the chosen minus that of the rejected answer (Hong et al. 2024, eq. 4), held out. "
        f"{STAGES_FOLLOW}",
        stages_behind(view, view.arms),
    )


def score_figure(view: ComparisonView, metric: str) -> Figure:
    """One point a seed: a score against the FLOPs that it took."""
    series = []
    for arm in view.arms:
        scores, flops = view.item_means(arm, metric), arm_cost(view, arm, FLOPS).per_seed
        if scores and len(scores) == len(flops):
            series.append(cloud(arm, flops, scores))
    title = quantity_title(view, arm_titles(view), metric)
    shown, _ = score_format(metric)
    names = (title, "training FLOPs", title)
    panel = Panel(*names, tuple(series), kind="scatter", x_kind=FLOPS.kind, y_kind=shown)
    sources = stages_behind(view, view.arms)
    caption = "Small: a point a seed. Large: their mean with its 95% t interval."
    return Figure("score_against_flops", "Score against FLOPs", (panel,), caption, sources)


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
        rejected, chosen, margin = (
            probe_series(view, arm, quantity) for quantity in (LOGP_REJECTED, LOGP_CHOSEN, LOG_ODDS_MARGIN)
        )
        sources = stages_behind(view, [arm])
        values: tuple[float | None, ...] = (None,) * (len(columns) - 1)
        if rejected and chosen and margin:
            values = (rejected.y[0], max(rejected.y), rejected.y[-1], chosen.y[-1], margin.y[0], margin.y[-1])
        reason = None if rejected else why_unprobed(view, arm)
        rows.append(
            (Cell(arm), *(Cell(v, "number", digits=3, reason=reason, sources=sources) for v in values))
        )
    note = f"Nats per token, mean over {_probed(view)} held-out pairs and over seeds."
    return Table("dynamics", "Held-out log-probs during training", columns, tuple(rows), (note,))


def why_unprobed(view: ComparisonView, arm: str) -> str:
    """What the arm's stages say of why no held-out pairs were scored while they trained."""
    stages = (stage for cell in view.cells_of(arm) for stage in view.stages_of(cell))
    known = (stage.facts_as(TrainFacts).probes for stage in stages)
    reasons = dict.fromkeys(one.reason for one in known if one is not None and not one.probes)
    return "; ".join(reasons) or "no held-out pairs were scored during training"


def _probed(view: ComparisonView) -> str:
    return " or ".join(map(str, probed_pairs(view)))


def _panel(view: ComparisonView, quantity: Quantity, title: str, label: str) -> Panel:
    series = [probe_series(view, arm, quantity) for arm in view.arms]
    return Panel(title, "optimizer steps", label, tuple(s for s in series if s is not None))
