"""``limbeck journal FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limbeck.teachers.chat.journal import Cost

__all__ = ["HELP", "main"]

HELP = """Show the contents of a chat teacher's journal: answers, failures by kind, calls and their cost.

Nothing is sent, and no key is needed.

Example:

    limbeck journal runs/articles/journal.sqlite
"""

_NO_PRICES = "; cost in dollars unknown, as teacher.api had no prices"


def main(file: Annotated[Path, typer.Argument(metavar="FILE", help="The journal, a SQLite file.")]) -> None:
    """Print a journal's summary. Nothing is sent, and no key is needed."""
    from rich.console import Console

    from limbeck.cli.terminal import print_line
    from limbeck.formatting import share_text
    from limbeck.teachers.chat.journal import Journal

    with Journal(file, must_exist=True) as journal:
        found = journal.summary()
    paid = sum(found.answers.values())
    lines = [f"{found.answers.get('answer', 0)} answers"]
    lines += [
        f"{count} {kind} ({share_text(count / paid)} of the paid answers)"
        for kind, count in found.answers.items()
        if kind != "answer"
    ]
    for asked, served in found.served.items():
        lines.append(f"model {asked}: " + ", ".join(f"{count} from {name}" for name, count in served.items()))
    calls = ", ".join(f"{count} {result}" for result, count in found.calls.items())
    lines.append(f"{sum(found.calls.values())} calls: {calls or 'none'}")
    lines.append(f"spent: {_cost(found.spent)}{'' if found.spent.usd or not found.spent.tokens else _NO_PRICES}")
    if found.unknown.tokens:
        lines.append(
            f"  including {_cost(found.unknown)} for calls of unknown cost, each counted at "
            "its worst case: cut, timed out, under way or killed"
        )
    console = Console(highlight=False)
    for line in lines:
        print_line(line, console)


def _cost(cost: Cost) -> str:
    """Return a cost in tokens, and in dollars where prices were known."""
    return f"{cost.tokens} tokens" + (f", ${cost.usd:.4f}" if cost.usd else "")
