"""``limbeck recipes``"""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """List the recipes: paper, what each needs, and its defaults.

Examples:

    limbeck recipes

    limbeck recipes pkd
"""


def main(name: Annotated[str | None, typer.Argument(help="Show one recipe only.")] = None) -> None:
    from rich.console import Console

    from limbeck.recipes.catalogue import recipe_card, recipe_cards

    console = Console(highlight=False)
    for card in [recipe_card(name)] if name else recipe_cards():
        console.print(f"[bold]{card.name}[/bold]")
        defaults = ", ".join(f"{key}: {value}" for key, value in card.defaults.items())
        facts = {"": card.summary, "paper": card.paper, "needs": ", ".join(card.needs), "defaults": defaults or "none"}
        for key, value in facts.items():
            console.print(f"  {key + ': ' if key else ''}{value}", markup=False, soft_wrap=True)
