"""The embedded comparison killed at random moments and continued to the end, over and over.

    python perf/soak.py [--count 100] [--out FOLDER] [--seed 0] [--report FILE]

A small comparison runs once undisturbed. Then, for each trial, some of its stages and all that was made
from them are deleted, the same command runs, a signal ends parent, child or both at a moment of a chosen
phase, and the same command runs until it ends well. What it left has to equal the undisturbed run: weights,
scores and items to the bit, no process, no leftover, and no stage that was finished at the kill run twice.
Exits 1 where one trial does not.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.records import Plan, StageKind, StageResult
from harness.sealed import read_sealed
from harness.store.run_dir import RunRoot, read_record

SETTINGS = (
    *("--arms", "sft_dpo orpo", "--seeds", "1", "--score", "preference alpaca_eval"),
    *("--set", "data.limit=128", "--set", "data.test_limit=20", "--set", "training.batch_size=8"),
    *("--set", "training.micro_batch_size=8", "--set", "checkpoint_minutes=0.0001"),
)
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
VICTIMS = ("parent", "child", "both")
TRIES = 4
"""Times that the command may be needed to end well after one kill: a child's death fails its cell alone."""
PATIENCE = 300.0


@dataclasses.dataclass(frozen=True)
class Phase:
    """A phase in which to kill: the kind of stage that is to run, the sign that it has begun, and how many
    seconds it takes at most."""

    name: str
    kind: StageKind
    sign: str
    seconds: float


PHASES = (
    Phase("start", "train", "", 4.0),
    Phase("preparing", "prepare", "stages/{stage}/.at_work", 4.0),
    Phase("rehearsal", "rehearse", "stages/{stage}/.at_work", 6.0),
    Phase("loading", "train", "stages/{stage}/.at_work", 4.0),
    Phase("checkpoint", "train", "stages/{stage}/checkpoints/checkpoint-*", 0.2),
    Phase("mid-step", "train", "stages/{stage}/checkpoints/checkpoint-*/harness.json", 1.5),
    Phase("save", "train", "stages/{stage}/model", 0.2),
    Phase("counting", "train", "stages/{stage}/model/model.safetensors", 2.0),
    Phase("scoring", "evaluate", "stages/{stage}/.at_work", 5.0),
    Phase("judging", "judge", "stages/{stage}/.at_work", 3.0),
    Phase("report", "judge", "{run}/.report.*", 3.0),
    Phase("tracking", "judge", "{run}/report/report.html", 1.5),
)


@dataclasses.dataclass(frozen=True)
class Trial:
    """What one kill was, and what was wrong afterwards."""

    phase: str
    victim: str
    signal: str
    runs: int
    wrong: tuple[str, ...]


class Soak:
    """One root, in which a comparison is broken and mended."""

    def __init__(self, root: Path, dice: random.Random) -> None:
        self.root, self.dice = RunRoot(root), dice
        self.mark = f"soak-of-{root}"
        self.command = [sys.executable, "-m", "harness", "compare", *SETTINGS, "--out", str(root)]
        code, text = self._to_the_end()
        if code != 0:
            raise SystemExit(f"the undisturbed run failed:\n{text}")
        self.run = (root / "latest").resolve().name
        self.plan: Plan = read_record(root / self.run).plan
        self.expected = self.left()

    def trial(self, phase: Phase, victim: str, number: signal.Signals) -> Trial:
        """Break one stage, kill, continue, compare."""
        stage = self.dice.choice([d for d in self.plan.order if self.plan.stages[d].kind == phase.kind])
        self._forget(stage)
        process = self._start()
        self._wait(process, phase.sign.format(stage=stage, run=self.run))
        time.sleep(self.dice.uniform(0.0, phase.seconds))
        done = self._finished()
        wrong = self._kill(process, victim, number)
        code, runs = process.wait(), 0
        text = ""
        while code != 0 and runs < TRIES:
            code, text = self._to_the_end()
            runs += 1
        if code != 0:
            wrong.append(f"it did not end well: {text[-600:]}")
        wrong += self._differences(done)
        return Trial(phase.name, victim, number.name, runs, tuple(wrong))

    def left(self) -> dict[str, str]:
        """Digests of weights and items, and scores, by stage; what differs between runs is left out."""
        found = {}
        for digest in self.plan.order:
            result = self.root.finished(digest)
            if result is None:
                found[digest] = "not finished"
                continue
            files = {name: a.digest for name, a in result.artifacts.items() if _counts(name)}
            scores = [score.model_dump() for score in result.scores]
            found[digest] = _digest(json.dumps([files, scores], sort_keys=True, default=str))
        return found

    def _differences(self, done: Mapping[str, str]) -> list[str]:
        names = {digest: self.plan.stages[digest].name for digest in self.plan.order}
        found = self.left()
        wrong = [f"{names[d]} differs" for d in self.plan.order if found[d] != self.expected[d]]
        again = self._finished()
        wrong += [f"{names[d]} ran twice" for d, attempt in done.items() if again.get(d) != attempt]
        wrong += [f"process {pid} is left" for pid in started_with(self.mark)]
        return wrong + [f"{path} is left" for path in self._leftovers()]

    def _finished(self) -> dict[str, str]:
        """Attempt of every stage with a result, as it stands on the disk at this moment."""
        found = {}
        for digest in self.plan.order:
            try:
                result = read_sealed(self.root.stage_folder(digest) / "result.json", StageResult)
            except FileNotFoundError:
                continue
            found[digest] = result.attempt
        return found

    def _forget(self, stage: str) -> None:
        """Delete a stage, all that was made from it, and the run's record and report."""
        gone = {stage}
        for digest in self.plan.order:
            if gone & set(self.plan.stages[digest].needs.values()):
                gone.add(digest)
        for digest in gone:
            shutil.rmtree(self.root.stage_folder(digest))
        shutil.rmtree(self.root.run_folder(self.run))

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_hears_signals,
            env=self._environment(),
        )

    def _wait(self, process: subprocess.Popen[bytes], sign: str) -> None:
        until = time.monotonic() + PATIENCE
        while sign and not any(self.root.path.glob(sign)) and process.poll() is None:
            if time.monotonic() > until:
                raise SystemExit(f"{sign} never came")
            time.sleep(0.005)

    def _kill(self, process: subprocess.Popen[bytes], victim: str, number: signal.Signals) -> list[str]:
        """Send it; what is wrong with how the processes took it."""
        children = [pid for pid in started_with(self.mark) if pid != process.pid]
        targets = {"parent": [process.pid], "child": children, "both": [process.pid, *children]}[victim]
        for pid in targets:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            return [f"the command went on for {PATIENCE:.0f} s"]
        return [] if self._gone() else ["a child outlived its command by 15 s"]

    def _gone(self) -> bool:
        until = time.monotonic() + 15.0
        while time.monotonic() < until:
            if not started_with(self.mark):
                return True
            time.sleep(0.05)
        return False

    def _to_the_end(self) -> tuple[int, str]:
        done = subprocess.run(
            self.command,
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=_hears_signals,
            env=self._environment(),
        )
        return done.returncode, done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "SOAK": self.mark}

    def _leftovers(self) -> list[Path]:
        """Temporary files of processes that are gone, and checkpoints that nobody needs any more."""
        signs = (
            ".*.[0-9]*",
            "*/.*.[0-9]*",
            "stages/*/.*.[0-9]*",
            "stages/*/checkpoints",
            "stages/*/.at_work",
        )
        return sorted(path for sign in signs for path in self.root.path.glob(sign))


