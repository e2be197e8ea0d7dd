"""``limbeck recipes``"""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """List the recipes: paper, what each needs, and its defaults.

Recipes of cross-lingual runs come last: a run file names one as its recipe and others as its baselines.

Examples:

    limbeck recipes

    limbeck recipes pkd

    limbeck recipes ml_ipd
"""


def main(name: Annotated[str | None, typer.Argument(help="Show one recipe only.")] = None) -> None:
    """Print a card for each recipe."""
    from rich.console import Console

    from limbeck.recipes.catalogue import recipe_card, recipe_cards

    console = Console(highlight=False)
    kind = ""
    for card in [recipe_card(name)] if name else recipe_cards():
        own = "Classification" if card.cross_lingual is None else "Cross-lingual runs (task.kind: instructions)"
        if own != kind:
            console.print(f"{chr(10) if kind else ''}{own}", style="underline")
            kind = own
        console.print(f"[bold]{card.name}[/bold]")
        defaults = ", ".join(f"{key}: {value}" for key, value in card.defaults.items())
        facts = {"": card.summary, "paper": card.paper, "needs": ", ".join(card.needs), "defaults": defaults or "none"}
        if card.cross_lingual is not None:
            facts["needs"] = "; ".join(card.cross_lingual)
        for key, value in facts.items():
            console.print(f"  {key + ': ' if key else ''}{value}", markup=False, soft_wrap=True)
