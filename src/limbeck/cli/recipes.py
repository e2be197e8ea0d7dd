"""``limbeck recipes``"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """List the recipes: paper, requirements and defaults.

Recipes for classifiers come first, then those for generative models, then those for cross-lingual runs. With a name,
also what is published of the method, and how far that was checked.

Examples:

    limbeck recipes

    limbeck recipes pkd

    limbeck recipes gkd
"""


def _title(kinds: Sequence[str]) -> str:
    from limbeck.recipes.kinds import KINDS

    titles = [KINDS[kind].named(KINDS[kind].title) for kind in kinds]
    return "Every kind of task" if len(titles) == len(KINDS) else "; ".join(titles)


def main(name: Annotated[str | None, typer.Argument(help="Show only this recipe.")] = None) -> None:
    """Print a card for each recipe; for a single one also its published results."""
    from rich.console import Console

    from limbeck.cli.terminal import print_line
    from limbeck.recipes.catalogue import AUTO, recipe_card, recipe_cards

    console = Console(highlight=False)
    title = ""
    for card in [recipe_card(name)] if name else [AUTO, *recipe_cards()]:
        if _title(card.kinds) != title:
            console.print(f"{chr(10) if title else ''}{_title(card.kinds)}", style="underline")
            title = _title(card.kinds)
        console.print(f"[bold]{card.name}[/bold]")
        defaults = ", ".join(f"{key}: {value}" for key, value in card.defaults.items())
        facts = {"": card.summary, "paper": card.paper, "needs": "; ".join(card.needs), "defaults": defaults or "none"}
        if card.left_out:
            facts["left out by default"] = card.left_out
        for key, value in facts.items():
            if not value:
                continue
            print_line(value, console, mark=f"  {key + ': ' if key else ''}")
        for result in card.published if name else ():
            print_line(str(result), console, mark="  published: ")
