"""Published claims as data: `reports/claims/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.pipeline.find import folder_of
from harness.pipeline.spec_model import SpecModel
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import read
from harness.quantities import COST_NAMES

COUNTED = ("sequences_forwarded_per_pair", "reference_sequences_per_pair", "models_in_memory")
SETTINGS = ("stage_settings", "data_sets")
RISES = ("logp_chosen_rise", "logp_rejected_rise", "log_odds_margin_late_rise")


class Claim(SpecModel):
    """`statement` holds if the quantity of `a`, against that of `b` if there is one, is in `expected`.

    Costs, counts and settings of `a` are divided by those of `b`; of scores (`benchmark.metric`) and of
    rises during training `b` is subtracted. An end of `expected` may be null: open. Counts per pair or
    in memory are those of an arm's last stage. A claim without a quantity is one that no run measures.
    `over_runs: more_stable` claims that the gain of `a` in the quantity varies less between models and
    data sets than that of `b`: no single run judges it, the report of several runs does.

    `source` names the table, section or page; `scope` the models and data that it is about;
    `seeds_reported` whether the source says over how many trainings its figures are (None: not looked
    up); `needs` what a run, or several, must have to judge the claim; `note` what else is to be known,
    such as a source that contradicts itself.
    """

    id: str
    statement: str
    source: str
    quantity: str | None = None
    a: str = "orpo"
    b: str | None = None
    expected: Annotated[list[float | None], Field(min_length=2, max_length=2)] | None = None
    over_runs: Literal["more_stable"] | None = None
    scope: str | None = None
    seeds_reported: bool | None = None
    needs: str | None = None
    note: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Claim:
        if self.quantity is None and self.needs is None:
            raise ValueError("it has nothing to measure; give a quantity, or say in needs why one run cannot")
        if self.over_runs is not None:
            if self.quantity is None or self.b is None or self.expected is not None:
                raise ValueError(
                    f"{self.over_runs} compares gains; give a quantity, a and b, and no expected"
                )
        elif self.quantity is not None:
            if self.expected is None:
                raise ValueError("expected is missing; give [LOW, HIGH], either of them null")
            low, high = self.expected
            if low is not None and high is not None and low > high:
                raise ValueError(f"expected {self.expected} has its larger end first; turn it round")
            known = (*COST_NAMES, *COUNTED, *SETTINGS, *RISES)
            if "." not in self.quantity and self.quantity not in known:
                names = ", ".join(known)
                raise ValueError(
                    f"quantity {self.quantity} is unknown; write benchmark.metric, or one of {names}"
                )
        return self

    @property
    def seeds(self) -> str:
        """Whether the source reports seeds, in a word."""
        return "not looked up" if self.seeds_reported is None else "yes" if self.seeds_reported else "no"


class ClaimFile(SpecModel):
    """One file of claims."""

    claims: list[Claim]


def load_claims(path: Path | None = None) -> list[Claim]:
    """All claims of a file, or of a folder's files by name; none where there is no such folder.

    Without a path those of `./reports/claims`, or of the shipped folder where that is missing.
    """
    claims: list[Claim] = []
    path = folder_of("reports/claims") if path is None else path
    for file in [path] if path.is_file() else sorted(path.glob("*.yaml")):
        document = read(file)
        claims += validate(ClaimFile, document.data, where=document.where).claims
    return claims
