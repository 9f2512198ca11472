"""What digests cover, compared part by part, and read out of settings."""

from __future__ import annotations

from typing import Any

from harness.pipeline.covers import changes, digest_of_covers, judges_in, optional_packages
from harness.records import Covers


def covers(**parts: Any) -> Covers:
    settings = {"learning_rate": 0.1, "lora": {"r": 4}, "name": None}
    return Covers(**{"kind": "train", "seed": 0, "config": settings, "device": "cpu:x", **parts})


def test_equal_covers_have_no_changes_and_one_digest() -> None:
    assert changes(covers(), covers()) == []
    assert digest_of_covers(covers()) == digest_of_covers(covers())


def test_every_part_is_part_of_the_digest_but_what_stands_beside() -> None:
    parts: dict[str, Any] = {
        "kind": "rehearse",
        "seed": 1,
        "config": {},
        "inputs": {"model": "d"},
        "code": {"a.py": "1"},
        "packages": {"torch": "2"},
        "files": {"x": "1"},
        "environment": {"OMP_NUM_THREADS": "2"},
        "device": None,
    }
    assert set(parts) | {"beside"} == set(Covers.model_fields)
    for name, value in parts.items():
        assert digest_of_covers(covers(**{name: value})) != digest_of_covers(covers()), name
        assert len(changes(covers(), covers(**{name: value}))) >= 1, name
    assert digest_of_covers(covers(beside={"test pairs": "d"})) == digest_of_covers(covers())


def test_changes_say_where_and_what() -> None:
    old = covers(
        code={"a.py": "1", "b.py": "1"}, packages={"torch": "2.13", "trl": "1"}, files={"t.jinja": "1"}
    )
    new = covers(
        config={"learning_rate": 0.2, "lora": {"r": 8}, "name": None},
        code={"a.py": "2", "c.py": "1"},
        packages={"torch": "2.14"},
        files={"t.jinja": "2"},
        inputs={"prepared": "d"},
        environment={"OMP_NUM_THREADS": "4"},
    )
    assert changes(old, new) == [
        "config learning_rate: 0.1 -> 0.2",
        "config lora.r: 4 -> 8",
        "inputs prepared is new",
        "code a.py changed",
        "code b.py is gone",
        "code c.py is new",
        'packages torch: "2.13" -> "2.14"',
        'packages trl: "1" -> none',
        "files t.jinja changed",
        'environment OMP_NUM_THREADS: none -> "4"',
    ]


def test_judges_are_found_at_any_depth() -> None:
    jury = {"judges": [{"judge": "a", "judge_config": {"model": "x"}}, {"judge": "b"}]}
    config = {"alpaca_eval": {"judge": "jury", "judge_config": jury}, "preference": {"limit": None}}
    assert list(judges_in(config)) == [("jury", jury), ("a", {"model": "x"}), ("b", {})]


def test_packages_that_settings_ask_for() -> None:
    plain = {
        "quantization": "none",
        "optimizer": "adamw_torch",
        "attention": "sdpa",
        "use_liger_kernel": False,
    }
    assert optional_packages({"job": {"config": plain}}) == set()
    asking = {"quantization": "4bit", "attention": "flash_attention_2", "use_liger_kernel": True}
    assert optional_packages({"job": {"config": asking}}) == {"bitsandbytes", "flash-attn", "liger-kernel"}
    assert optional_packages({"optimizer": "paged_adamw_8bit"}) == {"bitsandbytes"}
    assert optional_packages({"benchmarks": {"lm_eval": {"backend": "vllm"}}}) == {"vllm"}
    assert optional_packages({"generation": {"engine": "vllm"}}) == {"vllm"}
