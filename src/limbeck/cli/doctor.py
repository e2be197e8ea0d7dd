"""``limbeck doctor RUN.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Check a run before spending on it: data, labels, tokenizers, layers, lengths, the teacher itself, time.

For a cross-lingual run (task.kind: ranking) it checks records, the labels and script of each language, pairs of
translations, prompts, the tokenizer in each language, steps and time. For a generation run (task.kind: generation) it
checks templates, end tokens, vocabularies, the losses of both models on your rows, memory and time.

Exits with code 2 if it finds a fault that would stop or spoil the run.

Examples:

    limbeck doctor examples/tickets.yaml

    limbeck doctor topics.yaml --set seeds=[0]
"""

_STYLES = {"ok": "green", "note": "blue", "warning": "yellow", "fault": "bold red"}


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
) -> None:
    """Print the findings on a run file; exit with code 2 on a fault."""
    from rich.text import Text

    from limbeck.cli.terminal import console, print_line, progress, quiet_libraries
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    quiet_libraries()
    from limbeck.runs.examine import examine

    findings = examine(config, progress())
    for finding in findings:
        mark = Text.assemble((f"{finding.level:>8}", _STYLES[finding.level]), "  ")
        print_line(f"{finding.check}: {finding.message}", console, mark=mark)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(2)
