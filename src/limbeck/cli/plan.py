"""``limbeck plan RUN.yaml``"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limbeck.numerics.memory_plan import MemoryItem
    from limbeck.tasks.memory import MemoryPlan

__all__ = ["HELP", "main"]

HELP = """Predict the memory that a run needs, item by item, before anything is loaded or paid for.

One training step of each model is traced on tensors without storage, with the longest rows of your data. If the run
does not fit the device, or the memory that you allow, the plan suggests changes and exits with code 2.

Examples:

    limbeck plan examples/tickets.yaml

    limbeck plan examples/tickets.yaml --memory 2GB --set training.batch_size=16
"""


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Available memory (8GB, 512MB); default: the device's.")
    ] = None,
) -> None:
    """Print the memory plan of a run; exit with code 2 if it does not fit."""
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.errors import ConfigError
    from limbeck.numerics.memory_plan import parse_size
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    try:
        available = parse_size(memory) if memory is not None else None
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from error
    quiet_libraries()
    from limbeck.tasks.table import task_of

    plan = task_of(config).plan(config, available)
    _print_plan(plan)
    if not plan.fits:
        raise typer.Exit(2)


def _print_plan(plan: MemoryPlan) -> None:
    from limbeck.cli.terminal import console, print_line
    from limbeck.numerics.memory_plan import readable

    console.print(f"Device: {plan.device}, {readable(plan.available)} available. {plan.batch}.", soft_wrap=True)
    for phase in plan.phases:
        needed = f"{phase.name}: {readable(phase.bytes)}"
        _print_items(needed + (", the peak" if phase is plan.worst else ""), phase.items)
    if plan.fits:
        console.print(f"It fits: {readable(plan.worst.bytes)} of {readable(plan.available)}.", soft_wrap=True)
    for line in (*plan.advice, *plan.notes):
        print_line(line, console)


def _print_items(title: str, items: Iterable[MemoryItem]) -> None:
    from rich.table import Table

    from limbeck.cli.terminal import console
    from limbeck.numerics.memory_plan import readable

    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for item in items:
        table.add_row(f"  {item.name}", readable(item.bytes), item.how)
    console.print(title, soft_wrap=True, markup=False)
    console.print(table)
