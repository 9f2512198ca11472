"""A paragraph on how it was done, with what it cites: written from the record, so that it is true of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.evidence.aggregates import definitions
from harness.evidence.answers import scored_before
from harness.evidence.arms import (
    arm_titles,
    layout_in_words,
    method_of,
    method_title,
    ran_on_trl,
    reference_in_words,
    training_stages,
    uses_lora,
)
from harness.evidence.costs import MemoryKind, memory_kind
from harness.evidence.documents import bibliography
from harness.evidence.engine import answers_in_words
from harness.evidence.failures import lost_seeds
from harness.evidence.findings import Findings
from harness.evidence.sections.devices import in_methods as of_several_devices
from harness.evidence.sections.tuning_words import how
from harness.evidence.sequence import looks_in_words
from harness.evidence.view import ComparisonView
from harness.evidence.wording import without_folders
from harness.records import Citation, HeadKind, Implementation, StageResult, TrainFacts
from harness.tables import Reference, Statement

T = TypeVar("T")
TRAINERS = {
    Implementation.MATCHED: "{} ran as matched methods, which share data path, log-prob head and logging.",
    Implementation.STOCK: "{} ran on TRL's own trainer.",
    Implementation.OWN: "{} ran on a trainer of its own.",
}
HEADS = {
    HeadKind.CHUNKED: "at scored positions only, in chunks",
    HeadKind.FUSED: "by a fused head",
    HeadKind.FULL_LOGITS: "from full logits",
}
ENDS = "Where at least half of the values are one, a pseudo-item at each end of the scale keeps them honest."
EXPLORATORY = "All other verdicts are unadjusted and exploratory."


@dataclass(frozen=True)
class Passage:
    """A sentence or more, and what it cites."""

    text: str
    cites: tuple[Citation, ...] = ()


def methods(findings: Findings) -> tuple[tuple[Statement, ...], tuple[Reference, ...]]:
    """Model and data, arms, measurement, scoring and statistics, a statement each; and the bibliography."""
    view = findings.view
    if view.replayed:
        outputs = f"Published outputs and judgments of {', '.join(view.arms)} were scored again"
        passages = [Passage(f"{outputs}; nothing was trained."), _statistics(view)]
    else:
        trained = [_arms(findings), _implementations(view), _references(view), _costs(view)]
        rest = [_tuned(findings), _scores(view), _aggregates(view), _statistics(view)]
        passages = [_data(findings), *trained, *rest]
    kept = [passage for passage in passages if passage.text]
    statements = tuple(Statement(p.text, tuple(citation.key for citation in p.cites)) for p in kept)
    return statements, bibliography.cited(citation for passage in kept for citation in passage.cites)


def _data(findings: Findings) -> Passage:
    view = findings.view
    spec, prepared = view.record.plan.spec, view.prepared
    start = "random weights of the configuration" if view.random_weights else "the model"
    held_out = f"{prepared.test_pairs:,} held out"
    if prepared.validation_pairs is not None:
        held_out += f" for the test, {prepared.validation_pairs:,} more for early stopping"
    at = f"at seed{'s' if len(view.seeds) > 1 else ''} {', '.join(map(str, view.seeds))}"
    text = (
        f"All arms start from {start} {without_folders(str(spec.get('model')))} and train on the same "
        f"{prepared.train_pairs:,} preference pairs of {without_folders(view.source)} "
        f"({held_out}), tokenised once, {at}"
    )
    for arm, source in prepared.sft_data.items():
        text += f"; the first stage of {arm} trains on {source} instead"
    for arm in spec["arms"]:
        if arm.get("seed_offset"):
            text += f"; {arm['name']} trains at seeds {arm['seed_offset']} further on"
    return Passage(f"{text}{lost_seeds(view.record)}.")


def _arms(findings: Findings) -> Passage:
    view = findings.view
    stages = _stages(view)
    arms = arm_titles(view, "+").values()
    known = [method_of(view, stage) for stage in stages]
    cites = [citation for about in known if about is not None for citation in about.cites]
    adapted = [uses_lora(view, stage) for stage in stages]
    tail = ""
    if any(adapted):
        cites.append(bibliography.HU_2022)
        tail = ", with LoRA adapters" if all(adapted) else ", some stages with LoRA adapters"
    joined = "; a plus joins stages that follow each other" if any("+" in arm for arm in arms) else ""
    opening = "The arm is" if len(arms) == 1 else "The arms are"
    return Passage(f"{opening} {listed(arms)}{tail}{joined}.", tuple(dict.fromkeys(cites)))


def _stages(view: ComparisonView) -> list[StageResult]:
    """Every training stage at its arm's first seed, each once."""
    return list({s.digest: s for arm in view.arms for s in training_stages(view, arm)}.values())


def _implementations(view: ComparisonView) -> Passage:
    """Trainer, head and scored tokens of each method; only what was recorded."""
    trainers = _grouped(view, lambda facts: facts.implementation)
    sentences = [TRAINERS[one].format(listed(titles)) for one, titles in trainers.items()]
    if len(trainers.get(Implementation.MATCHED, [])) > 1:
        sentences.append("Between matched methods the code differs in the loss alone.")
    heads = _grouped(view, lambda facts: HEADS[facts.head.kind] if facts.head else None)
    sentences += _sentence("Log-probs are computed", heads)
    sentences += _sentence("Micro-batches are", _grouped(view, layout_in_words))
    scopes = _grouped(view, lambda facts: facts.nll_scope.replace("+", " and ") if facts.nll_scope else None)
    sentences += _sentence("The NLL covers the", scopes)
    cites = (bibliography.VON_WERRA_2020,) if Implementation.STOCK in trainers else ()
    return Passage(" ".join(sentences), cites)


