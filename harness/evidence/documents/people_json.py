"""What comparison.json says of people's votes."""

from __future__ import annotations

import dataclasses
from typing import Any

from harness.evidence.people import voted
from harness.evidence.view import ComparisonView


def people_data(view: ComparisonView) -> dict[str, Any]:
    """`people`, an entry for each two arms that were voted on; nothing where nobody voted."""
    return {"people": [dataclasses.asdict(one) for one in voted(view)]} if view.votes else {}
