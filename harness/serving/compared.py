"""Whether a server answers as its run did, and the same streamed and at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from harness.serving.asking import Reply, ask
from harness.serving.prompts import Asked


@dataclass(frozen=True)
class Compared:
    """Of `asked` prompts: `failed` were not answered, `recorded` are those that the run answered too, of
    which `same` got the run's text; `streamed_alike` got one text streamed and at once.

    `first_other` is the first answer that is not the run's: what was asked last, the run's and the server's.
    """

    asked: int
    failed: int
    recorded: int
    same: int
    streamed_alike: int
    error: str | None = None
    first_other: tuple[str, str, str] | None = None

    @property
    def holds(self) -> bool:
        """Whether every prompt was answered, alike both ways, and as in the run where it answered."""
        return self.failed == 0 and self.streamed_alike == self.asked and self.same == self.recorded


def compare(
    port: int,
    model: str,
    prompts: Sequence[Asked],
    max_tokens: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Compared:
    """Ask each prompt twice, greedily, streamed and at once."""
    replies: list[tuple[Asked, Reply, Reply]] = []
    for one in prompts:
        streamed = ask(port, model, one.messages, max_tokens=max_tokens)
        whole = ask(port, model, one.messages, max_tokens=max_tokens, stream=False)
        replies.append((one, streamed, whole))
        progress(len(replies), len(prompts))
    return compared(replies)


def compared(replies: Sequence[tuple[Asked, Reply, Reply]]) -> Compared:
    """What (prompt, streamed reply, reply at once) say."""
    errors = [reply.error for _, *both in replies for reply in both if reply.error is not None]
    answered = [(one, s, w) for one, s, w in replies if s.error is None and w.error is None]
    known = [(one, one.recorded, w) for one, _, w in answered if one.recorded is not None]
    others = [(one, recorded, w) for one, recorded, w in known if w.text.strip() != recorded]
    first = others[0] if others else None
    return Compared(
        asked=len(replies),
        failed=len(replies) - len(answered),
        recorded=len(known),
        same=len(known) - len(others),
        streamed_alike=sum(s.text == w.text for _, s, w in answered),
        error=errors[0] if errors else None,
        first_other=None if first is None else (_last(first[0]), first[1], first[2].text.strip()),
    )


def _last(asked: Asked) -> str:
    return str(asked.messages[-1]["content"])
