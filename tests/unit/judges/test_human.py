"""People as a judge: what they voted, both ways round, and nothing of what they were not shown."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from unit.evidence.test_people import vote

from harness.errors import UserError
from harness.judges import load_judge
from harness.judges.human import Config


def test_it_prefers_as_people_did(tmp_path: Path) -> None:
    file = tmp_path / "votes.jsonl"
    votes = [vote(0, 1.0), vote(1, 0.5), vote(2, None), vote(3, 1.0, voter="ben", prompt_id="i0")]
    votes.append(vote(4, 0.0, voter="cyd", messages=[{"role": "user", "content": "q0"}]))
    file.write_text("".join(json.dumps(asdict(one)) + "\n" for one in votes))
    module, config = load_judge("human"), Config(votes=str(file))
    module.check(config)
    judge = module.make(config)
    assert judge.name == "human (ann, ben, cyd)"
    asked = [("q0", "x", "y"), ("q0", "y", "x"), ("q1", "x", "y"), ("q2", "x", "y"), ("q0", "x", "z")]
    assert judge.prefer_all(asked) == [0.5, 0.5, 0.5, None, None]


def test_no_votes_are_one_message(tmp_path: Path) -> None:
    module = load_judge("human")
    with pytest.raises(UserError, match="is no file"):
        module.check(Config(votes=str(tmp_path / "none.jsonl")))
    (tmp_path / "votes.jsonl").write_text(json.dumps(asdict(vote(0, None))) + "\n")
    with pytest.raises(UserError, match="holds no vote that counts"):
        module.check(Config(votes=str(tmp_path / "votes.jsonl")))
