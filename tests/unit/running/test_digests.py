"""What runs again after a change, and what does not: a table of changes, as a human would expect."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness import registry
from harness.pipeline.load import find_comparison, load_comparison
from harness.pipeline.overrides import Overrides
from harness.pipeline.plan import plan_comparison
from harness.running import packages, resolve, sources

ROOT = Path(__file__).parents[3]
PLUG_IN = """from harness.pipeline.training_spec import TrainConfig
from plugged.weights import WEIGHT

class Config(TrainConfig):
    '''Settings of a method from outside.'''
"""
TASK = "task: mine\ndataset_path: json\noutput_type: multiple_choice\n"

TRAINED = {"sft/sft@0", "sft_dpo/dpo@0", "orpo/orpo@0", "plug/plugged@0"}
REHEARSED = {"rehearse sft", "rehearse dpo", "rehearse orpo", "rehearse plugged"}
SCORED = {f"{arm}/evaluate@0" for arm in ("sft", "sft_dpo", "orpo", "plug")} | {"base/evaluate", "judge"}
TRIED = {"rehearse scoring"}
OF_BASE = {"base/evaluate"} | TRIED
OF_DPO = {"rehearse dpo", "sft_dpo/dpo@0", "sft_dpo/evaluate@0", "judge"}
OF_PLUG = {"rehearse plugged", "plug/plugged@0", "plug/evaluate@0", "judge"}
OF_ORPO = {"rehearse orpo", "orpo/orpo@0", "orpo/evaluate@0", "judge"}
TRAINING = TRAINED | REHEARSED | SCORED | TRIED
SCORING = {"check"} | SCORED | TRIED
JUDGING = SCORING - TRIED
ON_DEVICE = {"check"} | TRAINING
ALL = {"prepare"} | ON_DEVICE
NOTHING: set[str] = set()


class World:
    """A copy of the harness, a plug-in, data, templates, prompts and a machine, all of which can change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.versions: dict[str, str] = {}
        self.device = "cuda:GPU-1"
        self.driver: str | None = "550.1"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "harness", folder / "harness", ignore=ignored)
        self._write_plug_in()
        self._write_inputs()

    def _write_plug_in(self) -> None:
        site = self.folder / "site"
        for name, text in {
            "plugged/__init__.py": "",
            "plugged/method.py": PLUG_IN,
            "plugged/weights.py": "WEIGHT = 1.0\n",
            "plugged/other.py": "UNUSED = 1\n",
            "plugged/table.csv": "a,b\n",
            "plugged-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n",
            "plugged-1.0.dist-info/entry_points.txt": "[harness.methods]\nplugged = plugged.method\n",
        }.items():
            (site / name).parent.mkdir(parents=True, exist_ok=True)
            (site / name).write_text(text)

    def _write_inputs(self) -> None:
        row = {"prompt": "say cat", "chosen": "cat .", "rejected": "dog ."}
        for name, text in {
            "pairs.jsonl": json.dumps(row) + "\n",
            "template.jinja": "{{ messages }}",
            "prompts.json": json.dumps([{"instruction": "a", "output": "b"}]),
            "questions/question.jsonl": json.dumps({"question_id": 1, "turns": ["a"]}) + "\n",
            "questions/reference_answer/gpt-4.jsonl": "{}\n",
            "tasks/mine.yaml": TASK,
            "tasks/code/metric.py": "def score(x):\n    return x\n",
            "encoder/config.json": "{}",
            "reward/config.json": "{}",
            "sft.jsonl": "{}\n",
            "plug.yaml": "kind: arm\nname: plug\nstages:\n  - method: plugged\n    config: "
            "{learning_rate: 0.001}\n",
        }.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def settings(self) -> tuple[str, ...]:
        here = self.folder
        jury = [{"judge": "openai", "judge_config": {"model": "m"}}]
        jury.append({"judge": "reward_model", "judge_config": {"model": str(here / "reward")}})
        return (
            f"data.chat_template={here / 'template.jinja'}",
            f"benchmarks.alpaca_eval.prompt_set={here / 'prompts.json'}",
            "benchmarks.alpaca_eval.judge=jury",
            f"benchmarks.alpaca_eval.judge_config={json.dumps({'judges': jury})}",
            f"benchmarks.mt_bench.questions={here / 'questions'}",
            f"benchmarks.lm_eval.include_path={here / 'tasks'}",
            "benchmarks.lm_eval.tasks=[mine]",
            f"benchmarks.diversity.embeddings={here / 'encoder'}",
        )

    def digests(self, *sets: str) -> dict[str, str]:
        """The digest of every stage by its name, at these settings."""
        overrides = Overrides(
            data=str(self.folder / "pairs.jsonl"),
            arms=["sft", "sft_dpo", "orpo", str(self.folder / "plug.yaml")],
            seeds="1",
            score=["preference", "rubric", "alpaca_eval", "mt_bench", "lm_eval", "diversity"],
            sets=(*self.settings(), *sets),
        )
        spec = load_comparison(find_comparison("embedded", model=None), overrides)
        plan = plan_comparison(spec, resolve.resolve(spec))
        return {stage.name: digest for digest, stage in plan.stages.items()}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    top, version = sources._top, metadata.version
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(world.folder / "site"))
        # No change touches what is installed but by `versions`, and asking for it anew took most of the time.
        for name in ("packages_distributions", "requires"):
            patch.setattr(packages.metadata, name, functools.cache(getattr(metadata, name)))
        patch.setattr(registry, "entry_points", functools.cache(metadata.entry_points))
        patch.setattr(
            sources, "_top", lambda n: world.folder / "harness/__init__.py" if n == "harness" else top(n)
        )
        patch.setattr(
            packages.metadata, "version", lambda n: world.versions[n] if n in world.versions else version(n)
        )
        patch.setattr(resolve, "device_identity", lambda: world.device)
        patch.setattr(resolve, "driver_version", lambda: world.driver)
        yield world


