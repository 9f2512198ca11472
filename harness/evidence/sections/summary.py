"""The first page: what was registered, each answer, at what cost, how sure."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.answers import scored_before
from harness.evidence.contrasts import Contrast
from harness.evidence.costs import MemoryKind, cost_ratio, cost_title, memory_kind, share_of_imports
from harness.evidence.diverged import diverged_seeds
from harness.evidence.failures import failures
from harness.evidence.findings import Findings
from harness.evidence.primary import headline_score
from harness.evidence.registered import family_in_words, family_size
from harness.evidence.sections.limits import missing
from harness.evidence.sections.updates import changed_in_bfloat16
from harness.evidence.view import ComparisonView
from harness.evidence.wording import percent, sentence
from harness.quantities import FLOPS, PEAK_MEMORY, WALL_SECONDS
from harness.records import ParityCheck


def title(findings: Findings) -> str:
    """`A against B: NAME`, of the two arms that the comparison is about."""
    pair, name = findings.primary, findings.view.record.name
    if pair is None:
        return f"{', '.join(findings.titles.values())}: {name}"
    return f"{findings.titles[pair.a]} against {findings.titles[pair.b]}: {name}"


def summary(findings: Findings) -> tuple[str, ...]:
    """What failed, the registered answers, every one and nothing beside, what the arms took, how sure it is.

    Without registered questions one exploratory sentence about the primary arms stands in their place.
    """
    told = registered_answers(findings) if findings.answers else (_exploratory(findings),)
    return *failures(findings.view.record), *told, _cost(findings), _sureness(findings)


def registered_answers(findings: Findings) -> tuple[str, ...]:
    """A sentence on what was registered, and one an answer in the comparison file's order."""
    view, family = findings.view, family_in_words(findings.answers)
    answers = (sentence(view, findings.titles, one, family) for one in findings.answers)
    silent = all(one.is_cost for one in findings.answers)
    rest = (
        ("No question about a score was registered, so nothing is said of quality here.",) if silent else ()
    )
    return _registered(findings), *answers, *rest


def _registered(findings: Findings) -> str:
    """How many questions there are, when they were asked, and what is adjusted over them."""
    count, tested = len(findings.answers), family_size(findings.answers)
    were = f"{count} question{'s were' if count > 1 else ' was'} registered"
    earlier, runs = scored_before(findings.view)
    if earlier:
        when = f"after {earlier} scoring stage(s) of {', '.join(runs)} had finished"
        were += f" {when}, so every answer here is exploratory"
    else:
        were += " before the run"
    look = findings.view.look
    over = [f"the {tested} that are tested together"] if tested > 1 else []
    over += [f"{len(look.weights)} looks, of which this is number {look.number}"] if look is not None else []
    if not over:
        return f"{were}."
    adjusted = f"Verdicts and p values are adjusted over {' and '.join(over)}"
    return f"{were}. {adjusted}; each interval is of one question{' and look' if look else ''} alone."


def _exploratory(findings: Findings) -> str:
    """The primary arms on the first score that they share."""
    pair, titles = findings.primary, findings.titles
    if pair is None:
        alone = next(iter(titles.values()))
        return f"This comparison holds one arm, {alone}, so there is nothing to compare it with."
    unknown = f"Whether {titles[pair.a]} is better than {titles[pair.b]} was not measured"
    if findings.view.random_weights:
        return f"{unknown}: training began from random weights."
    one = headline(findings)
    if one is None:
        return f"{unknown}: no benchmark scored both."
    return f"Exploratory, since no question was registered: {sentence(findings.view, titles, one)}"


def headline(findings: Findings) -> Contrast | None:
    """The primary arms on the score that they are compared by first, seen from the first of them."""
    pair = findings.primary
    if pair is None or findings.view.random_weights:
        return None
    score = headline_score(findings.view, pair)
    for one in findings.contrasts:
        if one.quantity == score and one.estimate.value is not None:
            if (one.a, one.b) == (pair.a, pair.b):
                return one
            if (one.a, one.b) == (pair.b, pair.a):
                return one.turned()
    return None


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
    caveat = f" ({percent(imports, 0)} or more of it imports)" if imports is not None else ""
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
        between = " (no interval)" if quantity.timed else ""
        if ratio.low is not None and ratio.high is not None and ratio.low != ratio.high:
            between = (
                f" (95% interval about {ratio.target}: {percent(ratio.low, 0)} to {percent(ratio.high, 0)})"
            )
        parts.append(f"{percent(ratio.value, 0)} of its {name}{between}")
    return f"{parts[0]}, {parts[1]} and {parts[2]}"


def _sureness(findings: Findings) -> str:
    seeds, prepared = len(findings.view.seeds), findings.view.prepared
    return (
        f"This rests on {seeds} seed{'s' if seeds > 1 else ''}, {prepared.train_pairs:,} training pairs and "
        f"{prepared.test_pairs:,} held-out pairs, and {'; '.join(_doubts(findings))}."
    )


def broken_parity(view: ComparisonView) -> list[ParityCheck]:
    """The checks that failed and touch a figure."""
    return [one for one in view.record.parity if one.equal is False and (one.stops or one.touches)]


def _doubts(findings: Findings) -> Iterator[str]:
    """What the answers rest on less surely than the intervals say; parity always."""
    view, pair = findings.view, findings.primary
    unequal = ", ".join(one.check for one in broken_parity(view))
    yield f"parity was broken in: {unequal}" if unequal else "no parity check failed"
    if missing(view, pair):
        yield "more items of one arm than of the other could not be read"
    diverged = diverged_seeds(view, pair.a, pair.b) if pair else []
    if diverged:
        yield f"training of one of the two arms diverged at seed {', '.join(map(str, diverged))}"
    shares = changed_in_bfloat16(view)
    if shares:
        least, most = percent(min(shares.values()), 2), percent(max(shares.values()), 2)
        yield f"weights were held in bfloat16, where {least} to {most} of them changed at all"
