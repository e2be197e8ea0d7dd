"""Commands in processes that a test may kill, forked because importing the libraries takes far longer than tests."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

__all__ = ["Forge", "carry_out_commands", "run_limbeck"]


class Forge:
    """Carries out commands in processes forked from one that is warm.

    Args:
        program: a file that calls `carry_out_commands`; a name alone is one beside this file.
    """

    def __init__(self, program: str | Path) -> None:
        here = Path(__file__).parent
        found = os.pathsep.join([str(here), *filter(None, [os.environ.get("PYTHONPATH")])])  # `import forge`
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": found}
        self._parent = subprocess.Popen(
            [sys.executable, str(here / program)],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._parent.stdout
        assert self._parent.stdout.readline() == "ready\n"
        self._folder = tempfile.TemporaryDirectory()

    def run(
        self,
        *words: str,
        kill_after: float | None = None,
        since: Callable[[], bool] = lambda: True,
        kill_with: signal.Signals = signal.SIGKILL,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> int:
        """Carry out a command; what it prints is in `output` afterwards.

        Args:
            words: the command's words, without "limbeck".
            kill_after: seconds until the process is killed; counted from when `since` was first true.
            since: is asked again and again.
            kill_with: the signal that is sent.
            cwd: the folder to work in.
            stdin: what the command reads.

        Returns:
            The exit code; minus the signal's number where a signal ended the process.
        """
        assert self._parent.stdin
        assert self._parent.stdout
        Path(self._folder.name, "stdin").write_bytes(stdin)
        self._parent.stdin.write(json.dumps([self._folder.name, str(cwd or Path.cwd()), words]) + "\n")
        self._parent.stdin.flush()
        child = int(self._parent.stdout.readline())
        try:
            if kill_after is not None:
                _kill(child, kill_after, since, kill_with)
        finally:  # also where `since` fails: the next command must not read how this one ended
            code = int(self._parent.stdout.readline())
        return code

    @property
    def output(self) -> str:
        """What the last command wrote to standard output and standard error."""
        return Path(self._folder.name, "output").read_text(encoding="utf-8", errors="replace")

    def timed(self, *words: str) -> float:
        """Carry out a command that ends well, and return how many seconds it took."""
        started = time.monotonic()
        assert self.run(*words) == 0
        return time.monotonic() - started

    def end(self) -> None:
        self._parent.communicate()
        self._folder.cleanup()


def _kill(child: int, after: float, since: Callable[[], bool], kill_with: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
        while not since():
            os.kill(child, 0)
            time.sleep(0.001)
        until = time.monotonic() + after
        while time.monotonic() < until:
            os.kill(child, 0)
            time.sleep(min(0.005, after))
        os.kill(child, kill_with)


def run_limbeck(words: list[str]) -> None:
    """Carry out a command, given by its words without "limbeck", and exit."""
    from limbeck.cli.app import main

    sys.argv = ["limbeck", *words]
    main()


def carry_out_commands(prepare: Callable[[], None], carry_out: Callable[[list[str]], None] = run_limbeck) -> None:
    """Be the warm process: for each line that comes in, fork a process that carries out a command.

    A line holds, as JSON, a folder for what the command reads and prints, the folder to work in, and the words. Prints
    the process's id, and how it ended as `os.waitstatus_to_exitcode` says it.

    Args:
        prepare: imports what the commands import as they go, and leaves out what the tests are not about.
        carry_out: is given the command's words in the forked process; `limbeck` where nothing is given.
    """
    from limbeck.cli.terminal import quiet_libraries

    warnings.simplefilter("ignore")
    prepare()
    quiet_libraries()
    os.fsync = lambda file: None  # a kill takes nothing from the operating system, and a busy disk takes seconds
    gc.freeze()
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            folder, cwd, words = json.loads(line)
            os.chdir(cwd)
            os.dup2(os.open(f"{folder}/stdin", os.O_RDONLY), 0)
            output = os.open(f"{folder}/output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stdin = os.fdopen(0, encoding="utf-8")  # the parent's has read ahead
            try:
                carry_out(words)
                sys.exit()
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
            except BaseException:
                traceback.print_exc()
                code = 1
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