@pytest.fixture(scope="module")
def before(world: World) -> dict[str, str]:
    return world.digests()


Change = Callable[[World], contextlib.AbstractContextManager[None]]


def edited(path: str, old: str, new: str) -> Change:
    """`old` replaced by `new` in a file of the world."""

    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        file = world.folder / path
        text = file.read_text()
        assert text.count(old) >= 1, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1))
        yield
        file.write_text(text)

    return change


def more_code(path: str) -> Change:
    """One statement more in a Python file of the world."""

    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        file = world.folder / path
        text = file.read_text()
        file.write_text(f"{text}\nNEW = 1\n")
        yield
        file.write_text(text)

    return change


def added(path: str, text: str) -> Change:
    """A file that was not there."""

    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        (world.folder / path).write_text(text)
        yield
        (world.folder / path).unlink()

    return change


def variable(name: str, value: str) -> Change:
    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(name, value)
            yield

    return change


def installed(name: str, version: str) -> Change:
    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        world.versions[name] = version
        yield
        del world.versions[name]

    return change


def machine(**facts: str) -> Change:
    @contextlib.contextmanager
    def change(world: World) -> Iterator[None]:
        was = {name: getattr(world, name) for name in facts}
        vars(world).update(facts)
        yield
        vars(world).update(was)

    return change


