"""Progress and output: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from limbeck.ranks import is_main
from limbeck.types import Progress, SilentProgress, Update

__all__ = ["console", "print_line", "print_side_by_side", "progress", "quiet_libraries"]

console = Console(stderr=True, highlight=False)
"""Messages go to standard error; standard output is for data."""

_LINE_EVERY_SECONDS = 15.0
_ANY_WIDTH = 10_000
_LEAST_TITLE = 14
"""Column titles, such as long paths, are folded at this width, or at the width of the figures below if larger."""


def print_line(words: str, to: Console, *, mark: Text | str = "") -> None:
    """Print a mark and a message: wrapped with a hanging indent on a terminal, one line in a file or a pipe."""
    mark = Text(mark) if isinstance(mark, str) else mark
    if not to.is_terminal:
        to.print(Text.assemble(mark, words), soft_wrap=True)
        return
    hung = Table.grid()
    hung.add_column(no_wrap=True)
    hung.add_column(overflow="fold")
    hung.add_row(mark, Text(words))
    to.print(hung)


def print_side_by_side(titles: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]], to: Console) -> None:
    """Print a column for each title; columns that do not fit the terminal follow below. No figure is cut.

    Args:
        titles: one for each column.
        rows: name of the row, and a cell for each column; cells may have several lines.
        to: the terminal.
    """
    widths = [max([_LEAST_TITLE, *(cell_len(line) for _, cells in rows for line in cells[n].split("\n"))])
              for n in range(len(titles))]  # fmt: skip
    heads = ["\n".join(wrap(title, width)) for title, width in zip(titles, widths, strict=True)]

    def table(indices: Sequence[int]) -> Table:
        shown = Table(box=box.SIMPLE_HEAD)
        shown.add_column("", no_wrap=True)
        for index in indices:
            shown.add_column(Text(heads[index]), justify="right", overflow="fold")
        for name, cells in rows:
            shown.add_row(Text(name), *(Text(cells[index]) for index in indices))
        return shown

    def fits(indices: Sequence[int]) -> bool:
        # With the console's own width in the options, everything would seem to fit.
        return to.measure(table(indices), options=to.options.update(max_width=_ANY_WIDTH)).maximum <= to.width

    left = list(range(len(titles)))
    while left:
        beside = next((n for n in range(len(left), 1, -1) if fits(left[:n])), 1)
        to.print(table(left[:beside]))
        left = left[beside:]


def progress() -> Progress:
    """Return bars for a terminal, lines for a file or a pipe, and silence on all ranks but the first."""
    if not is_main():
        return SilentProgress()
    return _Bars() if console.is_terminal else _Lines()


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.1f}/s" if task.speed else "", style="progress.data.speed")


class _Bars:
    @contextmanager
    def track(self, title: str, total: int, done: int = 0) -> Iterator[Update]:
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}"),
        )  # fmt: skip
        with Bars(*columns, console=console) as bars:
            task = bars.add_task(title, total=total, completed=done, note="")

            def update(n: int, note: str = "") -> None:
                bars.update(task, advance=n, note=note)

            yield update

    def log(self, message: str) -> None:
        console.print(message, markup=False)


class _Lines:
    @contextmanager
    def track(self, title: str, total: int, done: int = 0) -> Iterator[Update]:
        start, before = time.monotonic(), done
        last = start
        self.log(f"{title} ...")

        def update(n: int, note: str = "") -> None:
            nonlocal done, last
            done += n
            now = time.monotonic()
            if now - last >= _LINE_EVERY_SECONDS:
                last = now
                left = (now - start) / max(done - before, 1) * (total - done)
                self.log(f"{title}: {done} of {total}, {left:.0f} s left{', ' + note if note else ''}")

        yield update
        self.log(f"{title}: done in {time.monotonic() - start:.1f} s")

    def log(self, message: str) -> None:
        console.print(message, markup=False, soft_wrap=True)


def quiet_libraries() -> None:
    """Silence other libraries' messages and progress bars; their warnings matter to developers, not to users."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for name in ("accelerate", "bitsandbytes"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(torch|transformers|accelerate|huggingface_hub)\b.*")
