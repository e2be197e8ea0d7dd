"""``limbeck plan RUN.yaml``"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from limbeck.numerics.memory_plan import MemoryItem
    from limbeck.runs.plan import MemoryPlan

__all__ = ["HELP", "main"]

HELP = """Predict the memory that a classification run needs, item by item, before anything is loaded or paid for.

One training step of each model is traced on tensors without memory, with the longest rows of your data. If the run
does not fit the device, or the memory that you allow, the plan says what to change, and ends with code 2.

With --paper: what the memory formula of a published table gives, for its three models and for the run's student.

Examples:

    limbeck plan examples/tickets.yaml

    limbeck plan examples/tickets.yaml --memory 2GB --set training.batch_size=16

    limbeck plan --paper
"""

_PAPER_MODELS = [("LLaMA-2 7B", 7.0e9, 40.0e6), ("OPT 1.3B", 1.3e9, 20.0e6), ("GPT-2 124M", 124e6, 0.70e6)]
"""Nominal parameters, and the trained ones that the table's cells imply."""


def main(
    run_file: Annotated[Path | None, typer.Argument(metavar="RUN.yaml", help="The run file.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="What there is (8GB, 512MB); default: as the device has.")
    ] = None,
    paper: Annotated[bool, typer.Option("--paper", help="The published formula instead.")] = False,
) -> None:
    """Print the memory plan of a run; one that does not fit ends with code 2."""
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.errors import ConfigError
    from limbeck.numerics.memory_plan import parse_size
    from limbeck.runs.config import RunConfig, load_run_file

    if run_file is None and not paper:
        raise ConfigError("give a run file: limbeck plan RUN.yaml, or limbeck plan --paper")
    config = load_run_file(run_file, set_ or ()) if run_file is not None else None
    if config is not None and not isinstance(config, RunConfig):
        raise ConfigError(f"{run_file}: limbeck plan knows classification runs; for others use limbeck doctor")
    try:
        available = parse_size(memory) if memory is not None else None
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from error
    quiet_libraries()
    if paper:
        _print_paper(config)
        return
    from limbeck.runs.plan import plan_memory

    assert config is not None
    plan = plan_memory(config, available=available)
    _print_plan(plan)
    if not plan.fits:
        raise typer.Exit(2)


def _print_plan(plan: MemoryPlan) -> None:
    from limbeck.cli.terminal import console, print_line
    from limbeck.numerics.memory_plan import readable

    console.print(f"Device: {plan.device}, {readable(plan.available)} at hand. {plan.batch}.", soft_wrap=True)
    for phase in plan.phases:
        needed = f"{phase.name}: {readable(phase.bytes)}"
        _print_items(needed + (", the most" if phase is plan.worst else ""), phase.items)
    if plan.fits:
        console.print(f"It fits: {readable(plan.worst.bytes)} of {readable(plan.available)}.", soft_wrap=True)
    for line in (*plan.advice, *plan.notes):
        print_line(line, console)


def _print_paper(config: object) -> None:
    from limbeck.cli.terminal import console
    from limbeck.formatting import share_text
    from limbeck.numerics.memory_plan import paper_items, readable, total_bytes
    from limbeck.runs.config import RunConfig

    models = list(_PAPER_MODELS)
    if isinstance(config, RunConfig):
        from limbeck.runs.plan import student_parameters

        of_student, trained_of_it = student_parameters(config)
        models.append(("the run's student", float(of_student), float(trained_of_it)))
    console.print("Weights, gradients and optimiser alone, as the paper counts them: no activations.")
    for name, parameters, trained in models:
        full, four_bit = paper_items(parameters), paper_items(parameters, trained)
        whole, saved = total_bytes(full), 1 - total_bytes(four_bit) / total_bytes(full)
        _print_items(f"{name}, 16-bit, all trained: {readable(whole)}", full)
        less = f"{readable(total_bytes(four_bit))}, {share_text(saved, digits=2)} less"
        _print_items(f"{name}, 4-bit, {trained / 1e6:.2f} M trained: {less}", four_bit)


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
