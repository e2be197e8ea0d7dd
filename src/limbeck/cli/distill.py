"""``limbeck distill RUN.yaml``"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Distil a teacher into a student as a run file describes; an interrupted run resumes.

Figures, report and student are written to the folder that the run file gives as output.

Examples:

    limbeck distill examples/tickets.yaml

    limbeck distill examples/tickets.yaml --set training.num_train_epochs=5 --set output=runs/longer
"""


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a value of the run file, e.g. recipe.name=pkd."),
    ] = None,
) -> None:
    """Run a run file and print its figures."""
    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.ranks import is_main
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    quiet_libraries()
    from limbeck.cli.show import show_results
    from limbeck.runs.flow import run

    command = shlex.join(["limbeck", *sys.argv[1:]])
    results = run(config, progress=progress(), command=command)
    if is_main():
        show_results(results, Path(config.output), console)
