"""alpaca_eval's PairwiseAnnotator asking one of our judges instead of an API it knows.

It writes preferences as 1 (the first) to 2 (the second) and ours are 1 to 0: they are turned here.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from alpaca_eval.annotators import PairwiseAnnotator
from alpaca_eval.annotators.pairwise_evaluator import SinglePairwiseAnnotator

from harness.judges import Progress, preferences_of, quiet


class _JudgeAnnotator(SinglePairwiseAnnotator):  # type: ignore[misc]
    """Hands prompt and answers over as JSON, so that no text can break a template."""

    def _get_prompt_template(self, prompt_template: Any) -> str:
        return ""

    def _make_prompts(self, df_to_annotate: Any, prompt_template: Any = None) -> Any:
        columns = ["instruction", "output_1", "output_2"]
        rows = df_to_annotate[columns].itertuples(index=False)
        return [json.dumps(list(row)) for row in rows], df_to_annotate


class JudgeAnnotator(PairwiseAnnotator):  # type: ignore[misc]
    """A pool of one annotator, our judge; the order of answers is the caller's."""

    def __init__(self, judge: Any, config: Path, progress: Progress) -> None:
        self._judge, self._progress = judge, progress
        super().__init__(annotators_config=config, caching_path=None, is_avoid_reannotations=False)

    def _initialize_annotators_config(self, annotators_config: Any) -> Path:
        return Path(annotators_config)

    def _initialize_annotators(self, **kwargs: Any) -> dict[str, Any]:
        return {
            self._judge.name: _JudgeAnnotator(
                prompt_template="",
                fn_completions=self._ask,
                fn_completion_parser=lambda completion: [float(completion)],
                is_randomize_output_order=False,
                annotation_column=self.annotation_key,
                completion_column=self.completion_key,
                seed=self.seed,
            )
        }

    def _ask(self, prompts: list[str], **_: Any) -> dict[str, list[Any]]:
        duels = [(prompt, first, second) for prompt, first, second in map(json.loads, prompts)]
        answers = preferences_of(self._judge, duels, self._progress)
        return {"completions": ["nan" if a is None else repr(2 - a) for a in answers]}


def annotate(
    judge: Any, rows: list[tuple[str, str, str]], out: Path, progress: Progress = quiet
) -> list[float | None]:
    """Preference for the first answer in [0, 1] of each row (prompt, first answer, second answer).

    None where it could not be read; two equal answers are a tie that nobody is asked about.
    """
    config = out / "annotator" / "configs.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{json.dumps(judge.name)}: {{}}\n", encoding="utf-8")
    logging.getLogger().setLevel(logging.ERROR)
    annotator = JudgeAnnotator(judge, config, progress)
    first = [{"instruction": prompt, "output": a} for prompt, a, _ in rows]
    second = [{"instruction": prompt, "output": b} for prompt, _, b in rows]
    # All rows at once: a jury has to see both orders of a pair.
    annotated = annotator.annotate_head2head(first, second, is_ordered=True, chunksize=len(rows))
    preference_by_row = {(r["instruction"], r["output_1"], r["output_2"]): r["preference"] for r in annotated}
    preferences = (preference_by_row.get(row) for row in rows)
    return [None if p is None or p != p else 2 - float(p) for p in preferences]
