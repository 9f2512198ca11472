"""Evidence in sentences: the verdict, and the figure with its unit, interval and what that is about."""

from __future__ import annotations

from collections.abc import Mapping

from harness.evidence.answers import Answer
from harness.evidence.cells import difference_format
from harness.evidence.contrasts import Contrast
from harness.evidence.costs import cost_title
from harness.evidence.registered import SEPARABLE, is_counted
from harness.evidence.statistics.estimate import POPULATION_TARGET, Estimate
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import BASE, ComparisonView
from harness.evidence.wins import Wins, wins_of
from harness.quantities import cost_of, is_win_rate
from harness.tables import Cell
from harness.units import plain, rounded

Evidence = Answer | Contrast
MOST_DIGITS = 6
UNIT = " points"
OF_ONE_ARM = frozenset({*SEPARABLE, Outcome.LESS, Outcome.MORE, Outcome.NOT_WORSE})
OF_BOTH_ARMS = frozenset({Outcome.NOT_SEPARABLE, Outcome.EQUAL})


def sentence(view: ComparisonView, titles: Mapping[str, str], one: Evidence, family: str = "") -> str:
    """`A is better than B on SCORE: figure (interval, p).`; `family` is what an answer's p is adjusted
    over."""
    a, b = (title_of(titles, arm) for arm in (one.a, one.b))
    if one.estimate.value is None:
        return f"Whether {a} is better than {b} {_thing(view, one)} was not measured: {one.estimate.reason}."
    figure = _of_cost(one, one.estimate.value, b) if _is_cost(one) else _of_score(view, one, a, b)
    claim = _claim(view, one, a, b)
    return f"{claim}{';' if ':' in claim else ':'} {figure}{_evidence(one)}{_why_not(one, family)}."


def title_of(titles: Mapping[str, str], arm: str) -> str:
    """An arm's title; the model before training has one too."""
    return titles.get(arm, "the base model" if arm == BASE else arm)


def excludes_equal(one: Evidence) -> bool:
    """Whether the interval, unadjusted, leaves out that the arms are equal."""
    low, high = one.estimate.low, one.estimate.high
    return low is not None and high is not None and not low <= (1.0 if _is_cost(one) else 0.0) <= high


def _is_cost(one: Evidence) -> bool:
    return cost_of(one.quantity) is not None


def _thing(view: ComparisonView, one: Evidence) -> str:
    cost = cost_of(one.quantity)
    return f"on {one.quantity}" if cost is None else f"in {cost_title(view, cost)}"


def _claim(view: ComparisonView, one: Evidence, a: str, b: str) -> str:
    """The verdict's own words around the two arms."""
    outcome, text, thing = one.verdict.outcome, one.verdict.text, _thing(view, one)
    rest = text.removeprefix(outcome.value)
    if outcome in OF_ONE_ARM and rest != text:
        return f"{a} is {outcome.value} than {b} {thing}{rest}"
    if outcome in OF_BOTH_ARMS and rest != text:
        return f"{a} and {b} are {outcome.value} {thing}{rest}"
    if outcome == Outcome.IDENTICAL:
        if _is_cost(one):
            return f"{a} and {b} are equal {thing}"
        if duel(view, one) is not None:
            return f"Every answer of {a} is tied with that of {b} {thing}"
        return f"{a} and {b} are equal on every item of {one.quantity}"
    return f"{a} against {b} {thing}: {text}"


def _of_cost(one: Evidence, ratio: float, b: str) -> str:
    judged = is_counted(one.quantity) and one.verdict.outcome != Outcome.NOT_JUDGED
    if not judged:
        return f"{percent(ratio)} of {b}'s"
    return f"{counted_percent(ratio)} of {b}'s, which is counted and not tested"


def _of_score(view: ComparisonView, one: Evidence, a: str, b: str) -> str:
    """The difference; before it, of answers that met each other, how they did."""
    value = one.estimate.value
    assert value is not None
    difference = signed(one.quantity, value)
    counts = duel(view, one)
    if counts is not None:
        return f"{in_words(counts, a, 0.5 + value)}, {difference} from one half"
    if is_win_rate(one.quantity):
        return f"a difference of {difference} between win rates against {view.rival_of(one.quantity)}"
    return f"a difference of {difference}"


