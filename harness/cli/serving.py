"""Commands that hand a winner on, show it to people, or begin a next round."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from harness.cli.options import RUNS, Arms, Device, Out, words
from harness.errors import UserError

MOST_CLIENTS = 1024


class EngineName(StrEnum):
    """Whose server it is."""

    TRANSFORMERS = "transformers"
    VLLM = "vllm"


class PairsFrom(StrEnum):
    """Where a next round's pairs come from."""

    ON_POLICY = "on_policy"
    ARENA = "arena"


def serve(
    what: Annotated[str, typer.Argument(help="A run's id or folder, or a model folder.")] = "latest",
    arm: Annotated[str | None, typer.Option("--arm", help="Which arm of the run.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Which of its seeds; the first by default.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port on 127.0.0.1.")] = 8000,
    engine: Annotated[
        EngineName, typer.Option("--engine", help="transformers, or vllm where it is installed.")
    ] = EngineName.TRANSFORMERS,
    check: Annotated[
        bool, typer.Option("--check", help="Compare answers with the run's own, then end.")
    ] = False,
    load: Annotated[bool, typer.Option("--load", help="Measure figures under load, then end.")] = False,
    clients: Annotated[
        str, typer.Option("--clients", help="For --load: how many clients ask at once.")
    ] = "1,4,16",
    requests: Annotated[
        int,
        typer.Option(
            "--requests", min=1, max=100_000, help="For --load: at least, at each number of clients."
        ),
    ] = 40,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=1, max=1_000_000, help="For --load: of an answer; the run's own by default."
        ),
    ] = None,
    device: Device = None,
    out: Out = RUNS,
) -> int:
    """Let an arm of a run, or a model folder, answer OpenAI's protocol on 127.0.0.1."""
    from harness.commands import serve as command
    from harness.measure.gpus import using

    if check and load:
        raise UserError("given with --load", where="--check", remedy="give one of them")
    wish = command.Wish(load, check, _counts(clients), requests, max_tokens)
    with using(device):
        return command.run(what, arm=arm, seed=seed, port=port, engine=engine.value, wish=wish, out=out)


def _counts(text: str) -> list[int]:
    """Numbers of clients in their order, each once; raises UserError."""
    words = text.replace(",", " ").split()
    if not words or not all(word.isdecimal() and 1 <= int(word) <= MOST_CLIENTS for word in words):
        raise UserError(
            f"{text!r} is no list of numbers from 1 to {MOST_CLIENTS:,}",
            where="--clients",
            remedy="give one such as 1,4,16",
        )
    return list(dict.fromkeys(map(int, words)))


T = TypeVar("T")


def _needed(value: T | None, flag: str, example: str, fact: str = "is missing") -> T:
    """What a flag gave; raises UserError where it was left out."""
    if value is None:
        raise UserError(fact, where=flag, remedy=f"name one, such as {flag} {example}")
    return value