def started_with(mark: str) -> list[int]:
    """Living processes whose environment holds the mark: a command's, and all that it starts."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                # A zombie has none.
                if mark in (process / "environ").read_text(errors="replace"):
                    found.append(int(process.name))
            except OSError:
                continue
    return found


def _hears_signals() -> None:
    """As a user's shell starts a command; one in the background of a script is deaf to SIGINT."""
    for number in SIGNALS[1:]:
        signal.signal(number, signal.SIG_DFL)


def _counts(name: str) -> bool:
    """Whether an artifact is the same whenever it is made: weights, answers and items; series have times."""
    return name.startswith("model/") or (name.endswith((".parquet", ".jsonl")) and name != "steps.jsonl")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_trials(
    count: int, dice: random.Random, phases: Sequence[Phase] = PHASES
) -> list[tuple[Phase, str, signal.Signals]]:
    """Every phase in turn, with victims and signals so that each meets each."""
    pairs = [(victim, number) for number in SIGNALS for victim in VICTIMS]
    dice.shuffle(pairs)
    return [(phases[i % len(phases)], *pairs[(i + i // len(phases)) % len(pairs)]) for i in range(count)]


def soak(
    root: Path, count: int, seed: int, say: Callable[[str], None], phases: Sequence[Phase] = PHASES
) -> list[Trial]:
    """All trials in one root; `say` hears of each."""
    dice = random.Random(seed)
    began = time.monotonic()
    one = Soak(root.resolve(), dice)
    say(f"undisturbed run: {time.monotonic() - began:.0f} s")
    trials = []
    for number, (phase, victim, sent) in enumerate(plan_trials(count, dice, phases), start=1):
        trials.append(one.trial(phase, victim, sent))
        wrong = "; ".join(trials[-1].wrong) or "as if nothing had happened"
        took = time.monotonic() - began
        say(f"[{number}/{count}, {took:.0f} s] {sent.name} to {victim} in {phase.name}: {wrong}")
    return trials


def main() -> int:
    """Run it and print a table by phase."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--report", type=Path, default=None, help="a JSON file with every trial")
    asked = parser.parse_args()
    root = asked.out or Path(tempfile.mkdtemp(prefix="soak-"))
    trials = soak(root, asked.count, asked.seed, lambda text: print(text, flush=True))
    if asked.report is not None:
        asked.report.write_text(json.dumps([dataclasses.asdict(trial) for trial in trials], indent=1))
    tally = collections.Counter((trial.phase, not trial.wrong) for trial in trials)
    print("phase        kills  as if nothing had happened")
    for phase in PHASES:
        good, bad = tally[phase.name, True], tally[phase.name, False]
        print(f"{phase.name:<12} {good + bad:>5}  {good}")
    whole = sum(not trial.wrong for trial in trials)
    print(f"{whole} of {len(trials)}")
    return 0 if whole == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
