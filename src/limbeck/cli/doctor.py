"""``limbeck doctor RUN.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Check a run before spending on it: data, labels, tokenizers, layers, lengths, the teacher itself, time.

Ends with code 2 if it finds a fault that would stop or spoil the run.

Example:

    limbeck doctor examples/tickets.yaml
"""

_STYLES = {"ok": "green", "note": "blue", "warning": "yellow", "fault": "bold red"}


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
) -> None:
    from rich.text import Text

    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    quiet_libraries()
    from limbeck.runs.doctor import examine

    findings = examine(config, progress())
    for finding in findings:
        line = Text.assemble((f"{finding.level:>8}", _STYLES[finding.level]), f"  {finding.check}: {finding.message}")
        console.print(line, soft_wrap=True)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(2)
