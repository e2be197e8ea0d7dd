"""Lines that people read, on a terminal and in a pipe."""

from __future__ import annotations

import io

from rich.console import Console

from limbeck.cli.terminal import print_line

WORDS = "no training row has a gold label [here], and none is needed: the student learns what the teacher answers"


def printed(*, terminal: bool) -> list[str]:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=40, color_system=None, highlight=False)
    print_line(WORDS, console, mark="! ")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_terminal_wraps_at_words_under_a_hanging_indent() -> None:
    first, *others = (line.rstrip() for line in printed(terminal=True))
    assert first.startswith("! no training")
    assert others
    assert all(line.startswith("  ") and len(line) <= 40 for line in others)
    assert " ".join([first, *map(str.strip, others)]) == f"! {WORDS}"


def test_a_pipe_gets_one_line() -> None:
    assert printed(terminal=False) == [f"! {WORDS}"]