CHANGES: dict[str, tuple[Change, set[str]]] = {
    "a comment in a judge": (
        edited("harness/judges/openai.py", "class Config", "# new\nclass Config"),
        NOTHING,
    ),
    "a docstring of a method": (edited("harness/methods/orpo.py", '"""', '"""More words. '), NOTHING),
    "layout of a file that all stages use": (
        edited("harness/measure/window.py", "\nclass ", "\n\n\n\nclass "),
        NOTHING,
    ),
    "a judge's prompt": (
        edited("harness/judges/openai.py", "Length alone is no merit", "Long is bad"),
        JUDGING,
    ),
    "code of a benchmark": (more_code("harness/benchmarks/preference.py"), SCORING),
    "code of a benchmark that is not scored": (
        more_code("harness/benchmarks/behaviour.py"),
        NOTHING,
    ),
    "a new file in benchmarks/": (added("harness/benchmarks/another.py", "VALUE = 1\n"), NOTHING),
    "a new file in data/": (added("harness/data/another.py", "VALUE = 1\n"), NOTHING),
    "code of one method": (
        more_code("harness/methods/orpo.py"),
        OF_ORPO,
    ),
    "code of the matched trainer": (
        more_code("harness/training/trainer.py"),
        TRAINING - OF_BASE,
    ),
    "a stock trainer, which no setting uses": (more_code("harness/training/stock/orpo.py"), NOTHING),
    "code that measures": (more_code("harness/measure/energy.py"), ALL),
    "code of the report": (more_code("harness/render/markdown.py"), NOTHING),
    "code that plans": (more_code("harness/pipeline/plan.py"), NOTHING),
    "a record of the report": (
        more_code("harness/records/comparison.py"),
        NOTHING,
    ),
    "a name that records pass on": (
        edited("harness/records/__init__.py", "__all__ = [", '__all__ = ["New", '),
        NOTHING,
    ),
    "the pairs": (edited("pairs.jsonl", "dog", "cow"), ALL),
    "the chat template": (edited("template.jinja", "messages", "messages[0]"), ALL),
    "the prompts of AlpacaEval": (edited("prompts.json", '"a"', '"c"'), SCORING),
    "the questions of MT-Bench": (edited("questions/question.jsonl", '"a"', '"c"'), SCORING),
    "the reference answers beside them": (
        edited("questions/reference_answer/gpt-4.jsonl", "{}", '{"a": 1}'),
        SCORING,
    ),
    "a task file of lm-eval": (edited("tasks/mine.yaml", "mine", "mine # x"), SCORING),
    "a metric in the folder of tasks": (edited("tasks/code/metric.py", "return x", "return 2 * x"), SCORING),
    "a sentence encoder": (edited("encoder/config.json", "{}", '{"a": 1}'), SCORING),
    "a reward model on a jury": (edited("reward/config.json", "{}", '{"a": 1}'), {"check", "judge"}),
    "code of a plug-in": (edited("site/plugged/weights.py", "1.0", "2.0"), OF_PLUG),
    "a comment in a plug-in": (edited("site/plugged/weights.py", "WEIGHT", "# new\nWEIGHT"), NOTHING),
    "a file of a plug-in that its method does not use": (
        edited("site/plugged/other.py", "1", "2"),
        NOTHING,
    ),
    "data of a plug-in": (edited("site/plugged/table.csv", "a", "c"), OF_PLUG),
    "a new version of trl": (installed("trl", "99"), TRAINING - OF_BASE),
    "a new version of lm-eval": (installed("lm-eval", "99"), SCORING),
    "a new version of tokenizers": (installed("tokenizers", "99"), ALL),
    "a new version of mlflow": (installed("mlflow", "99"), NOTHING),
    "a new version of pydantic": (installed("pydantic", "99"), NOTHING),
    "an unrelated package": (installed("cowsay", "6.1"), NOTHING),
    "triton": (installed("triton", "3.9"), ALL),
    "bitsandbytes, which no setting uses": (installed("bitsandbytes", "0.50"), NOTHING),
    "flash-attn, which no setting uses": (installed("flash-attn", "2.9"), NOTHING),
    "another driver": (machine(driver="560.2"), ON_DEVICE),
    "another GPU": (machine(device="cuda:GPU-2"), ON_DEVICE),
    "threads": (variable("OMP_NUM_THREADS", "3"), ON_DEVICE),
    "the allocator": (variable("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"), ON_DEVICE),
    "precision by a variable": (variable("NVIDIA_TF32_OVERRIDE", "0"), ON_DEVICE),
    "whom judges ask": (variable("OPENAI_BASE_URL", "http://127.0.0.1:1"), JUDGING),
    "a variable that changes no result": (variable("EDITOR", "ed"), NOTHING),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_change_of_the_world_runs_again(name: str, world: World, before: dict[str, str]) -> None:
    change, expected = CHANGES[name]
    with change(world):
        after = world.digests()
    assert {stage for stage in before if after[stage] != before[stage]} == expected


SETTINGS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "fewer test pairs": (("data.test_limit=3",), {"prepare", *SCORING}),
    "test pairs that training knows": (("data.test_overlap=keep",), {"prepare", *SCORING}),
    "fewer pairs": (("data.limit=3",), ALL),
    "another share for the test": (("data.test_fraction=0.2",), ALL),
    "a setting of one stage": (("stages.dpo.beta=0.3",), OF_DPO),
    "how answers are made": (("generation.max_new_tokens=9",), SCORING),
    "how judges compare": (("benchmarks.alpaca_eval.judge=embedded",), {"check", "judge"}),
    "how a judge grades": (
        ("benchmarks.rubric.judge=openai", "benchmarks.rubric.judge_config.model=m"),
        JUDGING,
    ),
    "a share for validation, where no stage stops early": (("data.validation_fraction=0.2",), NOTHING),
    "the date that templates write": (("data.template_date=2025-01-31",), ALL),
    "questions": (("questions=[]",), NOTHING),
    "prices": (("factors.price_per_kwh=1",), NOTHING),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_setting_runs_again(name: str, world: World, before: dict[str, str]) -> None:
    sets, expected = SETTINGS[name]
    if name == "how judges compare":
        sets = (*sets, "benchmarks.alpaca_eval.judge_config={}")
    after = world.digests(*sets)
    assert {stage for stage in before if after.get(stage) != before[stage]} == expected


def test_undone_all_is_as_it_was(world: World, before: dict[str, str]) -> None:
    assert world.digests() == before


STOPPING = "stages.orpo.early_stopping.patience=2"


def test_one_stage_that_stops_early_takes_pairs_from_every_arm(world: World, before: dict[str, str]) -> None:
    after = world.digests(STOPPING)
    assert {stage for stage in before if after[stage] != before[stage]} == ALL


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data.test_limit=3", {"prepare", *SCORING}),
        ("data.test_overlap=keep", {"prepare", *SCORING}),
        ("data.validation_fraction=0.2", ALL),
    ],
)
def test_early_stopping_reads_validation_and_not_the_test(
    world: World, setting: str, expected: set[str]
) -> None:
    before, after = world.digests(STOPPING), world.digests(STOPPING, setting)
    assert {stage for stage in before if after[stage] != before[stage]} == expected


