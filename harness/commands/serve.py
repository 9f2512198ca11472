"""`harness serve`: a trained arm answers on 127.0.0.1, by transformers' server or vLLM's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.commands.serve_shown import (
    print_compared,
    print_how_to_ask,
    print_load,
    still_loading,
    told_every_few_seconds,
)
from harness.errors import UserError
from harness.measure.environment import device_identities
from harness.measure.gpu_lock import locked
from harness.serving import chosen as choose
from harness.serving import prompts as prompting
from harness.serving.asking import ask
from harness.serving.child_server import ChildServer, check_port, started
from harness.serving.chosen import Chosen
from harness.serving.compared import compare
from harness.serving.engines import ENGINES, Call, Engine, device_kind, program
from harness.serving.folder import made
from harness.serving.load import LoadPlan, measure
from harness.serving.loaded import Setting, load_record, write_load
from harness.serving.prompts import Asked
from harness.store.run_dir import RunRoot, read_record
from harness.terminal import PlainConsole

START_SECONDS = 1800.0
"""Large weights from a slow disk take a while; a server that hangs answers never."""
MAX_TOKENS = 128
"""Of an answer, where no run says how long its own could be."""
CHECKED = 16
LOG = "server.log"


@dataclass(frozen=True)
class Wish:
    """What is asked of the server: figures under load, a comparison with the run, or neither."""

    load: bool
    check: bool
    clients: Sequence[int]
    requests: int
    max_tokens: int | None


@dataclass(frozen=True)
class _Served:
    """What is served, what it may be asked, whose prompts those are, and where what is written lies."""

    chosen: Chosen
    prompts: list[Asked]
    prompts_of: str
    folder: Path
    run_folder: Path | None


def run(
    name: str, *, arm: str | None, seed: int | None, port: int, engine: str, wish: Wish, out: Path
) -> int:
    """Serve until Ctrl-C, or until what was asked for is measured; what cannot be served is told before."""
    by = ENGINES[engine]
    by.check()
    served = _found(name, arm, seed, out)
    check_port(port)
    try:
        return _serve(by, served, port, wish)
    except KeyboardInterrupt as ended:
        if not (wish.load or wish.check):
            return 0
        print("Ended before it was done; nothing was written.", flush=True)
        return int(getattr(ended, "exit_code", 130))


def _serve(by: Engine, served: _Served, port: int, wish: Wish) -> int:
    busy, model = os.getloadavg()[0], served.chosen.served
    with _device(wish, served), made(served.chosen, served.run_folder) as parent:
        log = _log_in(served.folder)
        call = Call(model.name, port, device_kind(), served.chosen.dtype, served.chosen.greedy)
        asked = program(by, call, parent)
        print(f"Starting {by.name} {by.version} on {call.device} (log: {log}) ...", flush=True)
        with started(asked, name=by.name, log=log) as server:
            server.wait_until_healthy(port, START_SECONDS, still_loading)
            _first_answer(server, served, port, greedy=wish.load or wish.check)
            if wish.check:
                return _check(served, port, wish)
            if wish.load:
                how = Setting(by, asked.arguments, served.prompts_of, len(served.prompts), busy)
                return _load(server, served, port, wish, how)
            by_what = f"{by.name} {by.version}, {call.device}"
            print_how_to_ask(model, port, served.prompts[0].messages, by_what)
            server.wait()
            raise server.failed("the server ended by itself")


def _log_in(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LOG).touch()
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})",
            where=str(folder),
            remedy="give a folder that can be by --out",
        ) from None
    return folder / LOG


def _found(name: str, arm: str | None, seed: int | None, out: Path) -> _Served:
    """A run by id, folder or `latest`, or a model folder."""
    folder = Path(name)
    if (folder / "config.json").is_file() or (folder / "adapter_config.json").is_file():
        if arm is not None or seed is not None:
            raise UserError("is a model folder, which has no arms", where=name, remedy="leave --arm out")
        chosen = choose.of_folder(folder, "float32" if device_kind() == "cpu" else "auto")
        return _Served(chosen, prompting.ours(), "our own", out / f"serve-{chosen.served.name}", None)
    if folder.is_dir() and not (folder / "record.json").is_file() and not (out / name).is_dir():
        raise UserError(
            "is neither a finished run nor a model folder (it has no config.json)",
            where=name,
            remedy="give the id of a run, or a folder with config.json, weights and tokenizer",
        )
    run_folder = RunRoot(out).find_run(name)
    root, record = RunRoot(run_folder.parent), read_record(run_folder)
    chosen = choose.of_run(root, record, arm, seed)
    asked = prompting.of_run(root, record, chosen.recorded)
    whose = f"the test split of {record.id}"
    if not asked:
        asked, whose = prompting.ours(), "our own, since the run's are gone"
    return _Served(chosen, asked, whose, run_folder / "serve" / chosen.served.name, run_folder)


@contextlib.contextmanager
def _device(wish: Wish, served: _Served) -> Iterator[None]:
    """Load figures and a comparison on one device would spoil each other; beside one that runs, answering
    is told to."""
    holding = locked(device_identities(1), what=f"load figures of {served.chosen.served.name}")
    if wish.load:
        with holding:
            yield
        return
    try:
        with holding:
            pass
    except UserError as busy:
        print(f"Note: {busy.fact} ({busy.where}); whatever is answered meanwhile takes from its time.")
    yield


def _first_answer(server: ChildServer, served: _Served, port: int, *, greedy: bool) -> None:
    """One token, so that the first client does not wait for what a server does once.

    transformers chooses tokens for all requests as the first one asked: a client's must not be it.
    """
    messages = served.prompts[0].messages
    reply = ask(port, served.chosen.served.name, messages, max_tokens=1, stream=False, greedy=greedy)
    server.must_live()
    if reply.error is not None:
        raise server.failed(f"the server gave no answer ({reply.error})")


def _most_tokens(served: _Served, wish: Wish) -> int:
    return wish.max_tokens or served.chosen.max_tokens or MAX_TOKENS


def _check(served: _Served, port: int, wish: Wish) -> int:
    """The first prompts that the run answered; exit code 1 where an answer is another."""
    answered = [one for one in served.prompts if one.recorded is not None]
    asked = (answered or served.prompts)[:CHECKED]
    # The run's answers were cut where its settings said, so others may not be compared with them.
    most = served.chosen.max_tokens or _most_tokens(served, wish)
    found = compare(port, served.chosen.served.name, asked, most, told_every_few_seconds("checked"))
    print_compared(found)
    return 0 if found.holds else 1


def _load(server: ChildServer, served: _Served, port: int, wish: Wish, how: Setting) -> int:
    """Measured, written and printed; exit code 1 where no request was answered."""
    plan = LoadPlan(wish.clients, wish.requests, _most_tokens(served, wish))
    tell = told_every_few_seconds("answered")

    def progress(clients: int, total: int, done: int) -> None:
        tell(done, total, f"{clients} client(s)")

    name, prompts = served.chosen.served.name, [one.messages for one in served.prompts]
    levels = []
    for level in measure(port, name, prompts, plan, progress=progress, check=server.must_live):
        levels.append(level)
        print(f"{level.clients} client(s): {level.requests} requests in {level.seconds:.1f} s", flush=True)
    record = load_record(served.chosen, levels, plan, how)
    print_load(record, write_load(served.folder, record), PlainConsole())
    return 0 if any(level.requests > sum(level.errors.values()) for level in levels) else 1
