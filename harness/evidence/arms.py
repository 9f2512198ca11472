"""What an arm is: the methods of its stages as the run recorded them, and a title made of theirs."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from harness import registry
from harness.evidence.view import ComparisonView
from harness.records import HeadKind, Implementation, Method, ReferenceHolder, StageResult, TrainFacts

# Passes over a body's weights for one sequence: forward and backward, and forward alone.
TRAINED = {"full": 6, "lora": 4}
FORWARD = 2


def method_name(view: ComparisonView, stage: StageResult) -> str:
    """The name of a training stage's method, as YAML has it."""
    return str(view.record.plan.stages[stage.digest].config.get("method", stage.name))


def method_of(view: ComparisonView, stage: StageResult) -> Method | None:
    """What the method said of itself in this run; None where it is not known.

    Runs that recorded nothing of it are read with what the method of this name says today.
    """
    return stage.facts_as(TrainFacts).about or _installed(method_name(view, stage))


def _installed(name: str) -> Method | None:
    """The `ABOUT` of an installed method, None where there is no such method any more."""
    if name not in registry.names("methods"):
        return None
    try:
        about = getattr(registry.load("methods", name), "ABOUT", None)
    except ImportError:
        return None
    return about if isinstance(about, Method) else None


def method_title(view: ComparisonView, stage: StageResult) -> str:
    """The method's title, or its name where it has none."""
    about = method_of(view, stage)
    return about.title if about else method_name(view, stage)


def training_stages(view: ComparisonView, arm: str) -> list[StageResult]:
    """The arm's training stages at its first seed, in order; a replayed arm has none."""
    cells = view.cells_of(arm)
    return view.stages_of(cells[0]) if cells else []


def arm_titles(view: ComparisonView, joint: str = " then ") -> dict[str, str]:
    """A title by arm: its methods one after the other, with its name where arms share them."""
    titles = {arm: _methods_in_words(view, arm, joint) for arm in view.arms}
    shared = Counter(titles.values())
    return {arm: title if shared[title] == 1 else f"{title} ({arm})" for arm, title in titles.items()}


def _methods_in_words(view: ComparisonView, arm: str, joint: str) -> str:
    stages = training_stages(view, arm)
    return joint.join(method_title(view, stage) for stage in stages) or arm


def trains_on_pairs(view: ComparisonView, arm: str) -> bool:
    """Whether some stage of the arm learns from rejected answers too; unknown methods count as such."""
    known = [method_of(view, stage) for stage in training_stages(view, arm)]
    return any(about is None or about.data == "pairs" for about in known)


def passes_per_pair(view: ComparisonView, stage: StageResult) -> Fraction | None:
    """Passes over the body's weights for one pair, all sequences of one length; None if not known, or where a
    stage answers prompts itself.

    A trained sequence takes 6 (4 with LoRA, whose frozen weights need no gradient of their own), a
    reference's forward 2, in the loop or before it.
    """
    about = method_of(view, stage)
    if about is None or about.data == "prompts":
        return None
    tuning = stage.facts_as(TrainFacts).tuning or "full"
    each = TRAINED[tuning] + (FORWARD if about.reference else 0)
    return Fraction(about.sequences_per_pair * each + about.forwards_per_pair * FORWARD)


REFERENCES = {
    ReferenceHolder.COPY: "in the loop, a frozen copy",
    ReferenceHolder.ADAPTER: "in the loop, a frozen adapter",
    ReferenceHolder.BASE: "in the loop, adapter off",
    ReferenceHolder.NOWHERE: "computed before training",
}


def reference_in_words(facts: TrainFacts) -> str:
    """When a stage's reference scores the pairs, and what holds its weights meanwhile."""
    return REFERENCES[facts.reference.holder] if facts.reference else "none"


def layout_in_words(facts: TrainFacts) -> str | None:
    """How a stage's micro-batches stood in memory; None where it did not say."""
    layout = facts.layout
    if layout is None:
        return None
    if not layout.flat:
        return "padded to their longest sequence"
    once = ", a pair's prompt computed once" if layout.shared_prompt else ""
    again = ", one activation of three of gated layers made again" if layout.gates_recomputed else ""
    return f"laid out in one row without padding outside attention{once}{again}"


def ran_on_trl(stage: StageResult) -> bool:
    """Whether TRL's code trained the stage: its trainers, or its fused head, as in records of version 1."""
    facts = stage.facts_as(TrainFacts)
    fused = facts.head is not None and facts.head.kind == HeadKind.FUSED
    return fused or facts.implementation in (Implementation.STOCK, None)


def uses_lora(view: ComparisonView, stage: StageResult) -> bool:
    """Whether the stage trained adapters."""
    config = view.record.plan.stages[stage.digest].config.get("config") or {}
    return stage.facts_as(TrainFacts).tuning == "lora" or bool(config.get("lora"))
