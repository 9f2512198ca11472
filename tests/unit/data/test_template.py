"""Templates as the model families write them: what is learned last is what stops generation."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.data.schemas import Pair
from harness.data.template import apply_choice, last_turn_end
from harness.data.tokenise import EMPTY, IDENTICAL, tokenise
from harness.errors import UserError

USER = {"role": "user", "content": "hi"}
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
LLAMA2 = (
    "{% for m in messages %}{% if m['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + ' ' + eos_token }}{% endif %}{% endfor %}"
)
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NO_END = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
MARKERS = ["<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>"]


@pytest.fixture
def byte_tokenizer() -> Any:
    """One token a byte, so that every text round-trips; markers and specials are added tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>")
    tokenizer.add_tokens(["  ", *MARKERS], special_tokens=False)
    return tokenizer


@pytest.mark.parametrize(
    ("template", "prompt", "response", "stops"),
    [
        (
            CHATML,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
            "yes<|im_end|>",
            ["</s>", "<|im_end|>"],
        ),
        (PHI, "<|user|>\nhi<|end|>\n<|assistant|>\n", "yes<|end|>", ["</s>", "<|end|>"]),
        (LLAMA2, "<s>[INST] hi [/INST]", " yes </s>", ["</s>"]),
        (
            THINKING,
            "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
            "<think>\n\n</think>\n\nyes<|im_end|>",
            ["</s>", "<|im_end|>"],
        ),
        (NO_END, "user: hi\nassistant: ", "yes\n</s>", ["</s>"]),
        (None, "<s>### User:\nhi\n\n### Assistant:\n", "yes</s>", ["</s>"]),
    ],
    ids=["chatml", "phi", "llama2", "thinking", "no marker", "default"],
)
def test_families(
    byte_tokenizer: Any, template: str | None, prompt: str, response: str, stops: list[str]
) -> None:
    byte_tokenizer.chat_template = template
    made = apply_choice(byte_tokenizer, "auto")
    assert byte_tokenizer.convert_ids_to_tokens(made.stop_token_ids) == stops
    kept = tokenise([Pair("a", [USER], "yes", "no")], byte_tokenizer, made, max_length=200).kept[0]
    assert byte_tokenizer.decode(kept.prompt_ids) == prompt
    assert byte_tokenizer.decode(kept.chosen_ids) == response
    assert kept.chosen_ids[-1] == kept.rejected_ids[-1] == made.stop_token_ids[-1]
    assert byte_tokenizer.pad_token_id == byte_tokenizer.eos_token_id


@pytest.mark.parametrize("template", [CHATML, LLAMA2, THINKING, None])
def test_the_parting_of_prompt_and_answer_is_trls(byte_tokenizer: Any, template: str | None) -> None:
    from trl.data_utils import common_prefix_length

    byte_tokenizer.chat_template = template
    made = apply_choice(byte_tokenizer, "auto")
    pair = Pair("a", [USER], "yes", "you")
    kept = tokenise([pair], byte_tokenizer, made, max_length=200).kept[0]
    prompt = byte_tokenizer.apply_chat_template(pair.prompt, add_generation_prompt=True)["input_ids"]
    wholes = [
        byte_tokenizer.apply_chat_template([*pair.prompt, {"role": "assistant", "content": a}])["input_ids"]
        for a in (pair.chosen, pair.rejected)
    ]
    cut = min(common_prefix_length(prompt, whole) for whole in wholes)
    assert kept.prompt_ids == prompt[:cut]
    assert kept.chosen_ids == wholes[0][cut : cut + len(kept.chosen_ids)]


def test_merging_at_the_boundary_gives_the_merged_token_to_the_answers() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"a": 0, ":": 1, "x": 2, ":x": 3, "y": 4, "</s>": 5, "</s": 6}
    core = Tokenizer(models.BPE(vocabulary, [(":", "x")]))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>")
    end = "{{ '</s>' if m['role'] == 'assistant' else ':' }}"
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}" + end + "{% endfor %}"
    made = apply_choice(tokenizer, "auto")
    pair = Pair("a", [{"role": "user", "content": "a"}], "x", "y")
    kept = tokenise([pair], tokenizer, made, max_length=9).kept[0]
    assert (kept.prompt_ids, kept.chosen_ids, kept.rejected_ids) == ([0], [3, 5], [1, 4, 5])


def test_an_answer_that_writes_the_stop_token_itself_ends_once(byte_tokenizer: Any) -> None:
    made = apply_choice(byte_tokenizer, "default")
    kept = tokenise([Pair("a", [USER], "yes</s>", "no")], byte_tokenizer, made, max_length=99).kept[0]
    assert byte_tokenizer.decode(kept.chosen_ids) == "yes</s>"


def test_what_follows_the_end_of_a_turn_is_cut(tiny_tokenizer: Any) -> None:
    assert last_turn_end(tiny_tokenizer, [6, 7, 2], [2]) == [6, 7, 2]
    assert last_turn_end(tiny_tokenizer, [6, 2, 7], [2]) == [6, 2, 7, 2]
    assert last_turn_end(tiny_tokenizer, [6, 7], [2]) == [6, 7, 2]
    assert last_turn_end(tiny_tokenizer, [6, 9, 2], [2, 9]) == [6, 9]
    assert last_turn_end(tiny_tokenizer, [], [2]) == [2]


