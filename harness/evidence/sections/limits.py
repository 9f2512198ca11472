"""What a run cannot show, and what its figures rest on, in sentences."""

from __future__ import annotations

from harness.evidence.costs import memory_kind
from harness.evidence.sections.throughput import spoilt
from harness.evidence.view import ComparisonView


def limits(view: ComparisonView) -> tuple[str, ...]:
    """One sentence for each limit that this run has."""
    found = []
    if len(view.seeds) == 1:
        found.append(
            "One seed: differences between arms cannot be told from differences between "
            "seeds. Item-level intervals speak of this one seed; times have no interval."
        )
    elif len(view.seeds) < 5:
        found.append(
            f"{len(view.seeds)} seeds: only large differences are detectable; the smallest "
            "ones stand beside each verdict."
        )
    if view.random_weights:
        found.append("Random weights: time, memory and FLOPs are real, quality is not measured.")
    if memory_kind(view) == "host_rss":
        found.append(
            "CPU: memory is the host's resident peak with everything imported, and never VRAM; "
            "claims about GPU memory need a GPU. CPU times say little about GPU times."
        )
    disturbed = spoilt(view)
    if disturbed:
        named = "; ".join(disturbed[:2]) + ("; ..." if len(disturbed) > 2 else "")
        found.append(
            f"Times and energy of {len(disturbed)} training stage(s) were disturbed ({named}); the table "
            "of conditions has all of them."
        )
    for arm in view.record.plan.spec["arms"]:
        if arm.get("seed_offset"):
            found.append(
                f"{arm['name']} trains at seeds {arm['seed_offset']} further on: where it is another arm "
                "again, a difference is found by chance, as in 5% of such runs by design."
            )
    if view.source == "embedded":
        found.append(
            "The embedded world is made by code to show that the path works; nothing about "
            "real models or real text follows from it."
        )
    if view.record.plan.spec.get("fell_back"):
        found.append(
            "Full settings did not fit this GPU: every arm trained by the comparison's "
            "`if_too_large` settings, which are the ones recorded."
        )
    spread = {c.detail for c in view.record.parity if c.check == "tuning_trials"}
    found.append(f"Hyper-parameters: tuning trials per arm: {', '.join(spread)}.")
    own = view.prepared.sft_data
    found.append(
        "SFT trained on "
        + (
            "external data: " + ", ".join(f"{a} on {s}" for a, s in own.items())
            if own
            else "the chosen answers of the same pairs"
        )
        + "."
    )
    return tuple(found)
