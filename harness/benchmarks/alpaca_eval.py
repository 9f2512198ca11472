"""AlpacaEval: whose answer does a judge prefer, by alpaca_eval's own annotator and win rate.

Both orders of every pair are asked and averaged, so an inconsistent judge gives half a win.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from harness import registry
from harness.benchmarks import CheckContext, scores_of_items
from harness.benchmarks._alpaca_files import arms_in, read_items
from harness.benchmarks._alpaca_prompts import TEST, load_prompts, set_needs_hub
from harness.benchmarks._official_lc import official_lc
from harness.errors import UserError, unknown_name
from harness.generate import Answer, Prompt
from harness.judges import cache_of, judge_needs_hub, usage_of
from harness.pipeline.spec import SpecModel
from harness.pipeline.validate import validate
from harness.records import Score

Progress = Callable[[int, int, dict[str, float]], None]
OWN_ANSWERS = ("chosen", "published")


class Config(SpecModel):
    """`prompt_set`: `test` (the test split), `alpaca_eval_1`, `alpaca_eval_2`, or a .json or .jsonl file.

    `reference`: an arm (its cell of the same seed), or the answers that the prompts bring along:
    `chosen` of the test split, `published` of a set. None is the comparison's baseline for the test
    split, and `published` for a set. `head_to_head` pairs arms, the first one's wins counted.
    """

    prompt_set: str = TEST
    judge: str = "embedded"
    judge_config: dict[str, Any] = Field(default_factory=dict)
    reference: str | None = None
    head_to_head: list[tuple[str, str]] = Field(default_factory=list)
    limit: PositiveInt | None = None


def needs_hub(config: Config) -> bool:
    """Whether the prompts or the judge's own model may have to be fetched."""
    own = judge_needs_hub(registry.load("judges", config.judge), _judge_config(config))
    return own or set_needs_hub(config.prompt_set)


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for an unknown judge, a missing key, or an unknown reference arm."""
    module = registry.load("judges", config.judge, where="benchmarks.alpaca_eval.judge")
    module.check(_judge_config(config))
    asked = load_prompts(config.prompt_set, context.prepared, config.limit)
    if not asked:
        raise UserError("benchmark alpaca_eval has no prompts", remedy="give a test split")
    reference = _reference(config, context.arms[0])
    where = "benchmarks.alpaca_eval.reference"
    if reference in OWN_ANSWERS and any(prompt.reference is None for prompt in asked):
        raise UserError(
            f"prompt set {config.prompt_set} has prompts without an answer to compare with",
            where=where,
            remedy="name an arm as reference, or give rows with `output`",
        )
    if reference not in (*OWN_ANSWERS, *context.arms):
        raise unknown_name("arm", reference, [*context.arms, *OWN_ANSWERS], where=where)


def prompts(config: Config, prepared: Path) -> list[Prompt]:
    """The prompts of the set."""
    return load_prompts(config.prompt_set, prepared, config.limit)


def _reference(config: Config, baseline: str) -> str:
    return config.reference or (baseline if config.prompt_set == TEST else "published")


def score_cells(
    config: Config,
    cells: dict[str, list[Answer]],
    prepared: Path,
    out: Path,
    *,
    baseline: str,
    progress: Progress,
) -> dict[str, list[Score]]:
    """Win rate of each cell against the reference, and of the head-to-head pairs."""
    reference = _reference(config, baseline)
    judge = registry.load("judges", config.judge).make(_judge_config(config), cache_of(out))
    duels = _duels(cells, reference, config.head_to_head)
    scores: dict[str, list[Score]] = {}
    for number, (cell, rival, metric) in enumerate(duels):
        progress(number, len(duels), {})
        theirs = _own_answers(cells[cell]) if rival in OWN_ANSWERS else cells[rival]
        named = _generator(cells[cell], rival) if rival in OWN_ANSWERS else rival
        scored = _duel(judge, cells[cell], theirs, out, cell=cell, rival=named, metric=metric)
        scores.setdefault(cell, []).extend(scored)
    return scores


def replay(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores of the arms whose published annotations lie in `folder`; win rates are alpaca_eval's own."""
    get_winrate = _winrate_of_alpaca_eval()
    found = {}
    for arm, path in arms_in(folder).items():
        items, settings = read_items(path, arm.partition("@")[0])
        scores = scores_of_items(
            "alpaca_eval",
            items,
            out,
            file=f"alpaca_eval.{arm}",
            settings=settings,
            neutral=["length_difference"],
        )
        known = [{"preference": 1 + w} for i in items if (w := i["metrics"]["win_rate"]) is not None]
        rate = float(get_winrate(known)["win_rate"]) / 100 if known else None
        found[arm] = [
            s.model_copy(update={"estimate": rate}) if s.metric == "win_rate" else s for s in scores
        ]
    return found


def _judge_config(config: Config) -> Any:
    module = registry.load("judges", config.judge)
    return validate(module.Config, config.judge_config, prefix=("benchmarks", "alpaca_eval", "judge_config"))


