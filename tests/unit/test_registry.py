"""Names of plug-ins, all at once and a group at a time."""

from __future__ import annotations

from typing import Any

import pytest

from harness import registry


def test_all_names_are_those_of_the_groups_and_what_is_installed_is_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    by_group = {group: registry.names(group) for group in registry.GROUPS}
    read, calls = registry.entry_points, list[dict[str, Any]]()

    def counted(**settings: Any) -> Any:
        calls.append(settings)
        return read(**settings)

    monkeypatch.setattr(registry, "entry_points", counted)
    assert registry.all_names() == by_group
    assert calls == [{}]
