"""The page's part of answers side by side, and the data that its script shows there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.render._html_text import escaped, folded
from harness.tables import Exchange, Reply
from harness.units import rounded


def answers_part(exchanges: Sequence[Exchange]) -> str:
    if not exchanges:
        return ""
    contests = dict.fromkeys(name for e in exchanges for name, _ in e.outcomes)
    options = "".join(f"<option>{escaped(name)}</option>" for name in contests)
    content = f"""<p>{len(exchanges)} prompts at the first seed, every arm's answer side by side.</p>
<form id="browse">
<label>Contest <select name="contest"><option value="">all</option>{options}</select></label>
<label>Outcome <select name="outcome"><option value="">any</option><option>won</option><option>lost</option>
<option>tied</option></select></label>
<label><input type="checkbox" name="differ"> only where arms differ</label>
<label>Words <input type="search" name="words"></label>
<output name="count"></output></form>
<ol id="answers"></ol>
<p class="pages"><button type="button" data-page="-1">Previous</button> <span id="place"></span>
<button type="button" data-page="1">Next</button></p>"""
    return folded("Answers", content)


def exchanges_data(exchanges: Sequence[Exchange]) -> dict[str, Any]:
    """Names once, and by their place after: contests and outcomes (w, l, t or -), metrics and marks."""
    contests = list(dict.fromkeys(name for e in exchanges for name, _ in e.outcomes))
    metrics = list(dict.fromkeys(name for e in exchanges for r in e.replies for name, _ in r.marks))
    return {
        "contests": contests,
        "metrics": metrics,
        "items": [
            {
                "id": exchange.id,
                "prompt": exchange.prompt,
                "outcomes": "".join(dict(exchange.outcomes).get(name, "-")[0] for name in contests),
                "replies": [_reply(reply, metrics) for reply in exchange.replies],
            }
            for exchange in exchanges
        ],
    }


def _reply(reply: Reply, metrics: Sequence[str]) -> dict[str, Any]:
    marks = dict(reply.marks)
    kept = [None if (value := marks.get(name)) is None else float(rounded(value, 4)) for name in metrics]
    judged = {"judge": reply.judge, "judgment": reply.judgment}
    return {
        "arm": reply.arm,
        "text": reply.text,
        "marks": kept,
        **{name: text for name, text in judged.items() if text is not None},
    }
