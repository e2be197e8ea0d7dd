"""Lines that people read, on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from limbeck.cli import terminal
from limbeck.cli.terminal import print_line, print_side_by_side

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


@pytest.mark.parametrize("width", [34, 60, 80, 200])
def test_no_figure_and_no_name_is_cut_however_narrow_the_terminal(width: int) -> None:
    """As many systems beside each other as fit; the others below. A long path is folded."""
    titles = ["teacher", "student before", "fine-tuned", "random order", "runs/a/very/long/path/to/a/folder/student"]
    rows = [("Accuracy", [f"8{n}.0 %\n(80.{n}–90.{n})" for n in range(5)]), ("Parameters", ["22.7 M"] * 5)]
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False)
    print_side_by_side(titles, rows, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for n in range(5):
        assert text.count(f"8{n}.0 %") == text.count(f"(80.{n}–90.{n})") == 1
    assert text.count("22.7 M") == 5
    assert all(part in text for part in ("runs/a/very/lo", "ng/path/to/a/f", "older/student"))
    assert text.count("Accuracy") == {34: 5, 60: 2, 80: 2, 200: 1}[width]


def test_lines_tell_the_time_left_by_what_this_call_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that goes on at 90 of 100 has not done these 90 in no time."""
    now, printed = [0.0], Console(file=io.StringIO(), width=80, color_system=None)
    monkeypatch.setattr(terminal, "console", printed)
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    with terminal.progress().track("training", 100, 90) as update:
        now[0] += 20
        update(1, "loss 2")
    assert isinstance(printed.file, io.StringIO)
    assert "training: 91 of 100, 180 s left, loss 2" in printed.file.getvalue()
