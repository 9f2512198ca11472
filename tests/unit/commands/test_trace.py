"""A traced score goes back to the answers that were judged and to the training behind them."""

from __future__ import annotations

from dataclasses import replace

from synthetic import make_view

from harness.commands.trace import _behind
from harness.evidence.sections.results import main_table
from harness.tables import About, Cell


def test_a_score_is_traced_to_its_arms_training_and_a_cost_to_its_stages() -> None:
    made = make_view()
    stages = dict(made.record.plan.stages)
    for digest, needed in (("ev-sft_dpo0", "dpo0"), ("dpo0", "sft0")):
        known = stages.get(digest) or stages["dpo0"].model_copy(update={"digest": digest, "kind": "evaluate"})
        stages[digest] = known.model_copy(update={"needs": {"model": needed, "prepared": "prep"}})
    plan = made.record.plan.model_copy(update={"stages": stages})
    view = replace(made, record=made.record.model_copy(update={"plan": plan}))
    scored = Cell(0.5, sources=("ev-sft_dpo0",), about=About("preference.accuracy", "sft_dpo"))
    assert _behind(view, scored) == ["ev-sft_dpo0", "dpo0", "sft0"]
    row = next(row for row in main_table(view).rows if row[0].value == "orpo")
    assert _behind(view, row[2]) == ["orpo0", "orpo1"]
    nobody = Cell(0.5, sources=("ev-sft_dpo0",))
    assert _behind(view, nobody) == ["ev-sft_dpo0"]