def duel(view: ComparisonView, one: Evidence) -> Wins | None:
    """How the answers of `a` did against those of `b`, where a win rate is between the two."""
    rival = view.rival_of(one.quantity)
    if not is_win_rate(one.quantity) or rival not in (one.a, one.b):
        return None
    counts = wins_of(view, one.a if rival == one.b else one.b, one.quantity)
    return counts if counts is None or rival == one.b else counts.turned()


def in_words(counts: Wins, arm: str, rate: float) -> str:
    """`ARM's answers were preferred in ..., tied in ... and lost in ...: win rate ...`."""
    judged, expected = counts.judged, counts.prompts * counts.seeds
    over = f"{counts.prompts:,} prompts" + (f" x {counts.seeds} seeds" if counts.seeds > 1 else "")
    of = over if judged == expected else f"the {judged:,} of {expected:,} that were judged ({over})"
    won, tied, lost = (percent(count / judged) for count in (counts.won, counts.tied, counts.lost))
    if counts.soft:
        return (
            f"mean preference for {arm}'s answers {percent(rate)} (above one half in {won}, at it in {tied}, "
            f"below it in {lost} of {of})"
        )
    return (
        f"{arm}'s answers were preferred in {won}, tied in {tied} and lost in {lost} of {of}, a win rate of "
        f"{percent(rate)} (ties count half)"
    )


def percent(value: float, digits: int = 1) -> str:
    """A share or a ratio, rounded as tables round."""
    return plain(Cell(value, "percent", digits=digits))


def counted_percent(ratio: float) -> str:
    """A ratio of counted costs, with as many decimals as tell one that is not 100% from 100%."""
    digits = 1
    while ratio != 1 and digits < MOST_DIGITS and percent(ratio, digits) == percent(1.0, digits):
        digits += 1
    return percent(ratio, digits)


def signed(quantity: str, value: float) -> str:
    """A difference with its sign and unit: `+4.60 points` of a share, `-0.105` of another score."""
    kind, digits = difference_format(quantity)
    return ("+" if value > 0 else "") + plain(Cell(value, kind, digits=digits))


def _evidence(one: Evidence) -> str:
    """Interval, what it is about, and p, in brackets."""
    parts = [part for part in (_interval(one), _p(one)) if part]
    return f" ({'; '.join(parts)})" if parts else ""


def _interval(one: Evidence) -> str:
    value = one.estimate
    if is_counted(one.quantity) or one.verdict.outcome == Outcome.IDENTICAL:
        return ""
    if value.low is None or value.high is None:
        why = value.reason if value.reason and value.reason not in one.verdict.text else "no interval"
        return f"{why}; about {about(value)}"
    if _is_cost(one):
        bounds = f"{percent(value.low)} to {percent(value.high)}"
    else:
        low, high = signed(one.quantity, value.low), signed(one.quantity, value.high)
        bounds = f"{low.removesuffix(UNIT)} to {high}"
    return f"95% interval about {about(value)}: {bounds}"


def about(value: Estimate) -> str:
    """What an interval is about; one seed says nothing of the next."""
    again = " and not of training again" if value.target == POPULATION_TARGET else ""
    return f"{value.target}{again}"


def _p(one: Evidence) -> str:
    if one.estimate.identical:
        return ""
    if not isinstance(one, Answer):
        p = one.estimate.p
        return "" if p is None else f"unadjusted p{_below(p)}"
    if one.verdict.outcome == Outcome.NOT_WORSE and one.p_not_worse is not None:
        return f"adjusted p of being worse by the margin{_below(one.p_not_worse)}"
    return "" if one.p is None else f"adjusted p{_below(one.p)}"


def _below(p: float) -> str:
    return f" = {rounded(p, 3)}" if p >= 0.0005 else " < 0.001"


def _why_not(one: Evidence, family: str) -> str:
    """Why an interval that leaves out no difference separates nothing."""
    if not isinstance(one, Answer) or one.estimate.identical:
        return ""
    if one.verdict.outcome in SEPARABLE or not excludes_equal(one):
        return ""
    excluded = "100%" if one.is_cost else "zero"
    return f"; the interval excludes {excluded}, but over {family} together that is not separable"


def without_folders(name: str) -> str:
    """A hub's name as it is; of a path its last part."""
    path = name.removeprefix("config:").rstrip("/")
    return path.rpartition("/")[2] if path.startswith(("/", "./", "../", "~")) else path
