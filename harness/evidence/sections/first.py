"""The first page: the question, a short line an answer, what makes them less sure, what to do next."""

from __future__ import annotations

from collections.abc import Iterator

from harness.evidence.answers import scored_before
from harness.evidence.diverged import diverged_seeds
from harness.evidence.findings import Findings
from harness.evidence.interruptions import interrupted
from harness.evidence.next_steps import out_flag, power_command
from harness.evidence.sections.limits import missing
from harness.evidence.sections.summary import broken_parity, headline
from harness.evidence.sections.throughput import unreliable
from harness.evidence.sections.updates import changed_in_bfloat16
from harness.evidence.short import is_open, short_line
from harness.evidence.wording import Evidence, percent
from harness.tables import FirstPage

EXPLORATORY = "Exploratory:"
"""How the warning begins that no answer was asked for before its results."""


def first_page(findings: Findings) -> FirstPage | None:
    """None where one arm alone stands, of which nothing can be asked."""
    view, pair = findings.view, findings.primary
    if pair is None:
        return None
    a, b = findings.titles[pair.a], findings.titles[pair.b]
    model = str(view.record.plan.spec.get("model", "")).rstrip("/").rpartition("/")[2]
    seeds = f"{len(view.seeds)} seed{'s' if len(view.seeds) > 1 else ''}"
    rests = f"{view.prepared.train_pairs:,} training and {view.prepared.test_pairs:,} held-out pairs"
    question = f"Is {a} better than {b}, and at what cost? Model {model}, {rests}, {seeds}."
    shown: list[Evidence] = [*findings.answers]
    if not shown and (alone := headline(findings)) is not None:
        shown = [alone]
    lines = tuple(short_line(view, findings.titles, one, pair) for one in shown)
    return FirstPage(question, lines, tuple(_warnings(findings)), tuple(_next_steps(findings)))


def _warnings(findings: Findings) -> Iterator[str]:
    """What touches the answers, the gravest first."""
    view, pair = findings.view, findings.primary
    yield from findings.warnings
    if failed := broken_parity(view):
        yield f"The arms were not on equal terms: {', '.join(one.check for one in failed)}."
    if view.random_weights:
        yield "Training began from random weights: quality is not measured."
    if shares := changed_in_bfloat16(view):
        least = percent(min(shares.values()), 2)
        yield f"Weights were held in bfloat16: in one stage only {least} of them changed at all."
    diverged = diverged_seeds(view, pair.a, pair.b) if pair else []
    if diverged:
        yield f"Training diverged at seed {', '.join(map(str, diverged))}."
    if missing(view, pair):
        yield "More items of one arm than of the other could not be read."
    yield from unreliable([view])
    if view.mixed_fleet:
        yield f"Seeds ran on {len(view.kinds_of_device)} kinds of device: times stand by kind."
    yield from interrupted([view])
    yield from _exploratory(findings)
    if len(view.seeds) == 1:
        yield "One seed: another training may differ by more than the intervals say."
    if view.source == "embedded":
        yield "Embedded model and data: a demonstration, from which nothing follows for real models."


def _exploratory(findings: Findings) -> Iterator[str]:
    if not findings.answers:
        yield f"{EXPLORATORY} no question was registered before the run."
    elif scored_before(findings.view)[0]:
        yield f"{EXPLORATORY} scores were there before the questions were asked."


def _next_steps(findings: Findings) -> Iterator[str]:
    record, out = findings.view.record, out_flag(findings.root)
    more = power_command(record.command)
    if more and any(is_open(one) for one in findings.answers):
        yield f"Seeds that would settle it: {more}"
    yield f"MLflow: harness ui{out}"
    yield f"For a paper: harness paper {record.id} --style acl{out}"
    yield f"A figure's runs: harness trace {record.id} 'TABLE ROW COLUMN'{out}"