def export(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")],
    arm: Annotated[str | None, typer.Option("--arm", help="Which arm.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="A seed, or best; the first by default.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The folder that is written.")] = None,
    quantize: Annotated[
        str, typer.Option("--quantize", help="full, int8, or gguf:q8_0, gguf:f16, gguf:f32.")
    ] = "full",
    margin: Annotated[
        float, typer.Option("--margin", min=0.0, max=1.0, help="How much less of a share is as good.")
    ] = 0.02,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of an earlier export.")] = False,
    push: Annotated[
        str | None, typer.Option("--push", help="Send it to this repository of the hub, private.")
    ] = None,
    public: Annotated[
        bool, typer.Option("--public", help="A repository that --push makes is public.")
    ] = False,
    register: Annotated[
        str | None, typer.Option("--register", help="A model of this name in MLflow's registry.")
    ] = None,
    alias: Annotated[
        str | None, typer.Option("--alias", help="The version's alias, such as champion.")
    ] = None,
    out: Out = RUNS,
) -> int:
    """Write an arm's model as a folder that others load, scored again in the form that it has there."""
    from harness.commands import export as command

    arm = _needed(arm, "--arm", "orpo", "no arm named")
    to = _needed(to, "--to", "winner", "no folder to write")
    if public and push is None:
        raise UserError(
            "nothing is sent", where="--public", remedy="name a repository by --push, or leave it out"
        )
    if alias is not None and register is None:
        raise UserError("no model is registered", where="--alias", remedy="name one by --register")
    return command.run(
        run,
        arm=arm,
        seed=seed,
        to=to,
        form_name=quantize,
        margin=margin,
        replace=replace,
        push_to=push,
        public=public,
        register=register,
        alias=alias,
        out=out,
    )


def improve(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    of: Annotated[
        PairsFrom, typer.Option("--from", help="The arm's own answers, or people's votes.")
    ] = PairsFrom.ON_POLICY,
    arm: Annotated[str | None, typer.Option("--arm", help="Whose answers become pairs.")] = None,
    seed: Annotated[str | None, typer.Option("--seed", help="A seed, or best; the first by default.")] = None,
    judge: Annotated[str | None, typer.Option("--judge", help="Who ranks the answers.")] = None,
    judge_config: Annotated[
        list[str] | None, typer.Option("--judge-config", help="KEY=VALUE of the judge; again for more.")
    ] = None,
    prompts: Annotated[
        int | None, typer.Option("--prompts", min=1, help="How many training prompts; all by default.")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", min=2, max=64, help="Answers to each.")] = 4,
    temperature: Annotated[float, typer.Option("--temperature", min=0.01, max=5.0)] = 1.0,
    to: Annotated[Path | None, typer.Option("--to", help="The folder of the next round.")] = None,
    out: Out = RUNS,
) -> int:
    """Make the next round's pairs: an arm's own answers ranked by a judge, or what people voted for."""
    from harness.commands import improve as command
    from harness.commands.improve_pairs import Wish
    from harness.pipeline.overrides import set_field

    to = _needed(to, "--to", "round2")
    if of is PairsFrom.ARENA:
        given = {"--arm": arm, "--seed": seed, "--judge": judge, "--judge-config": judge_config}
        for flag, value in {**given, "--prompts": prompts}.items():
            if value is not None:
                raise UserError("is not for --from arena", where=flag, remedy="leave it out: votes say it")
        return command.run(run, None, to=to, out=out)
    arm = _needed(arm, "--arm", "orpo")
    judge = _needed(judge, "--judge", "embedded")
    settings: dict[str, object] = {}
    for text in judge_config or ():
        if "=" not in text:
            where = f"--judge-config {text}"
            raise UserError("has no value", where=where, remedy="write KEY=VALUE, such as model=./rm")
        set_field(settings, text)
    wish = Wish(arm, seed, judge, settings, prompts, samples, temperature)
    return command.run(run, wish, to=to, out=out)


def arena(
    run: Annotated[str, typer.Argument(help="A run's id or folder.")] = "latest",
    arms: Arms = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Which seed's answers; the first by default.")
    ] = None,
    prompts: Annotated[
        str, typer.Option("--prompts", help="test, train, or a file: of what is not the test come new pairs.")
    ] = "test",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port on 127.0.0.1; 0 is any that is free.")
    ] = 0,
    voter: Annotated[str | None, typer.Option("--voter", help="Who votes; you by default.")] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the page's address, and open nothing.")
    ] = False,
    device: Device = None,
    out: Out = RUNS,
) -> int:
    """Two arms answer side by side on a local page, blind; you pick, and the run has one more judge."""
    from harness.commands import arena as command
    from harness.measure.gpus import using

    wish = command.Wish(words(arms, "--arms"), seed, prompts, voter, port, not no_browser)
    with using(device):
        return command.run(run, wish, out=out)
