"""What the search shows, in sentences; and what it cannot show."""

from __future__ import annotations

from collections.abc import Sequence

from harness.evidence.cells import score_format
from harness.evidence.findings import Findings
from harness.evidence.sections.tuning_leads import TRIALS, Lead, estimated_in_words, leads, sure_in_words
from harness.evidence.statistics.near_best import difference
from harness.evidence.statistics.verdict import is_separable
from harness.evidence.tuned import POINT, Search, score_of
from harness.evidence.wording import title_of
from harness.records import TuningRecord
from harness.tables import Cell
from harness.units import plain, rounded

SAMPLERS = {"random": "drawn at random", "tpe": "drawn by TPE, which learns from the trials before"}
PRUNERS = {"none": "none was ended early", "median": "the median rule could end one early"}
PRUNERS["hyperband"] = "hyperband could end one early"
SUPPORTED, CONTRADICTED, NOT_SEPARABLE = "supported", "contradicted", "not separable"


def words(findings: Findings, found: Sequence[Search]) -> tuple[str, ...]:
    """How it was searched, what it found, who is ahead when, two claims with their verdicts, and limits."""
    pair = findings.primary
    by_arm = {one.arm: one for one in found}
    told = [how(found), _best(findings, found)]
    if pair is not None and pair.a in by_arm and pair.b in by_arm:
        a, b = by_arm[pair.a], by_arm[pair.b]
        told += [_ahead(findings, a, b), _fewer(findings, a, b), _stabler(findings, a, b)]
    told += [_counting(found), _cannot(found[0].tuning)]
    return tuple(sentence for sentence in told if sentence)


def how(found: Sequence[Search]) -> str:
    """How the settings were searched, and what became of the winners; of at least one search."""
    tuning = found[0].tuning
    counts = {len(one.trials) for one in found}
    each = ", ".join(f"{one.arm} {len(one.trials)}" for one in found)
    trials = f"{counts.pop()} trials an arm" if len(counts) == 1 else f"trials by arm: {each}"
    budget = {
        "trials": "",
        "flops": f" within {plain(Cell(tuning.amount, 'flops'))} an arm",
        "device_seconds": f" within {plain(Cell(tuning.amount, 'seconds'))} of the device an arm",
    }[tuning.axis]
    direction = "highest" if tuning.higher_is_better else "lowest"
    return (
        f"Settings were searched before the comparison: {trials}{budget}, {SAMPLERS[tuning.sampler]} at "
        f"seed {tuning.seed}; {PRUNERS[tuning.pruner]}. The trial with the {direction} {tuning.metric} on a "
        "development split, which no score of the comparison uses, was chosen, and its settings were "
        "trained again at the comparison's seeds: every other part of this report is about those trainings."
    )


def _best(findings: Findings, found: Sequence[Search]) -> str:
    """The best score of each arm's search, and that it is flattered."""
    kind, digits = score_format(found[0].tuning.metric)
    parts = []
    for one in found:
        title, trial = title_of(findings.titles, one.arm), one.chosen
        score = None if trial is None else score_of(trial)
        known = "no trial has a score" if score is None else plain(Cell(score, kind, digits=digits))
        parts.append(f"{title} {known}")
    flattered = "higher" if found[0].tuning.higher_is_better else "lower"
    flattered = "higher" if found[0].tuning.higher_is_better else "lower"
    return (
        f"Best trials: {'; '.join(parts)}. The best of many is {flattered} than it will be on other pairs; "
        "the tables of scores have what it reaches there."
    )


def _ahead(findings: Findings, a: Search, b: Search) -> str:
    """Who is ahead by trials and by costs: by the estimate, and by intervals."""
    names = [title_of(findings.titles, one.arm) for one in (a, b)]
    told = "; ".join(_axis(findings, one) for one in leads(a, b))
    return (
        f"Of {names[0]} and {names[1]}, ahead by the expected best of what was spent (in brackets: where a "
        f"95% interval of the difference leaves out 0): {told}."
    )


def _axis(findings: Findings, one: Lead) -> str:
    by = "by number of trials" if one.axis == TRIALS else f"by {one.axis} of tuning"
    if not one.steps:
        return f"{by}, not measured: {one.reason}"

    def title(arm: str) -> str:
        return title_of(findings.titles, arm)

    return f"{by}, {estimated_in_words(one, title)} ({sure_in_words(one, title)})"


def _fewer(findings: Findings, a: Search, b: Search) -> str:
    """The claim that the first arm has fewer settings to tune."""
    left, right = (title_of(findings.titles, one.arm) for one in (a, b))
    counts = len(a.places), len(b.places)
    verdict = SUPPORTED if counts[0] < counts[1] else CONTRADICTED
    named = (", ".join(map(".".join, one.places)) for one in (a, b))
    return (
        f"Claim: {left} has fewer settings to tune than {right}. Here {verdict}, by count: {counts[0]} "
        f"({next(named)}) against {counts[1]} ({next(named)}). That is what this search space draws; which "
        "settings are worth drawing is a choice of who wrote it."
    )


def _stabler(findings: Findings, a: Search, b: Search) -> str:
    """The claim that the first arm is more stable to tune: more of its trials come near its best."""
    left, right = (title_of(findings.titles, one.arm) for one in (a, b))
    claim = f"Claim: {left} is more stable to tune than {right}"
    if not a.scores or not b.scores or a.near.value is None or b.near.value is None:
        reason = a.near.reason or b.near.reason if a.scores and b.scores else "no trial has a score"
        return f"{claim}. Not measured: {reason}."
    if why := a.why_unsure:
        return f"{claim}. Not judged: {why}, so that their share near the best is no share of the space."
    gap = difference(a.near, b.near)
    assert gap.value is not None
    assert gap.p is not None
    verdict = NOT_SEPARABLE
    if is_separable(gap):
        verdict = SUPPORTED if gap.value > 0 else CONTRADICTED
    shares = (
        f"{round(one.near.value * one.near.n)} of {one.near.n}"
        for one in (a, b)
        if one.near.value is not None
    )
    figure = plain(Cell(gap.value, "points", digits=0))
    return (
        f"{claim}. Here {verdict}: {next(shares)} other trials lie within {POINT:g} of its best against "
        f"{next(shares)}, a difference of {figure} (p = {rounded(gap.p, 3)} by Boschloo's exact test, "
        "unpaired and unadjusted). An arm that is equally bad everywhere counts as stable, and so does one "
        "whose space is narrow."
    )


def _counting(found: Sequence[Search]) -> str:
    """How trials count that ended early or failed, where there are some."""
    ended, failed = sum(one.ended_early for one in found), sum(one.failed for one in found)
    told = []
    if ended:
        told.append(
            f"{ended} trial{'s' * (ended > 1)} ended early and count{'s' * (ended == 1)} what had been "
            "reached by then (a pruner that met them in another order might have let them go on)"
        )
    if failed:
        told.append(
            f"{failed} {'have' if failed > 1 else 'has'} no score and count{'s' * (failed == 1)} as the "
            "worst of all trials, since the budget was spent"
        )
    return f"Of all trials, {'; '.join(told)}." if told else ""


def _cannot(tuning: TuningRecord) -> str:
    """What one search does not show."""
    return (
        f"What this cannot show: it is one search space, one draw of trials (seed {tuning.seed}) and one "
        "training of each, so that the luck of a training is part of what trials differ by. Intervals are "
        "about other draws from this space, and not about other spaces, models or data. So few trials "
        "hardly bound what one more could have found, so that a crossing is seldom sure. Nothing here was "
        "registered as a question."
    )
