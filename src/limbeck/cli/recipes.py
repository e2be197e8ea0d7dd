"""``limbeck recipes``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from limbeck.recipes.catalogue import RecipeCard

__all__ = ["HELP", "main"]

HELP = """List the recipes: paper, requirements and defaults.

They are grouped by the kinds of task that they suit. With a name, also what is published of the method, and how far
that was checked.

Examples:

    limbeck recipes

    limbeck recipes pkd

    limbeck recipes gkd
"""


def _title(kinds: Sequence[str]) -> str:
    from limbeck.recipes.kinds import KINDS

    others = [name for name in KINDS if name not in kinds]
    if len(others) < len(kinds) - 1:
        return " but ".join(["Every kind of task", *([", ".join(others)] if others else [])])
    return "; ".join(KINDS[kind].named(KINDS[kind].title) for kind in kinds)


def main(name: Annotated[str | None, typer.Argument(help="Show only this recipe.")] = None) -> None:
    """Print a card for each recipe; for a single one also its published results."""
    from rich.console import Console

    from limbeck.recipes.catalogue import AUTO, recipe_card, recipe_cards

    console = Console(highlight=False)
    by_title: dict[str, list[RecipeCard]] = {}
    for card in [recipe_card(name)] if name else [AUTO, *recipe_cards()]:
        by_title.setdefault(_title(card.kinds), []).append(card)
    for place, (title, cards) in enumerate(by_title.items()):
        console.print(f"{chr(10) if place else ''}{title}", style="underline")
        for card in cards:
            _print_card(card, console, with_published=name is not None)


def _print_card(card: RecipeCard, console: Console, *, with_published: bool) -> None:
    from limbeck.cli.terminal import print_line

    console.print(f"[bold]{card.name}[/bold]")
    defaults = ", ".join(f"{key}: {value}" for key, value in card.defaults.items())
    facts = {"": card.summary, "paper": card.paper, "needs": "; ".join(card.needs), "defaults": defaults or "none"}
    if card.left_out:
        facts["left out by default"] = card.left_out
    for key, value in facts.items():
        if value:
            print_line(value, console, mark=f"  {key + ': ' if key else ''}")
    for result in card.published if with_published else ():
        print_line(str(result), console, mark="  published: ")
