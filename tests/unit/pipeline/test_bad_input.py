"""What a comparison file or a flag must never be taken for: one message with its place, and what to do."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.cli.options import words
from harness.errors import UserError
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides

PLAIN = "is no plain name; use letters, digits"
FLAGS = [
    ("name=../../evil", rf"--set name: name: '../../evil' {PLAIN}"),
    ("name=''", PLAIN),
    ("name=.hidden", PLAIN),
    ("name=a/b", PLAIN),
    ("name=latest", "none of base, latest, stages, cache"),
    (f"name={'n' * 81}", PLAIN),
    ("seeds=[0,0]", "seed 0 stands twice; name each seed once"),
    ("seeds=[-1]", "seeds.0 is -1; give a number of at least 0"),
    ("seeds=[1180591620717411303424]", "give a number below 4294967296"),
    ("seeds=[]", "seeds is .*; give at least 1"),
    ("repeats=1000000000", "repeats is 1000000000; give a number of at most 1000"),
    ("repeats=true", "repeats is true; give a value"),
    ("training.weight_decay=true", "weight_decay is true; give a value"),
    ("stages.sft.learning_rate=.inf", "stages.sft.learning_rate is inf; give a finite number"),
    ("stages.sft.learning_rate=.nan", "stages.sft.learning_rate is nan; give a"),
    ("stages.sft.learning_rate=1e400", "stages.sft.learning_rate is inf; give a finite number"),
    ("training.lora.r=1000000000", "lora.r is 1000000000; give a number of at most 65536"),
    ("baseline=nope", r'--set baseline: unknown arm "nope"; .*known: base, orpo, sft, sft_dpo'),
    ("cost_reference=nope", 'unknown arm "nope"'),
    ("model=''", "model is ''; give a name, a folder or a file"),
    ("data.source=''", "data.source is ''; give a name, a folder or a file"),
    ("training=" + "[" * 5_000, "is not valid YAML"),
]


@pytest.mark.parametrize(("flag", "message"), FLAGS, ids=[flag[:40] for flag, _ in FLAGS])
def test_a_setting_that_cannot_be_is_one_message(flag: str, message: str) -> None:
    began = time.monotonic()
    with pytest.raises(UserError, match=message):
        load_comparison(find_comparison("embedded", model=None), Overrides(sets=(flag,)))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (Overrides(seeds="1000000000"), "--seeds is 1000000000; give at most 1,000 seeds"),
        (Overrides(seeds="5000000000,1"), "give a number below 4294967296"),
        (Overrides(model=""), "--model: model is ''; give a name, a folder or a file"),
        (Overrides(data=""), "--data: data.source is ''; give a name, a folder or a file"),
        (Overrides(arms=["../../x"]), "../../x"),
    ],
)
def test_a_flag_that_cannot_be_is_one_message(overrides: Overrides, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_comparison(find_comparison("embedded", model=None), overrides)


@pytest.mark.parametrize("text", ["", ",", " , "])
def test_an_option_that_names_nothing_says_so(text: str) -> None:
    with pytest.raises(UserError, match="names nothing; give a name, or leave the option out"):
        words(text)


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
)
FILES = {
    "anchors that unfold": (BOMB, "its anchors stand for more than 100,000 values"),
    "deep lists": ("a: " + "[" * 5_000 + "]" * 5_000, "is nested too deep"),
    "an anchor in itself": ("a: &a [*a]", "not valid YAML: found unconstructable recursive node"),
    "arms with settings": ("kind: comparison\nname: x\narms: [{orpo: fast}]", "arm .*orpo.* is no name"),
    "no arm": ("kind: comparison\nname: x\narms: []", "arms names no arm"),
    "an arm that leads elsewhere": (
        "kind: comparison\nname: x\narms: [{pipeline: sft, name: ../../x}]\nseeds: [0]",
        rf"name: '../../x' {PLAIN}",
    ),
    "an arm as a cell": ("kind: comparison\nname: x\narms: [{pipeline: sft, name: a@0}]\nseeds: [0]", PLAIN),
    "an arm as the base": (
        "kind: comparison\nname: x\narms: [{pipeline: sft, name: base}]\nseeds: [0]",
        PLAIN,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_is_one_message_with_its_place(name: str, tmp_path: Path) -> None:
    text, message = FILES[name]
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    began = time.monotonic()
    with pytest.raises(UserError, match=message) as raised:
        load_comparison(file)
    assert str(file) in str(raised.value)
    assert time.monotonic() - began < 10