def _duels(
    cells: dict[str, list[Answer]], reference: str, head_to_head: list[tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """(cell, rival cell, metric) of everything to be judged; a cell is not its own rival."""
    first = next((c.partition("@")[2] for c in cells if c.startswith(f"{reference}@")), None)
    duels = []
    for cell in cells:
        arm, _, seed = cell.partition("@")
        rival = reference if reference in OWN_ANSWERS else f"{reference}@{seed or first}"
        if arm != reference and (rival in OWN_ANSWERS or rival in cells):
            duels.append((cell, rival, "win_rate"))
        duels += [
            (cell, f"{b}@{seed}", f"win_rate_vs_{b}")
            for a, b in head_to_head
            if a == arm and f"{b}@{seed}" in cells
        ]
    return duels


def _own_answers(answers: list[Answer]) -> list[Answer]:
    """The answers that the prompts brought along."""
    return [Answer(**{**a.as_row(), "text": a.reference or ""}) for a in answers]


def _generator(answers: list[Answer], otherwise: str) -> str:
    """Who wrote the answers that the prompts brought along, where the set says it."""
    names = {str(a.meta["generator"]) for a in answers if a.meta.get("generator")}
    return ", ".join(sorted(names)) or otherwise


def _duel(
    judge: Any, ours: list[Answer], theirs: list[Answer], out: Path, *, cell: str, rival: str, metric: str
) -> list[Score]:
    get_winrate = _winrate_of_alpaca_eval()
    by_id = {a.id: a for a in theirs}
    pairs = [(a, by_id[a.id]) for a in ours if a.id in by_id]
    before = usage_of(judge)
    forward = _annotate(judge, [(a.prompt, b.text, a.text) for a, b in pairs], out)
    backward = [_turned(p) for p in _annotate(judge, [(a.prompt, a.text, b.text) for a, b in pairs], out)]
    means = [_mean(one, two) for one, two in zip(forward, backward, strict=True)]
    preferences = [{"preference": mean} for mean in means if mean is not None]
    tail = metric.removeprefix("win_rate")
    items = []
    for (ours_one, theirs_one), mean, one, two in zip(pairs, means, forward, backward, strict=True):
        longer = len(ours_one.text) - len(theirs_one.text)
        items.append(
            {
                "id": ours_one.id,
                "metrics": {
                    metric: None if mean is None else mean - 1,
                    f"length_difference{tail}": longer,
                },
                "preference_when_second": one,
                "preference_when_first": two,
                "prompt": ours_one.prompt,
                "answer": ours_one.text,
                "rival_answer": theirs_one.text,
            }
        )
    asked = [(a, b) for a, b in zip(forward, backward, strict=True) if a is not None and b is not None]
    settings = {
        "judge": judge.name,
        "rival": rival,
        "orders": "both, averaged",
        "flip_rate": sum(_side(a) != _side(b) for a, b in asked) / len(asked) if asked else None,
        "first_slot_rate": _first_slot_rate(asked),
        "parse_failures": sum(p is None for p in [*forward, *backward]),
        "judgments": 2 * len(pairs),
        **usage_of(judge, before),
        **_length_controlled(pairs, means, cell, rival),
    }
    name = f"alpaca_eval.{cell}.{metric}"
    scores = scores_of_items(
        "alpaca_eval", items, out, file=name, settings=settings, neutral=[f"length_difference{tail}"]
    )
    if not preferences:
        reason = "the judge's answers could not be read"
        absent = Score(
            benchmark="alpaca_eval", metric=metric, estimate=None, n=0, settings=settings, reason=reason
        )
        return [absent, *scores]
    rate = float(get_winrate(preferences)["win_rate"]) / 100
    return [s.model_copy(update={"estimate": rate}) if s.metric == metric else s for s in scores]


def _mean(*preferences: float | None) -> float | None:
    known = [p for p in preferences if p is not None]
    return sum(known) / len(known) if known else None


def _length_controlled(
    pairs: list[tuple[Answer, Answer]], means: list[float | None], cell: str, rival: str
) -> dict[str, Any]:
    """AlpacaEval 2's own figure where its own prompts were asked; elsewhere it does not exist."""
    if not pairs or "place" not in pairs[0][0].meta:
        return {}
    rows = [
        {
            "instruction": ours.prompt,
            "output_1": theirs.text,
            "output_2": ours.text,
            "generator_1": rival,
            "generator_2": cell,
            "preference": mean,
        }
        for (ours, theirs), mean in zip(pairs, means, strict=True)
    ]
    value, reason = official_lc(rows)
    return {"official_lc_win_rate": value, "official_lc_reason": reason}


def _winrate_of_alpaca_eval() -> Any:
    """Its own metric; that it imports pkg_resources is no news to a user."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from alpaca_eval.metrics import get_winrate
    return get_winrate


def _turned(preference: float | None) -> float | None:
    """A preference seen from the other order: 1 and 2 change places."""
    return None if preference is None else 3 - preference


def _side(preference: float) -> int:
    """Which answer a preference leans to: -1 the first, 1 the second, 0 neither."""
    return (preference > 1.5) - (preference < 1.5)


def _first_slot_rate(asked: list[tuple[float, float]]) -> float | None:
    """Share of decided judgments that took the answer in the first place."""
    firsts = [a < 1.5 for a, _ in asked if a != 1.5] + [b > 1.5 for _, b in asked if b != 1.5]
    return sum(firsts) / len(firsts) if firsts else None


def _annotate(judge: Any, rows: list[tuple[str, str, str]], out: Path) -> list[float | None]:
    """1 where the first answer is preferred, 2 the second, 1.5 a tie, None where unreadable."""
    from harness.benchmarks._annotator import annotate

    return annotate(judge, rows, out)
