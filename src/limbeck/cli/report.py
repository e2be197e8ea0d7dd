"""``limbeck report RUN``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Rebuild the report from results.json.

Nothing is measured again.

Example:

    limbeck report runs/demo --output report.html
"""


def main(
    run: Annotated[Path, typer.Argument(help="A run folder, or its results.json.")],
    output: Annotated[
        Path | None, typer.Option(help="Where to write; default: report.html next to the results.")
    ] = None,
) -> None:
    """Rebuild the report of a finished run."""
    from limbeck.atomic import try_output
    from limbeck.cli.terminal import console
    from limbeck.report.page import write_report
    from limbeck.results.read import read_results

    target = output or (run if run.is_dir() else run.parent) / "report.html"
    results = read_results(run)
    try_output(target, parents=True)
    write_report(results, target)
    console.print(f"report: {target}", markup=False, soft_wrap=True)
