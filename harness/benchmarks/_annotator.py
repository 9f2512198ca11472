"""alpaca_eval's PairwiseAnnotator asking one of our judges instead of an API it knows."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from alpaca_eval.annotators import PairwiseAnnotator
from alpaca_eval.annotators.pairwise_evaluator import SinglePairwiseAnnotator

from harness.judges import Progress, quiet


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
        answers = self._judge.prefer_all(duels, self._progress)
        return {"completions": ["nan" if a is None else str(2 - a) for a in answers]}


def annotate(
    judge: Any, rows: list[tuple[str, str, str]], out: Path, progress: Progress = quiet
) -> list[float | None]:
    """Preferences of (prompt, first answer, second answer) rows, in their order."""
    config = out / "annotator" / "configs.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(f"{json.dumps(judge.name)}: {{}}\n", encoding="utf-8")
    logging.getLogger().setLevel(logging.ERROR)
    annotator = JudgeAnnotator(judge, config, progress)
    first = [{"instruction": prompt, "output": a} for prompt, a, _ in rows]
    second = [{"instruction": prompt, "output": b} for prompt, _, b in rows]
    annotated = annotator.annotate_head2head(first, second, is_ordered=True)
    preference_by_row = {(r["instruction"], r["output_1"], r["output_2"]): r["preference"] for r in annotated}
    preferences = (preference_by_row.get(row) for row in rows)
    return [None if p is None or p != p else float(p) for p in preferences]