def _references(view: ComparisonView) -> Passage:
    """Which methods read a reference, and when it scores the pairs."""
    modes = _grouped(view, lambda facts: reference_in_words(facts) if facts.reference else None)
    return Passage(" ".join(_sentence("Reference log-probs:", modes)))


def _grouped(view: ComparisonView, read: Callable[[TrainFacts], T | None]) -> dict[T, list[str]]:
    """Titles of the methods that recorded each value, with the arm where a method recorded several."""
    seen = []
    for arm in view.arms:
        for stage in training_stages(view, arm):
            value = read(stage.facts_as(TrainFacts))
            if value is not None:
                seen.append((method_title(view, stage), arm, value))
    values_of: dict[str, set[T]] = {}
    for title, _, value in seen:
        values_of.setdefault(title, set()).add(value)
    groups: dict[T, list[str]] = {}
    for title, arm, value in seen:
        name = title if len(values_of[title]) == 1 else f"{title} of {arm}"
        if name not in groups.setdefault(value, []):
            groups[value].append(name)
    return groups


def _sentence(opening: str, groups: Mapping[str, Sequence[str]]) -> list[str]:
    """`OPENING value (A and B); other value (C).`; nothing where nothing was recorded."""
    parts = [f"{value} ({listed(titles)})" for value, titles in groups.items()]
    return [f"{opening} {'; '.join(parts)}."] if parts else []


def _costs(view: ComparisonView) -> Passage:
    stages = _stages(view)
    devices = dict.fromkeys(stage.environment.device_name for stage in stages)
    environment = stages[0].environment
    libraries = ("torch", "transformers", *(["trl"] if any(map(ran_on_trl, stages)) else []))
    named = [name for name in libraries if name in environment.versions]
    versions = ", ".join(f"{name} {environment.versions[name]}" for name in named)
    memory = (
        "peak memory is the host's resident peak, reset after imports"
        if memory_kind(view) == MemoryKind.HOST
        else "peak memory is CUDA's peak of allocated bytes"
    )
    cites = (bibliography.VON_WERRA_2020,) if "trl" in named else ()
    return Passage(
        f"Every stage ran in a process of its own on {listed(devices)} ({versions}). Training time "
        "runs from model load to the final checkpoint, any reference pass included; FLOPs are counted on "
        f"real steps and checked against their formula; {memory}.{of_several_devices(view)}",
        (*cites, bibliography.KAPLAN_2020),
    )


def _tuned(findings: Findings) -> Passage:
    """How settings were searched; nothing where they were not."""
    cites = (bibliography.DODGE_2019, bibliography.TANG_2020)
    return Passage(how(findings.searches), cites) if findings.searches else Passage("")


def _scores(view: ComparisonView) -> Passage:
    if view.random_weights or not view.metrics():
        return Passage("")
    names = dict.fromkeys(
        metric.partition(".")[0].partition("/")[0].partition("@")[0] for metric in view.metrics()
    )
    cites = dict.fromkeys(citation for name in names for citation in bibliography.BENCHMARKS.get(name, ()))
    judges = dict.fromkeys(
        str(score.settings["judge"]) for _, score in view.written.values() if score.settings.get("judge")
    )
    orders = dict.fromkeys(
        str(score.settings["orders"]) for _, score in view.written.values() if score.settings.get("orders")
    )
    judged = f" Judges: {', '.join(judges)}" if judges else ""
    judged += f"; orders of a pair: {', '.join(orders)}." if judges and orders else "." if judges else ""
    scored = ", ".join(bibliography.TITLES.get(name, name) for name in names)
    return Passage(f"Scores: {scored}.{answers_in_words(view)}{judged}", tuple(cites))


def _aggregates(view: ComparisonView) -> Passage:
    """What each aggregate of scores is, by the comparison file."""
    return Passage("" if view.random_weights else " ".join(definitions(view).values()))


def _statistics(view: ComparisonView) -> Passage:
    family, adjusted = _family(view)
    if len(view.seeds) == 1:
        return Passage(
            "Arms are compared on the same items at one seed: intervals are Student's over items, or over "
            f"clusters of items that share something. {ENDS} Nothing follows for training again.{family}",
            adjusted,
        )
    looks = looks_in_words(view)
    spending = (bibliography.JENNISON_2000,) if looks else ()
    return Passage(
        f"Arms are compared on the same items, with paired t intervals over {len(view.seeds)} seeds; "
        "intervals about the population of items too come from a two-level analysis with Satterthwaite's "
        f"degrees of freedom; ratios of time are geometric means. {ENDS}{family}{looks}",
        (bibliography.SATTERTHWAITE_1946, *adjusted, *spending),
    )


def _family(view: ComparisonView) -> tuple[str, tuple[Citation, ...]]:
    """How the registered questions are adjusted and tested, and what all other verdicts are."""
    asked = view.questions
    if not asked:
        return " No question was registered: every verdict is unadjusted and exploratory.", ()
    questions = f"{len(asked)} registered question{'s' if len(asked) > 1 else ''}"
    text = f" One closed test adjusts all that is said of the {questions}"
    cites = (bibliography.MARCUS_1976, bibliography.HOLM_1979)
    if all(question.margin is None for question in asked):
        return f"{text}. {EXPLORATORY}", cites
    earlier, _ = scored_before(view)
    when = "were set when scores were there already" if earlier else "were set before the run"
    text += f"; margins {when}, and equivalence is tested by two one-sided tests. {EXPLORATORY}"
    return text, (*cites, bibliography.SCHUIRMANN_1987)


def listed(names: Iterable[str]) -> str:
    """`A`, `A and B`, `A, B and C`; of at least one name."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last
