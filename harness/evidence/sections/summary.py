"""The first page: what was asked, and the answer: better or not, at what cost, how sure."""

from __future__ import annotations

from harness.evidence.answers import Answer, scored_before
from harness.evidence.contrasts import Contrast
from harness.evidence.costs import MemoryKind, cost_ratio, cost_title, memory_kind, share_of_imports
from harness.evidence.findings import Findings
from harness.evidence.primary import Primary, headline_score
from harness.evidence.sections.updates import changed_in_bfloat16
from harness.evidence.statistics.estimate import POPULATION_TARGET
from harness.evidence.statistics.verdict import Outcome
from harness.evidence.view import ComparisonView
from harness.quantities import FLOPS, PEAK_MEMORY, WALL_SECONDS, is_win_rate

Evidence = Answer | Contrast


def title(findings: Findings) -> str:
    """`A against B: NAME`, of the two arms that the comparison is about."""
    pair, name = findings.primary, findings.view.record.name
    if pair is None:
        return f"{', '.join(findings.titles.values())}: {name}"
    return f"{findings.titles[pair.a]} against {findings.titles[pair.b]}: {name}"


def summary(findings: Findings) -> tuple[str, str, str]:
    """Exactly three sentences."""
    pair = findings.primary
    if pair is None:
        alone = next(iter(findings.titles.values()))
        first = f"This comparison holds one arm, {alone}, so there is nothing to compare it with."
    else:
        first = _quality(findings, pair)
    return first, _cost(findings), _sureness(findings.view)


def _quality(findings: Findings, pair: Primary) -> str:
    a, b = findings.titles[pair.a], findings.titles[pair.b]
    unknown = f"Whether {a} is better than {b} was not measured"
    if findings.view.random_weights:
        return f"{unknown}: training began from random weights."
    asked = [one for one in findings.answers if (one.a, one.b) == (pair.a, pair.b) and not one.is_cost]
    headline = headline_score(findings.view, pair)
    if asked:
        first = _first_measured(asked, headline)
        if first is None:
            return f"{unknown}: {asked[0].estimate.reason}."
        rest = [one for one in asked if one is not first]
        amount = _how_much(findings.view, first)
        return f"{_opening(first, a, b)}: {amount}{_also_asked(rest)}{_registered(findings.view)}."
    one = _contrast(findings, pair, headline)
    if one is None:
        return f"{unknown}: no benchmark scored both."
    amount = _how_much(findings.view, one)
    return f"{_opening(one, a, b)}: {amount}; no question about it was registered, so this is exploratory."


def _first_measured(asked: list[Answer], headline: str | None) -> Answer | None:
    """The answer about the headline's score where it was asked, else the first that has a value."""
    measured = [one for one in asked if one.estimate.value is not None]
    return next((one for one in measured if one.quantity == headline), next(iter(measured), None))


def _contrast(findings: Findings, pair: Primary, headline: str | None) -> Contrast | None:
    """The two arms on the headline's score, seen from the first of them."""
    for one in findings.contrasts:
        if one.quantity == headline and one.estimate.value is not None:
            if (one.a, one.b) == (pair.a, pair.b):
                return one
            if (one.a, one.b) == (pair.b, pair.a):
                return one.turned()
    return None


def _opening(one: Evidence, a: str, b: str) -> str:
    outcome, text = one.verdict.outcome, one.verdict.text
    if outcome == Outcome.NOT_SEPARABLE:
        return f"{a} and {b} are not separable here"
    if outcome == Outcome.IDENTICAL:
        return f"{a} and {b} give identical results here"
    if outcome in (Outcome.HIGHER, Outcome.LOWER):
        return f"{a} lies {text} than {b} here"
    if outcome == Outcome.NOT_WORSE:
        return f"{a} is not worse than {b} here{text.removeprefix('not worse')}"
    return f"{a} is {outcome} than {b} here{text.removeprefix(outcome)}"


def _how_much(view: ComparisonView, one: Evidence) -> str:
    """The difference with its interval, and what this n could have found where it found nothing."""
    value = one.estimate
    assert value.value is not None
    text = f"{one.quantity} differs by {value.value:+.3f}"
    if is_win_rate(one.quantity) and view.rival_of(one.quantity) in (one.a, one.b):
        text = (
            f"{one.a} wins {0.5 + value.value:.1%} of answers against {one.b}, {value.value:+.3f} from equal"
        )
    if value.low is not None and value.high is not None:
        text += f" (95% {value.low:+.3f} to {value.high:+.3f})"
    if isinstance(one, Answer) and one.p is not None:
        text += f", adjusted p = {one.p:.3f}" if one.p >= 0.0005 else ", adjusted p < 0.001"
    if value.target == POPULATION_TARGET:
        text += ", which speaks of the items at this one seed and not of training again"
    if value.detectable is not None and one.verdict.outcome == Outcome.NOT_SEPARABLE:
        text += f"; the smallest difference found with 80% power at n = {value.n} is {value.detectable:.3f}"
    return text


def _also_asked(rest: list[Answer]) -> str:
    if not rest:
        return ""
    return "; also registered: " + ", ".join(f"{one.quantity} {one.verdict.outcome}" for one in rest)


def _registered(view: ComparisonView) -> str:
    """What speaks against these questions having been asked first."""
    count, _ = scored_before(view)
    return "; scores were there before the questions, so this is exploratory" if count else ""


def _cost(findings: Findings) -> str:
    """What the primary arms took of what the cost reference took."""
    view, pair = findings.view, findings.primary
    reference = view.cost_reference
    if reference not in view.arms:
        return f"Relative costs are not measured: {reference} is not in this comparison."
    compared = [arm for arm in ((pair.a, pair.b) if pair else ()) if arm != reference]
    if not compared:
        return "With one arm there are no relative costs."
    imports = share_of_imports(view) if memory_kind(view) == MemoryKind.HOST else None
    caveat = f" ({imports:.0%} or more of it imports)" if imports is not None else ""
    shares = ", and ".join(f"{findings.titles[arm]} took {_shares(view, arm)}{caveat}" for arm in compared)
    return f"Against {findings.titles[reference]} (100%), {shares}."


def _shares(view: ComparisonView, arm: str) -> str:
    parts = []
    for quantity in (WALL_SECONDS, FLOPS, PEAK_MEMORY):
        ratio = cost_ratio(view, arm, view.cost_reference, quantity)
        name = cost_title(view, quantity)
        if ratio.value is None:
            parts.append(f"a share of its {name} that was not measured")
            continue
        between = ""
        if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
            between = f" (95% {ratio.low:.0%} to {ratio.high:.0%})"
        parts.append(f"{ratio.value:.0%} of its {name}{between}")
    return f"{parts[0]}, {parts[1]} and {parts[2]}"


def _sureness(view: ComparisonView) -> str:
    seeds, prepared = len(view.seeds), view.prepared
    unequal = [
        check.check for check in view.record.parity if check.equal is False and (check.stops or check.touches)
    ]
    parity = f"parity was broken in: {', '.join(unequal)}" if unequal else "no parity check failed"
    shares = changed_in_bfloat16(view)
    if shares:
        least, most = min(shares.values()), max(shares.values())
        parity += f"; weights were held in bfloat16, where {least:.2%} to {most:.2%} of them changed at all"
    return (
        f"This rests on {seeds} seed{'s' if seeds > 1 else ''}, {prepared.train_pairs:,} training pairs and "
        f"{prepared.test_pairs:,} held-out pairs, and {parity}."
    )
