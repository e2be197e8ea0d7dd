"""``limbeck``: the commands and their exit codes.

Exit codes: 0 done, 1 a bug in limbeck (with a traceback), 2 a fault in the input, 130 interrupted.
"""

from __future__ import annotations

import shlex
import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from limbeck.cli import (
    alerts,
    augment,
    calibrate,
    demo,
    distill,
    doctor,
    evaluate,
    filter,
    journal,
    plan,
    predict,
    prompts,
    recipes,
    report,
    store,
)
from limbeck.errors import LimbeckError

__all__ = ["app", "main"]

_INTERRUPTED = 130

app = typer.Typer(
    name="limbeck",
    help="Distil a large language model into a small one, and see what was kept, what was lost and what it cost.",
    epilog="Start with: limbeck demo --quick",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

for command in (
    demo,
    distill,
    doctor,
    plan,
    store,
    evaluate,
    predict,
    calibrate,
    filter,
    augment,
    report,
    recipes,
    journal,
):
    app.command(command.__name__.rsplit(".", 1)[-1], help=command.HELP)(command.main)
for group in (alerts, prompts):
    app.add_typer(group.app, name=group.__name__.rsplit(".", 1)[-1])


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"limbeck {version('limbeck')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line and exit."""
    interrupt = _Interrupt()
    try:
        # Not `app()`, which takes the end of a damaged file (EOFError) for an interrupt.
        with typer.main.get_command(app).make_context("limbeck", sys.argv[1:]) as context:
            code = context.command.invoke(context)
    except (BrokenPipeError, SystemExit):  # the reader of our output has gone, as with `| head`
        sys.stderr.close()
        sys.exit(0)
    except typer.Exit as end:
        code = end.exit_code
    except BaseException as error:
        if interrupt.came or isinstance(error, KeyboardInterrupt):
            _say("interrupted: nothing that was saved is lost; the same command resumes from there")
            sys.exit(_INTERRUPTED)
        if isinstance(error, LimbeckError):
            _say(f"error: {error}")
            sys.exit(2)
        if hasattr(error, "format_message"):  # a usage error; without a message, the help was shown instead
            if message := error.format_message():
                _say(f"error: {message}\nTry: {_instead(sys.argv[1:]) or f'{_command_of(error)} --help'}")
            sys.exit(2)
        raise
    sys.exit(code if isinstance(code, int) else 0)


def _instead(arguments: list[str]) -> str:
    """Return the command for a run file that is given without one; empty for other arguments."""
    is_run_file = bool(arguments) and arguments[0].endswith((".yaml", ".yml"))
    return shlex.join(["limbeck", "distill", *arguments]) if is_run_file else ""


def _command_of(error: BaseException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "limbeck"


class _Interrupt:
    """Turns SIGTERM and SIGINT into a `KeyboardInterrupt`, and remembers that one came.

    Libraries written in other languages may turn it into another exception if it arrives while they call Python.
    """

    def __init__(self) -> None:
        self.came = False
        signal.signal(signal.SIGTERM, self._note)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background
            signal.signal(signal.SIGINT, self._note)

    def _note(self, _signal: int, _frame: FrameType | None) -> None:
        self.came = True
        sys.unraisablehook = lambda _: None  # half-built objects complain when they are destroyed
        raise KeyboardInterrupt


def _say(message: str) -> None:
    print(f"limbeck: {message}", file=sys.stderr)
