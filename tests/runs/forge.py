"""Commands in processes that a test may kill, forked because importing the libraries takes far longer than tests."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

__all__ = ["Forge", "carry_out_commands"]


class Forge:
    """Carries out commands in processes forked from one that is warm.

    Args:
        program: a file beside this one that calls `carry_out_commands`.
    """

    def __init__(self, program: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        self._parent = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name(program))],
            env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._parent.stdout
        assert self._parent.stdout.readline() == "ready\n"

    def run(self, *words: str, kill_after: float | None = None, since: Callable[[], bool] = lambda: True) -> int:
        """Return the exit code; -9 where the process was killed, so many seconds after `since` was first true."""
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.write(json.dumps(words) + "\n")
        self._parent.stdin.flush()
        child = int(self._parent.stdout.readline())
        if kill_after is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
                while not since():
                    os.kill(child, 0)
                    time.sleep(0.001)
                until = time.monotonic() + kill_after
                while time.monotonic() < until:
                    os.kill(child, 0)
                    time.sleep(min(0.005, kill_after))
                os.kill(child, signal.SIGKILL)
        return int(self._parent.stdout.readline())

    def timed(self, *words: str) -> float:
        """Carry out a command that ends well, and return how many seconds it took."""
        started = time.monotonic()
        assert self.run(*words) == 0
        return time.monotonic() - started

    def end(self) -> None:
        self._parent.communicate()


def carry_out_commands(prepare: Callable[[], None]) -> None:
    """Be the warm process: for each line that comes in, fork a process that carries out a command.

    A line holds the command's words as JSON. Prints the process's id, and how it ended as `os.waitstatus_to_exitcode`
    says it.

    Args:
        prepare: imports what the commands import as they go, and leaves out what the tests are not about.
    """
    from limbeck.cli.app import main
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
            sys.argv = ["limbeck", *json.loads(line)]
            main()
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
