"""``limbeck store RUN.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Ask the teacher about all training rows once and keep its likeliest tokens on disk.

Runs on texts (task.kind: generation) whose run file names a folder as teacher.store then train without running the
teacher. Rows are found by what they say: the store serves any order, split, seed and number of devices, and is
filled up where rows were added. A killed command goes on where it ended.

With teacher.server in the run file an inference server (vLLM) is asked, and no weights are needed.

Examples:

    limbeck store chat.yaml --set teacher.store=stores/chat

    limbeck distill chat.yaml --set teacher.store=stores/chat
"""


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
) -> None:
    """Fill the store that a run file names."""
    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.formatting import share_text
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    quiet_libraries()
    from limbeck.tasks.table import task_of

    rows, mass = task_of(config).fill_store(config, progress())
    if rows:
        have = share_text(mass, digits=2)
        console.print(f"{rows} rows kept; the kept tokens have {have} of the teacher's probability on average")
    else:
        console.print("every row is in the store already")
