"""What `harness serve` prints."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from harness.commands.report import render
from harness.evidence.documents.load import load_report, load_table
from harness.records import LoadRecord, ServedModel
from harness.running.fitting import print_for_readers
from harness.serving.asking import Messages
from harness.serving.child_server import HOST
from harness.serving.compared import Compared
from harness.terminal import PlainConsole
from harness.texts import visible

EVERY_SECONDS = 10.0
SHOWN = 200
PYTHON = """from openai import OpenAI

client = OpenAI(base_url={url}, api_key="none")
stream = client.chat.completions.create(
    model={model},
    messages={messages},
    stream=True,
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)"""


def still_loading(seconds: float) -> None:
    """Said every ten seconds until the server is healthy."""
    print(f"  still loading after {seconds:.0f} s", flush=True)


def told_every_few_seconds(word: str) -> Callable[..., None]:
    """Prints how many of how many are done, and of what, no more often than every ten seconds."""
    last = [time.monotonic()]

    def tell(done: int, total: int, of: str = "") -> None:
        now = time.monotonic()
        if now - last[0] >= EVERY_SECONDS:
            last[0] = now
            print(f"  {of + ': ' if of else ''}{done} of {total} {word}", flush=True)

    return tell


def print_how_to_ask(model: ServedModel, port: int, messages: Messages, by: str) -> None:
    """Address, name, and two ways to ask that can be copied."""
    url = f"http://{HOST}:{port}/v1"
    body = json.dumps({"model": model.name, "messages": list(messages), "max_tokens": 64})
    of = f"run {model.run}" if model.run else model.folder
    lines = [
        "",
        f"Serving {of} by {by}, until Ctrl-C.",
        f"Base URL: {url}",
        f"Model:    {model.name}",
        "",
        f"curl {url}/chat/completions -H 'Content-Type: application/json' \\",
        f"  -d {shlex.quote(body)}",
        "",
        PYTHON.format(url=json.dumps(url), model=json.dumps(model.name), messages=_literal(messages)),
        "",
    ]
    print("\n".join(map(visible, "\n".join(lines).split("\n"))), flush=True)


def _literal(messages: Messages) -> str:
    """As Python reads it: JSON's escapes beyond the first plane are pairs, which are no characters there."""
    return json.dumps(list(messages), ensure_ascii=False)


def print_compared(found: Compared) -> None:
    """What the server's answers are beside each other and beside the run's."""
    print(f"{found.asked - found.failed} of {found.asked} prompts answered.", flush=True)
    if found.error is not None:
        print(f"First failure: {visible(found.error)}.")
    print(f"Streamed and at once alike: {found.streamed_alike} of {found.asked - found.failed}.")
    if not found.recorded:
        print("No recorded greedy answers to compare with.")
        return
    print(f"Equal to the run's own answers: {found.same} of {found.recorded}.")
    if found.first_other is not None:
        words = zip(("prompt", "run", "server"), found.first_other, strict=True)
        print("The first that is not:")
        print("\n".join(f"  {what}: {visible(text)[:SHOWN]}" for what, text in words))


def print_load(record: LoadRecord, file: Path, console: PlainConsole) -> None:
    """The table with its notes, and the same in every format beside the record."""
    print_for_readers(load_table(record), console)
    report = render(load_report(record), file.parent / "report")
    console.print(f"{file}\n{report / 'report.md'}", soft_wrap=True)
