"""What a learned reward was worth, and whether a policy that was trained on it earned its rewards
honestly."""

from __future__ import annotations

from harness.evidence.findings import Findings
from harness.evidence.view import ComparisonView
from harness.records import RewardFacts, StageResult, TrainFacts
from harness.tables import Cell, Section, Table

NO_JUDGE = "no judge knows these data by its own rules"
ORDERED = (
    "Held-out pairs, of which the reward model orders so many as their labels do, and so many of those that "
    "the data's own judge grades apart as that judge does.",
)
EARNED = (
    "Start and end are means over the first and the last fifth of the steps, of answers that the policy "
    "sampled: their learned reward, what the data's own judge says of the same answers, which teaches "
    "nothing, and Spearman's correlation of the two over the answers of a step. A reward that rises while "
    "the grade falls, or while the two come apart, is exploited.",
)
SERIES = {
    "reward": "learned reward",
    "judge_grade": "judge's grade",
    "reward_grade_correlation": "their correlation",
    "kl": "KL (nats a token)",
    "completion_length": "answer's tokens",
}


def section(findings: Findings) -> Section | None:
    """None where no stage trained or read a reward."""
    tables = tuple(t for t in (worth_table(findings.view), earned_table(findings.view)) if t.rows)
    return Section("The learned reward", (), tables) if tables else None


def worth_table(view: ComparisonView) -> Table:
    """One row a stage that trained a reward."""
    columns = ("stage", "held-out pairs", "ordered as labelled", "graded apart", "ordered as graded")
    known = [(stage, _reward(stage)) for stage in view.trained_stages]
    rows = tuple(
        (
            Cell(stage.name, sources=(stage.digest,)),
            Cell(facts.pairs, "count"),
            Cell(facts.ordered, "percent", digits=1, reason="no held-out pairs", sources=(stage.digest,)),
            Cell(facts.graded_pairs, "count", reason=NO_JUDGE),
            Cell(facts.ordered_as_graded, "percent", digits=1, reason=NO_JUDGE, sources=(stage.digest,)),
        )
        for stage, facts in known
        if facts is not None and facts.pairs is not None
    )
    return Table("reward_worth", "What the reward model learned", columns, rows, ORDERED)


def earned_table(view: ComparisonView) -> Table:
    """One row a stage that learned from its own answers."""
    columns = ("stage", *(f"{title}: {end}" for title in SERIES.values() for end in ("start", "end")))
    rows = tuple(
        (Cell(stage.name, sources=(stage.digest,)), *_ends(view, stage))
        for stage in view.trained_stages
        if any("reward" in metrics for metrics in _answered(view, stage))
    )
    return Table("reward_earned", "Rewards that the policy earned", columns, rows, EARNED)


def _reward(stage: StageResult) -> RewardFacts | None:
    return stage.facts_as(TrainFacts).reward


def _answered(view: ComparisonView, stage: StageResult) -> list[dict[str, float]]:
    """The steps' metrics of a stage that answers prompts itself."""
    metrics = [row["metrics"] for row in view.series.get(stage.digest, [])]
    return [one for one in metrics if "completion_length" in one]


def _ends(view: ComparisonView, stage: StageResult) -> list[Cell]:
    """Start and end of each series; None where the stage has none."""
    steps, cells = _answered(view, stage), list[Cell]()
    fifth = max(1, len(steps) // 5)
    for name in SERIES:
        reason = NO_JUDGE if "grade" in name else "not recorded"
        for part in (steps[:fifth], steps[-fifth:]):
            values = [one[name] for one in part if name in one]
            mean = sum(values) / len(values) if values else None
            cells.append(Cell(mean, "number", digits=3, reason=reason, sources=(stage.digest,)))
    return cells
