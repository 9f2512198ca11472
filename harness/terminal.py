"""The console that everything is printed on: text of models, servers, files and users is shown as text.

rich reads `[red]` and `[link=...]` in strings as markup, and passes an escape character on to the terminal,
so an arm's path, a server's message or a child's last line could colour, move or hide what is printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from harness.texts import visible


class PlainConsole(Console):
    """A console that takes no markup and shows control characters; its own colours are styles."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Segments of text whose control characters are seen; what moves the cursor is rich's own."""
        for segment in super().render(renderable, options):
            harmless = segment.control or not segment.text or segment.text.isprintable()
            yield segment if harmless else Segment(visible(segment.text), segment.style)
