"""``limbeck store RUN.yaml``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Run the teacher over all training rows once and keep its most likely tokens on disk.

Generation runs (task.kind: generation) with a folder as teacher.store then train without running the teacher. Rows are
looked up by their content: the store serves any order, split, seed and number of devices, and only new rows are added
to it. An interrupted command resumes.

With teacher.server in the run file an inference server (vLLM) is asked, and no weights are needed.

Examples:

    limbeck store chat.yaml --set teacher.store=stores/chat

    limbeck distill chat.yaml --set teacher.store=stores/chat
"""


def main(
    run_file: Annotated[Path, typer.Argument(metavar="RUN.yaml", help="The run file.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="As for distill.")] = None,
) -> None:
    """Fill the teacher store of a run file."""
    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.formatting import share_text
    from limbeck.runs.config import load_run_file

    config = load_run_file(run_file, set_ or ())
    quiet_libraries()
    from limbeck.tasks.table import task_of

    rows, mass = task_of(config).fill_store(config, progress())
    if rows:
        have = share_text(mass, digits=2)
        console.print(f"{rows} rows kept; the kept tokens hold {have} of the teacher's probability on average")
    else:
        console.print("every row is already in the store")
