"""Published tables of arms as data: `reports/published/*.yaml`, to be shown beside a run's own figures."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from harness.errors import unknown_name
from harness.pipeline.find import folder_of
from harness.pipeline.spec_model import Share, SpecModel
from harness.pipeline.validate import validate
from harness.pipeline.yaml_file import read

FOLDER = "reports/published"


class PublishedRow(SpecModel):
    """What is published of one arm; None where the source says nothing.

    `device_hours` of training over all its stages, `win_rate` and `relative_cost` as ratios (0.5 = 50%),
    `helpfulness` on 1 to 5.
    """

    arm: str
    stages: PositiveInt | None = None
    device_hours: NonNegativeFloat | None = None
    win_rate: Share | None = None
    helpfulness: Annotated[float, Field(ge=1, le=5)] | None = None
    relative_cost: NonNegativeFloat | None = None


class PublishedTable(SpecModel):
    """A table of another's, where it stands, and what a reader has to know of it."""

    title: str
    source: str
    notes: tuple[str, ...] = ()
    rows: Annotated[list[PublishedRow], Field(min_length=1)]

    @model_validator(mode="after")
    def _once(self) -> PublishedTable:
        arms = [row.arm for row in self.rows]
        if len(set(arms)) < len(arms):
            raise ValueError("an arm has two rows; give each arm one")
        return self

    def own_relative_cost(self, row: PublishedRow) -> float | None:
        """The relative cost that the table's own device-hours give, by the arm whose cost is 1.

        None where hours or such an arm are missing.
        """
        whole = next((other for other in self.rows if other.relative_cost == 1), None)
        if whole is None or not whole.device_hours or row.device_hours is None:
            return None
        return row.device_hours / whole.device_hours


def load_published(name: str) -> PublishedTable:
    """The table called `name`, of `./reports/published` or of the shipped folder.

    Raises UserError for an unknown name, with those that there are.
    """
    folder = folder_of(FOLDER)
    file = folder / f"{name}.yaml"
    if not file.is_file():
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        raise unknown_name("published table", name, known, where=str(folder))
    document = read(file)
    return validate(PublishedTable, document.data, where=document.where)
