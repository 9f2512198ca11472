"""What is asked to try a server: the run's own test prompts, or some of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from harness.generate import Prompt
from harness.generate.answer import digest_of_messages
from harness.jsonl import read_jsonl, well_formed
from harness.records import ComparisonRecord
from harness.serving.asking import Messages
from harness.store.items import read_test_pairs
from harness.store.run_dir import RunRoot


@dataclass(frozen=True)
class Asked:
    """One conversation to answer, and what the run answered, None where it kept no answer to it."""

    messages: Messages
    recorded: str | None = None


OURS = (
    "What is the capital of France?",
    "Name three animals that live in the sea.",
    "Explain in two sentences why the sky is blue.",
    "Write a short poem about rain.",
    "What is 17 plus 25?",
    "Give me a recipe for pancakes.",
    "How does a bicycle stay upright?",
    "Translate 'good morning' into Spanish.",
    "What is the difference between weather and climate?",
    "Write a polite e-mail that asks for a day off.",
    "Which planet is the largest in our solar system?",
    "Summarise the story of Cinderella in three sentences.",
    "Why do leaves change their colour in autumn?",
    "List five things to take along on a hike.",
    "What does a compiler do?",
    "Suggest a name for a small bakery, and say why it fits.",
    "How many minutes are there in a day?",
    "Describe the taste of a lemon to someone who never had one.",
    "What are the first steps in learning to play the guitar?",
    "Explain to a child what a magnet is.",
    "Who wrote the play Hamlet?",
    "What should I do when I cannot sleep?",
    "Compare tea and coffee in one paragraph.",
    "Give an example of a sentence in the passive voice.",
)


def ours() -> list[Asked]:
    """Short everyday questions, for a model folder of which no run is known."""
    return [Asked([{"role": "user", "content": text}]) for text in OURS]


def of_run(root: RunRoot, record: ComparisonRecord, answers: Path | None) -> list[Asked]:
    """Every conversation of the test split once, in its order, with the run's own answer."""
    known = _recorded(answers)
    asked: dict[str, Asked] = {}
    for pair in read_test_pairs(root, record).values():
        messages = [{**message, "content": well_formed(message["content"])} for message in pair.prompt]
        digest = digest_of_messages(Prompt(pair.id, "", pair.prompt))
        asked.setdefault(json.dumps(messages), Asked(messages, known.get(digest)))
    return list(asked.values())


def _recorded(answers: Path | None) -> dict[str, str]:
    """Text by the digest of what was asked."""
    rows = [] if answers is None else read_jsonl(answers)
    return {row["asked"]: row["text"] for row in rows if row.get("asked")}
