"""What every command of the docs is to a test: run as it stands, run smaller, or not run, and why.

Those of `RUN` are run in a folder that holds the files they name. They have to end well, say what the docs
promise and leave what they promise. Flags of `smaller` are given after the documented words, so that a
comparison of minutes takes seconds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:make|(?:\.venv/bin/)?harness) .*$", flags=re.MULTILINE)


def blocks(page: Path) -> list[tuple[str, str]]:
    """(language, text) of every block of code."""
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def lines() -> list[str]:
    """Every command of every block, without its comment, once."""
    found = [
        line.partition(" #")[0].replace("...", "name").strip()
        for page in PAGES
        for language, text in blocks(page)
        if language in ("", "bash")
        for line in COMMAND.findall(text)
    ]
    return sorted(dict.fromkeys(found))


@dataclass(frozen=True)
class Given:
    """How a command is run: flags after its own, files that it makes, words that it says, how it may end."""

    says: str = ""
    makes: tuple[str, ...] = ()
    smaller: tuple[str, ...] = ()
    codes: tuple[int, ...] = (0,)
    on_a_copy: bool = False


FEW = ("--set", "data.limit=64", "--set", "data.test_limit=20")
PAIR = ("--arms", "sft_dpo,orpo", "--seeds", "1")
SMALL = (*FEW, "--seeds", "1", "--score", "preference alpaca_eval")
ALIKE = ("--set", "generation.max_new_tokens=32", "--set", "generation.batch_size=64")
"""Answers as the embedded comparison makes them: runs of other ones stand in no table with it."""
OWN = (*FEW, *PAIR, *ALIKE, "--set", "data.max_length=64")
ALONE = (*OWN, "--arms", "orpo")
REPORT = tuple(f"runs/latest/report/{name}" for name in ("report.html", "report.md", "comparison.json"))
PAPER = tuple(f"runs/latest/paper/{name}" for name in ("paper.tex", "tables/main.tex", "macros.tex"))

RUN: Mapping[str, Given] = {
    "make compare": Given("Next: harness ", (*REPORT, "runs/mlflow.db"), SMALL),
    'make compare MODEL=./my-model DATA=./pairs.jsonl SEEDS=3 SCORE="preference behaviour"': Given(
        "Page: file://", REPORT, OWN
    ),
    "harness compare --stage-timeout 60 --set stage_retries=2": Given("reused, finished", REPORT, SMALL),
    "make plan": Given("sft_dpo/dpo@2"),
    "harness plan --format json": Given('"digest"'),
    "harness plan --why": Given("would run"),
    "make plan WHY=1": Given("would run"),
    "make plan POWER=1": Given("rubric.grade"),
    "make plan DEVICES=1,8": Given("unit(s) to run"),
    "make plan COMPARISON=mine.yaml DEVICES=1,8,64": Given("unit(s) to run"),
    "make cost COMPARISON=mine.yaml": Given("Predicted cost of an arm", smaller=OWN),
    "harness plan mine.yaml --devices 4+4@2": Given("unit(s) to run"),
    "harness plan mine.yaml --devices 64 --peak-tflops 990 --mfu 0.4": Given("unit(s) to run"),
    "harness plan latest --devices 1,2,8": Given("a finished run played through again"),
    "make plan COMPARISON=field": Given("sft_kto/kto@2"),
    "make plan COMPARISON=ladder": Given("sft_orpo_without_nll/orpo@0"),
    "make plan COMPARISON=phase": Given("data.limit 128, data.label_noise 0.0"),
    "make plan COMPARISON=tuned": Given("48 trials in all"),
    "make plan MODEL=./my-model DATA=./pairs.jsonl": Given("orpo/orpo@0"),
    'make plan COMPARISON=mine.yaml ARMS="sft_dpo alphapo"': Given("alphapo/alphapo@0"),
    "make compare MODEL=config:./my-config DATA=./pairs": Given(
        "Page: file://", REPORT, ALONE, on_a_copy=True
    ),
    "make cost MODEL=config:./my-config DATA=./pairs": Given("orpo", smaller=ALONE),
    "make cost MODEL=name PEAK_TFLOPS=990 MFU=0.4": Given("orpo", smaller=(*ALONE, "--data", "pairs.jsonl")),
    "make score BENCHMARK=rubric": Given("Page: file://", REPORT),
    "harness score RUN --benchmark alpaca_eval --judge reward_model "
    "--set benchmarks.alpaca_eval.judge_config.model=./rm": Given("Page: file://", REPORT, on_a_copy=True),
    "make report RUN=latest": Given(makes=REPORT),
    "make replay FOLDER=./published": Given("Page: file://", REPORT, on_a_copy=True),
    "harness replay FOLDER": Given("Page: file://", REPORT, on_a_copy=True),
    "make calibrate": Given("cells hold", smaller=("--simulations", "100"), codes=(0, 1)),
    "make doctor": Given("packages"),
    ".venv/bin/harness status": Given("finished"),
    "harness status": Given("finished"),
    "harness status RUN --out DIR": Given("finished"),
    "harness status --out /scratch/runs": Given("finished"),
    ".venv/bin/harness data embedded": Given("896"),
    'make compare ARMS="sft orpo" SEEDS=1': Given(
        "Page: file://", REPORT, (*FEW, "--score", "preference"), on_a_copy=True
    ),
    ".venv/bin/harness beside latest": Given("published"),
    ".venv/bin/harness check latest": Given("Claims on", codes=(0, 1)),
    ".venv/bin/harness data pairs.jsonl": Given("pairs.jsonl"),
    "harness data pairs.jsonl": Given("pairs.jsonl"),
    "harness data pairs.jsonl --format json": Given('"train"'),
    "harness data pairs.jsonl --model ./my-model": Given("pairs.jsonl"),
    "harness data pairs.jsonl --model MODEL": Given("pairs.jsonl"),
    ".venv/bin/harness report RUN RUN": Given(makes=("runs/runs-*/report/report.html",)),
    ".venv/bin/harness paper RUN --style acl": Given("pdflatex paper", PAPER),
    ".venv/bin/harness paper latest --style acl": Given("pdflatex paper", PAPER),
    "harness paper latest --rows sft_dpo,orpo --columns time,flops,win_rate --style acl": Given(
        "pdflatex paper", PAPER
    ),
    "harness paper RUN RUN --rows sft_dpo,orpo": Given("pdflatex paper"),
    ".venv/bin/harness check RUN": Given("Claims on", codes=(0, 1)),
    '.venv/bin/harness trace RUN "main orpo"': Given("orpo/orpo@0"),
    ".venv/bin/harness diff RUN RUN": Given("model"),
    ".venv/bin/harness beside RUN": Given("this run"),
    ".venv/bin/harness verify RUN": Given("all as they were written"),
    ".venv/bin/harness sync": Given("Nothing waits"),
    ".venv/bin/harness clean": Given("Nothing was removed"),
    "harness clean": Given("Nothing was removed"),
    "harness clean --yes": Given("Removed", on_a_copy=True),
    "harness clean RUN RUN --yes": Given("Removed", on_a_copy=True),
    "make fetch TO=bundle": Given("needs nothing from outside", ("bundle/manifest.json",)),
    "harness fetch mine.yaml --to bundle": Given("bundle: 0 files", ("bundle/manifest.json",)),
    "harness plan mine.yaml --offline bundle": Given("sft_dpo/dpo@2"),
    "make compare OFFLINE=bundle": Given("Next: harness ", REPORT, SMALL),
    "make ui": Given("embedded: http://127.0.0.1:"),
}
HUB = "a model or data of a hub, that no test may ask, and hours on a GPU"
FOUR_BITS = 'SET="training.lora.r=16 training.quantization=4bit data.limit=5000"'
NOT_RUN: dict[str, str] = {
    "make setup": "installs the environment that the tests run in",
    "make test": "is the tests",
    "make bench": "measures for an hour on a quiet machine; its programs have tests of their own",
    "make plan MODEL=name": HUB,
    "make plan MODEL=name DEVICES=1,8": HUB,
    "make plan COMPARISON=papers/orpo_phi_2": HUB,
    "make compare COMPARISON=judged.yaml": "an API judge, which costs money",
    "make compare MODEL=./models/qwen DATA=./data/ultrafeedback OUT=/scratch/runs": HUB,
    "make compare MODEL=Qwen/Qwen2.5-0.5B": HUB,
    'make compare MODEL=Qwen/Qwen2.5-0.5B SET="data.limit=2000 training.lora.r=16"': HUB,
    'make compare MODEL=Qwen/Qwen2.5-0.5B SET="training.lora.r=16 data.limit=2000"': HUB,
    f"make compare MODEL=Qwen/Qwen2.5-1.5B {FOUR_BITS}": HUB,
    "make fetch TO=bundle MODEL=Qwen/Qwen2.5-0.5B": HUB,
    "make compare MODEL=Qwen/Qwen2.5-0.5B OFFLINE=bundle": HUB,
    'make compare MODEL=mistralai/Mistral-7B-v0.1 SET="training.devices=4 training.parallel=fsdp2"': HUB,
    "harness compare --set training.devices=2 --device 0,2": "two GPUs",
    "make plan MODEL=Qwen/Qwen2.5-0.5B": HUB,
    f"make plan MODEL=Qwen/Qwen2.5-1.5B {FOUR_BITS}": HUB,
    "harness compare --device 0,2": "several GPUs",
    "harness compare --out /shared/runs --set executor=ray": "a Ray cluster that runs",
    """harness compare --out /shared/runs --set "executor={name: ray, address: 'ray://HOST:10001'}\"""": (
        "a Ray cluster of other machines"
    ),
}
SLURM = "a cluster under SLURM; tests/e2e/test_executors.py runs the same on submitit's local one"
NOT_RUN |= dict.fromkeys(
    (
        "harness compare mine.yaml --out /shared/runs",
        "harness compare mine.yaml --out /shared/runs --set executor.wait=false",
        "harness status --out /shared/runs",
    ),
    SLURM,
)
ROUNDS = "tests/e2e/test_improve.py::test_a_next_round_is_tested_on_the_same_pairs_and_tells_its_gain"
WHOLE = "tests/e2e/test_export.py::test_whole_weights_score_the_same_to_the_bit"
FORMS = "tests/unit/forms/test_forms.py::test_what_is_written_is_the_model_within_what_its_form_rounds"
COLLECTED = (
    "tests/e2e/test_executors.py::test_slurm_jobs_are_preempted_left_and_collected_with_the_same_scores"
)
VOTED = "tests/e2e/test_arena.py::test_votes_survive_a_kill_and_become_a_judge_with_agreement"
ON_TRAINING = "tests/e2e/test_arena.py::test_votes_on_training_prompts_make_a_next_round"
SERVED = "tests/e2e/test_serve.py::test_a_real_client_is_answered_and_a_killed_server_starts_again"
ON_TWO = "tests/e2e/test_executors.py::test_blocks_run_side_by_side_on_cores_of_their_own"
ELSEWHERE: Mapping[str, str] = {
    "harness compare --again orpo": "tests/e2e/test_compare.py::test_stages_run_again_and_nothing_is_lost",
    "make compare AGAIN=orpo": "tests/e2e/test_compare.py::test_stages_run_again_and_nothing_is_lost",
    "make compare COMPARISON=phase": (
        "tests/e2e/test_sweep.py::test_a_sweep_runs_reports_and_runs_again_for_nothing"
    ),
    "make compare COMPARISON=tuned": (
        "tests/e2e/test_tuning.py::test_it_goes_on_after_a_kill_and_trains_the_winners"
    ),
    "harness export latest --arm orpo --to winner": WHOLE,
    ".venv/bin/harness export RUN --arm orpo --to winner": WHOLE,
    "harness export latest --arm orpo --seed best --to winner8 --quantize int8": FORMS,
    "harness export latest --arm orpo --to winner_gguf --quantize gguf:q8_0": (
        "tests/e2e/test_export.py::test_gguf_has_an_interval_and_a_verdict"
    ),
    "harness improve latest --arm orpo --judge embedded --to round2": ROUNDS,
    ".venv/bin/harness improve RUN --arm orpo --judge embedded --to round2": ROUNDS,
    "harness compare round2/comparison.yaml": ROUNDS,
    "harness arena latest": VOTED,
    ".venv/bin/harness arena RUN": VOTED,
    "harness score latest --benchmark alpaca_eval --judge human "
    "--set benchmarks.alpaca_eval.judge_config.votes=votes.jsonl": VOTED,
    "harness arena latest --prompts train": ON_TRAINING,
    "harness improve latest --from arena --to round2": ON_TRAINING,
    "harness collect --out /shared/runs": COLLECTED,
    ".venv/bin/harness collect": COLLECTED,
    **dict.fromkeys(
        (
            ".venv/bin/harness serve --arm orpo",
            "harness serve --arm orpo",
            "harness serve RUN --arm sft_dpo --seed 1 --port 8001",
        ),
        SERVED,
    ),
    "harness serve ./my-model": "tests/e2e/test_serve.py::test_a_model_folder_is_served_as_it_is",
    "harness serve --arm orpo --check": "tests/e2e/test_serve.py::test_served_answers_are_those_of_the_run",
    **dict.fromkeys(
        (".venv/bin/harness serve --arm orpo --load", "harness serve --arm orpo --load"),
        "tests/e2e/test_serve.py::test_load_figures_are_written_with_where_they_were_measured",
    ),
    "harness compare --set executor.devices=2": ON_TWO,
    "harness compare --set executor.devices=all": ON_TWO,
    'harness compare --set "executor={name: ray, address: local, cpus: 1}"': (
        "tests/e2e/test_executors.py::test_ray_scores_the_same_bit_for_bit"
    ),
    'make compare SET="training.devices=2"': (
        "tests/e2e/test_several_devices.py::test_two_devices_a_stage_end_to_end"
    ),
    "make compare COMPARISON=mine.yaml UNTIL_DECIDED=1": (
        "tests/e2e/test_compare.py::test_looks_add_seeds_and_train_nothing_twice"
    ),
}
"""Run by a test of their own, since they take long."""
