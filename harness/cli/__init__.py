"""The command line: parses, calls a command, turns errors into exit codes.

0 done, 2 the user can mend it (one message), 1 a stage failed, 130 interrupted, 143 and 129 ended by SIGTERM
and SIGHUP. `check` and `status` end with 1 where a claim is contradicted or a comparison is not healthy.
"""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from harness import __version__
from harness.cli.around import calibrate, clean, collect, data, doctor, fetch, list_, sync, ui
from harness.cli.home import make_do_without_home
from harness.cli.reading import beside, check, diff, paper, report, status, trace, verify
from harness.cli.running import compare, cost, plan, replay, score
from harness.cli.serving import arena, export, improve, serve
from harness.errors import Interrupted, JobsLeft, StageFailed, UserError
from harness.full_disk import full_disk, says_full
from harness.redact import RedactedStream
from harness.texts import visible

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="SFT then DPO against single-stage ORPO: same model, same pairs, same GPU; costs measured.",
)
RUNNING = (compare, status, plan, cost, score, replay)
READING = (report, paper, check, trace, diff, beside, verify)
AROUND = (data, fetch, doctor, ui, export, serve, arena, improve, collect, sync, clean, list_, calibrate)
"""In the order of `harness --help`."""
for command in (*RUNNING, *READING, *AROUND):
    app.command(command.__name__.strip("_"))(command)


def _show_version(asked: bool) -> None:
    if asked:
        print(f"orpo-harness {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of `harness` itself."""


def main() -> None:
    """Entry point; ends the process with the exit code. Nothing that it prints holds a secret."""
    sys.stdout, sys.stderr = RedactedStream(sys.stdout), RedactedStream(sys.stderr)  # type: ignore[assignment]
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Under nohup SIGHUP is ignored, and stays so.
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)
    make_do_without_home()
    sys.exit(_run())


class _Ended(KeyboardInterrupt):
    """A signal asked the command to end, which it does as after Ctrl-C."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def _end(number: int, frame: FrameType | None) -> None:
    raise _Ended(number)


def _run() -> int:
    try:
        return int(app(prog_name="harness", standalone_mode=False) or 0)
    except UserError as error:
        _say(str(error))
        return 2
    except StageFailed as error:
        _say(f"stage {error.stage} failed: {error.cause}\n{error.log_tail}\nlog: {error.log_path}")
        return 1
    except JobsLeft as error:
        _say(str(error))
        return 0 if error.__cause__ is None else 130
    except (Interrupted, KeyboardInterrupt) as error:
        _say("interrupted; finished stages are kept, the same command continues")
        ended = error if isinstance(error, _Ended) else error.__cause__
        return ended.exit_code if isinstance(ended, _Ended) else 130
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        if hasattr(error, "format_message"):
            _say(str(_of_usage(error)))
            return 2
        if says_full(error):
            print(f"harness: {full_disk(Path(getattr(error, 'filename', None) or '.'))}", file=sys.stderr)
            return 2
        raise


def _say(text: str) -> None:
    print(f"harness: {visible(text)}", file=sys.stderr)


def _of_usage(error: Any) -> UserError:
    """The parser's complaint as ours: the option, what is wrong with it, and where help is."""
    text = error.format_message().strip().rstrip(".")
    invalid = re.fullmatch(r"Invalid value for '?(?P<option>[^':]+)'?: (?P<why>.*)", text, re.DOTALL)
    path = error.ctx.command_path if error.ctx is not None else "harness"
    remedy = f"see `{path} --help`"
    if invalid is None:
        return UserError(f"{text[0].lower()}{text[1:]}", remedy=remedy, where=None)
    why = re.sub(r"^Value error, ", "", invalid["why"])
    return UserError(
        why.replace("Input should be", "the value should be", 1), remedy=remedy, where=invalid["option"]
    )
