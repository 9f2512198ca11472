"""Published claims as data: `reports/claims/*.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from harness.pipeline.spec import SpecModel
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import read

SHIPPED = Path(__file__).resolve().parents[2] / "reports" / "claims"
Quantity = Literal[
    "wall_seconds",
    "peak_memory_bytes",
    "flops",
    "energy_joules",
    "sequences_forwarded_per_pair",
    "reference_sequences_per_pair",
    "models_in_memory",
]


class Claim(SpecModel):
    """`statement` holds if the quantity of `a`, over that of `b` if there is one, is in `expected`.

    `a` and `b` name arms: costs are those of the whole arm, what is counted per pair or held in
    memory that of its last stage.
    """

    id: str
    statement: str
    source: str
    quantity: Quantity
    a: str
    b: str | None = None
    expected: Annotated[list[float], Field(min_length=2, max_length=2)]

    @model_validator(mode="after")
    def _in_order(self) -> Claim:
        if self.expected[0] > self.expected[1]:
            raise ValueError(f"expected {self.expected} has its larger end first")
        return self


class ClaimFile(SpecModel):
    """One file of claims."""

    claims: list[Claim]


def load_claims(folder: Path = SHIPPED) -> list[Claim]:
    """All claims of a folder's files, sorted by file name; none where there is no such folder."""
    found: list[Claim] = []
    for path in sorted(folder.glob("*.yaml")):
        document = read(path)
        found += validate(ClaimFile, document.data, where=document.where).claims
    return found
