"""Which results a plan can use as they are, and why a stage that was finished runs again."""

from __future__ import annotations

from harness.records import Plan, RehearseEvaluateFacts, RehearseFacts, StageResult
from harness.store.cleaned import read_cleaned
from harness.store.run_dir import RunRoot


def ran_out_of_memory(result: StageResult) -> bool:
    """Whether this is a rehearsal that did not fit: a measurement of its moment, and never reused."""
    return isinstance(result.facts, RehearseFacts | RehearseEvaluateFacts) and result.facts.out_of_memory


def reusable(root: RunRoot, plan: Plan, digest: str) -> StageResult | None:
    """The result of a finished stage, else None.

    One whose weights were cleaned away is as good as finished until a stage that needs them has to run.
    """
    done = root.finished(digest)
    if done is not None:
        return done
    cleaned = root.cleaned(digest)
    if cleaned is None:
        return None
    followers = [d for d in plan.order if digest in plan.stages[d].needs.values()]
    found = [reusable(root, plan, follower) for follower in followers]
    whole = all(one is not None and not ran_out_of_memory(one) for one in found)
    return cleaned if whole else None


def why_again(root: RunRoot, digest: str) -> list[str]:
    """What happened to a stage that was finished once: damage, or its weights were cleaned away."""
    lines = [
        f"runs again, since {file} {what} after it was finished" for file, what in root.damage(digest).items()
    ]
    note = read_cleaned(root.stage_folder(digest)) if root.cleaned(digest) is not None else None
    if note is not None:
        what = " and ".join(f"{name}/" for name in note.folders)
        lines.append(
            f"runs again, since {what} was cleaned away on {note.at[:10]} and a stage that is to run needs it"
        )
    return lines