def test_packages_count_where_a_setting_uses_them(world: World) -> None:
    settings = (
        "training.lora.r=4",
        "stages.dpo.quantization=4bit",
        "stages.orpo.attention=flash_attention_2",
    )
    before = world.digests(*settings)
    with installed("bitsandbytes", "0.50")(world):
        after = world.digests(*settings)
    assert {stage for stage in before if after[stage] != before[stage]} == OF_DPO
    with installed("flash-attn", "2.9")(world):
        after = world.digests(*settings)
    assert {stage for stage in before if after[stage] != before[stage]} == OF_ORPO


def test_a_stock_trainer_counts_where_a_setting_uses_it(world: World) -> None:
    setting = "stages.orpo.implementation=trl"
    before = world.digests(setting)
    with more_code("harness/training/stock/orpo.py")(world):
        after = world.digests(setting)
    assert {stage for stage in before if after[stage] != before[stage]} == OF_ORPO


def test_sft_data_of_one_arm_leaves_the_others_alone(world: World, before: dict[str, str]) -> None:
    arms = [
        "sft",
        "orpo",
        {"pipeline": "sft_dpo", "name": "own", "sft_data": str(world.folder / "sft.jsonl")},
    ]
    after = world.digests(f"arms={json.dumps(arms)}")
    with edited("sft.jsonl", "{}", '{"a": 1}')(world):
        changed = world.digests(f"arms={json.dumps(arms)}")
    again = {stage for stage in after if changed[stage] != after[stage]}
    assert {"own/sft@0", "own/dpo@0"} <= again
    assert not again & {"sft/sft@0", "orpo/orpo@0", "rehearse orpo"}


def test_a_gpu_that_cannot_be_named_is_never_a_reason_for_reuse(
    world: World, before: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine(device=resolve.UNKNOWN_DEVICE)(world):
        one = world.digests()
        monkeypatch.setattr(resolve, "THIS_PROCESS", "another")
        other = world.digests()
    assert {stage for stage in one if other[stage] != one[stage]} == ON_DEVICE


def test_every_stage_covers_its_own_code_and_packages(world: World) -> None:
    overrides = Overrides(arms=["sft_dpo", "orpo"], seeds="1")
    spec: Any = load_comparison(find_comparison("embedded", model=None), overrides)
    plan = plan_comparison(spec, resolve.resolve(spec))
    for stage in plan.stages.values():
        assert stage.covers is not None
        assert {f"harness/stages/{stage.kind}.py", "harness/stages/child.py"} <= set(stage.covers.code)
        assert "python" in stage.covers.packages
        rooms = {file.split("/")[1] for file in stage.covers.code}
        assert not rooms & {"evidence", "render", "commands", "running", "store"}
        if stage.kind in ("train", "rehearse"):
            assert not rooms & {"benchmarks", "judges"}
            assert {"torch", "transformers", "accelerate", "numpy"} <= set(stage.covers.packages)