def test_unknown_and_blank_tokens_end_no_turn(tiny_tokenizer: Any, byte_tokenizer: Any) -> None:
    tiny_tokenizer = type(tiny_tokenizer)(
        tokenizer_object=tiny_tokenizer._tokenizer, eos_token="<eos>", unk_token="<unk>"
    )
    tiny_tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + ' strange ' }}{% endfor %}"
    assert apply_choice(tiny_tokenizer, "tokenizer").stop_token_ids == [2]
    byte_tokenizer.chat_template = "{% for m in messages %}{{ m['content'] + '  ' }}{% endfor %}"
    assert apply_choice(byte_tokenizer, "tokenizer").stop_token_ids == [byte_tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{% for m in messages %}\n{{ m['content'] }", r"mine.jinja:2: the chat template cannot be used"),
        ("{{ raise_exception('never') }}", r"mine.jinja: the chat template cannot be used \(never\)"),
        (
            "{% for m in messages %}{{ m['role'] }}{% endfor %}",
            "leaves the user's or the assistant's message out",
        ),
    ],
)
def test_templates_that_are_wrong(byte_tokenizer: Any, tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text(text)
    with pytest.raises(UserError, match=message):
        apply_choice(byte_tokenizer, str(file))


def test_a_tokenizer_with_several_templates(byte_tokenizer: Any) -> None:
    byte_tokenizer.chat_template = {"default": CHATML, "tool_use": PHI}
    assert apply_choice(byte_tokenizer, "auto").source == "tokenizer"
    assert byte_tokenizer.chat_template == CHATML


def test_a_tokenizer_without_an_end(byte_tokenizer: Any) -> None:
    byte_tokenizer.eos_token = None
    with pytest.raises(UserError, match="the tokenizer has no end-of-sequence token; set eos_token"):
        apply_choice(byte_tokenizer, "auto")


def test_roles_that_a_template_refuses(byte_tokenizer: Any) -> None:
    byte_tokenizer.chat_template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}"
        "{% endif %}{{ m['content'] }}{% endfor %}"
    )
    made = apply_choice(byte_tokenizer, "auto")
    pair = Pair("p9", [{"role": "system", "content": "s"}, USER], "a", "b")
    with pytest.raises(UserError, match=r'refuses the messages of pair "p9" \(no system role\)'):
        tokenise([pair], byte_tokenizer, made, max_length=99)


def test_lone_surrogates_are_repaired_and_counted(byte_tokenizer: Any) -> None:
    made = apply_choice(byte_tokenizer, "auto")
    pair = Pair("a", [{"role": "user", "content": "h\ud800i"}], "y\udfffes", "no\x00")
    found = tokenise([pair, Pair("b", [USER], "x", "y")], byte_tokenizer, made, max_length=99)
    assert found.repaired == 1
    assert found.kept[0].pair.chosen == "y\ufffdes"
    assert "h\ufffdi" in byte_tokenizer.decode(found.kept[0].prompt_ids)


def test_pairs_that_teach_nothing_are_dropped_and_counted(byte_tokenizer: Any) -> None:
    made = apply_choice(byte_tokenizer, "auto")
    pairs = [
        Pair("a", [USER], "x", "x"),
        Pair("b", [USER], " \n", "x"),
        Pair("c", [USER], "x", ""),
        Pair("d", [USER], "x", "y"),
    ]
    found = tokenise(pairs, byte_tokenizer, made, max_length=99)
    assert [t.pair.id for t in found.kept] == ["d"]
    assert found.dropped == {IDENTICAL: 1, EMPTY: 2}
    alone = tokenise(pairs, byte_tokenizer, made, max_length=99, needs_rejected=False)
    assert [t.pair.id for t in alone.kept] == ["a", "c", "d"]
    assert alone.kept[0].rejected_ids == []


LLAMA = (
    "{%- if not date_string is defined %}{%- if strftime_now is defined %}"
    '{%- set date_string = strftime_now("%d %b %Y") %}{%- else %}{%- set date_string = "26 Jul 2024" %}'
    "{%- endif %}{%- endif %}{{- 'Today Date: ' + date_string + '\n' }}"
)
GRANITE = "{{- \"Today's Date: \" + strftime_now('%B %d, %Y') + '.\n' }}"
TURNS = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("dated", "written", "other"),
    [
        (LLAMA, "Today Date: 26 Jul 2024\n", "Today Date: 31 Jan 2025\n"),
        (GRANITE, "Today's Date: July 26, 2024.\n", "Today's Date: January 31, 2025.\n"),
    ],
)
def test_todays_date_is_a_recorded_one(
    byte_tokenizer: Any, tmp_path: Path, dated: str, written: str, other: str
) -> None:
    """Whoever renders the saved template: no later stage knows of the setting."""
    from transformers import AutoTokenizer

    messages = [{"role": "user", "content": "hi"}]
    byte_tokenizer.chat_template = dated + TURNS
    today = byte_tokenizer.apply_chat_template(messages, tokenize=False)
    assert not today.startswith(written)
    for day, expected in ((date(2024, 7, 26), written), (date(2025, 1, 31), other)):
        byte_tokenizer.chat_template = dated + TURNS
        assert apply_choice(byte_tokenizer, "tokenizer", day).day == day
        byte_tokenizer.save_pretrained(tmp_path / day.isoformat())
        saved = AutoTokenizer.from_pretrained(tmp_path / day.isoformat())
        assert saved.apply_chat_template(messages, tokenize=False).startswith(expected)


def test_a_template_without_a_date_is_left_as_it_is(byte_tokenizer: Any) -> None:
    byte_tokenizer.chat_template = TURNS
    assert apply_choice(byte_tokenizer, "tokenizer").day is None
    assert byte_tokenizer.chat_template == TURNS


def test_a_date_in_a_computed_format_is_refused(byte_tokenizer: Any) -> None:
    byte_tokenizer.chat_template = "{% set format = '%d' %}{{ strftime_now(format) }}" + TURNS
    with pytest.raises(UserError, match=r"today's date in a format that it computes.*data.chat_template"):
        apply_choice(byte_tokenizer, "tokenizer")
