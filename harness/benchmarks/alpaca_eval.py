"""AlpacaEval: whose answer does a judge prefer, by alpaca_eval's own annotator and win rate.

Both orders of every pair are asked and averaged, so an inconsistent judge gives half a win. A pair of
which one order alone could be read is left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt

from harness.benchmarks import CheckContext, scores_of_items
from harness.benchmarks._alpaca_files import arms_in, read_items
from harness.benchmarks._alpaca_prompts import TEST, fetch_set, load_prompts, set_files, set_needs_hub
from harness.benchmarks._duels import OWN_ANSWERS, both_orders, duel, official_win_rate, pairs_of
from harness.benchmarks._official_lc import replayed_lc
from harness.errors import UserError, unknown_name
from harness.generate import Answer, Prompt
from harness.judges import announce, cache_of, check_prompts, judge_needs_hub, load_judge
from harness.pipeline.named import Named
from harness.pipeline.spec_model import SpecModel
from harness.pipeline.validate import validate
from harness.records import Score

Progress = Callable[[int, int, dict[str, float]], None]


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
    judge_fetches = judge_needs_hub(load_judge(config.judge), _judge_config(config))
    return judge_fetches or set_needs_hub(config.prompt_set)


def files(config: Config) -> list[Named]:
    """The prompts, where they do not come from the test split."""
    return set_files(config.prompt_set)


def wants(config: Config) -> list[str]:
    """AlpacaEval's own prompts, where they are asked."""
    return [config.prompt_set] if set_needs_hub(config.prompt_set) else []


def fetch(config: Config, want: str) -> None:
    """The prompts with their answers, and what the length-controlled win rate needs."""
    fetch_set(want)


def check(config: Config, context: CheckContext) -> None:
    """Raise UserError for an unknown judge, a missing key, or an unknown reference arm."""
    module = load_judge(config.judge, where="benchmarks.alpaca_eval.judge")
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
    check_prompts(module, asked, "benchmarks.alpaca_eval.judge")


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
    judge = load_judge(config.judge).make(_judge_config(config), cache_of(out))
    duels = _duels(cells, reference, config.head_to_head)
    matched = [pairs_of(cells, cell, rival) for cell, rival, _ in duels]
    announce(judge, [d for pairs in matched for d in both_orders(pairs)])
    total, before = 2 * sum(map(len, matched)), 0
    scores: dict[str, list[Score]] = {}
    for (cell, rival, metric), pairs in zip(duels, matched, strict=True):
        named = _generator(cells[cell], rival) if rival in OWN_ANSWERS else rival
        scored = duel(
            judge, pairs, out, cell=cell, rival=named, metric=metric, progress=_after(progress, before, total)
        )
        before += 2 * len(pairs)
        scores.setdefault(cell, []).extend(scored)
    return scores


def replay(folder: Path, out: Path) -> dict[str, list[Score]]:
    """Scores of the arms whose published annotations lie in `folder`; win rates are alpaca_eval's own."""
    scores_by_arm = {}
    for arm, path in arms_in(folder).items():
        items, settings = read_items(path, arm.partition("@")[0])
        scores = scores_of_items(
            "alpaca_eval",
            items,
            out,
            file=f"alpaca_eval.{arm}",
            settings=settings | replayed_lc(arm.partition("@")[0], items, settings),
            neutral=["length_difference"],
        )
        rate = official_win_rate([item["metrics"]["win_rate"] for item in items])
        scores_by_arm[arm] = [
            s.model_copy(update={"estimate": rate}) if s.metric == "win_rate" else s for s in scores
        ]
    return scores_by_arm


def _judge_config(config: Config) -> Any:
    module = load_judge(config.judge)
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


def _generator(answers: list[Answer], otherwise: str) -> str:
    """Who wrote the answers that the prompts brought along, where the set says it."""
    names = {str(a.meta["generator"]) for a in answers if a.meta.get("generator")}
    return ", ".join(sorted(names)) or otherwise


def _after(progress: Progress, before: int, total: int) -> Callable[[int, int], None]:
    """Progress of one duel as part of all."""
    return lambda done, _: progress(before + done, total, {})
