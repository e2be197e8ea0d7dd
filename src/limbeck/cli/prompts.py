"""``limbeck prompts tune FILE``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "app"]

HELP = "Find the prompt with which a teacher labels best."

_TUNE = """Search for a prompt on labelled development rows, and freeze it.

The search varies the wording of the instruction, keywords, system message, demonstrations and their order. It tries 32
prompts on a quarter of the rows, 8 on half and 2 on all. On fewer than 50 rows the default is kept unless another is
better by more than one standard error. Held-out rows are not read. The same command resumes an interrupted search.

The prompt is written to prompt.json in the output folder; a run file uses it as prompt: {file: PATH}.

Example:

    limbeck prompts tune tune.yaml
"""

app = typer.Typer(help=HELP, no_args_is_help=True, rich_markup_mode="markdown")


@app.callback()
def _group() -> None:
    """Keep `prompts` a group although it has one command."""


@app.command("tune", help=_TUNE)
def tune(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The search file; docs/prompts.md lists its keys.")],
) -> None:
    """Search, and print where the prompt was written."""
    from limbeck.cli.terminal import console, progress, quiet_libraries
    from limbeck.prompt_search.config import load_tune_file

    config = load_tune_file(file)
    quiet_libraries()
    from limbeck.prompt_search.tune import tune_prompt

    tuned = tune_prompt(config, progress())
    chosen = tuned.choice.chosen
    console.print(f"chosen: {chosen.candidate.what} ({tuned.choice.why})", markup=False)
    if chosen.score is not None:
        s = chosen.score
        console.print(f"J {s.objective:.3f} (standard error {s.standard_error:.3f}), macro F1 {s.macro_f1:.3f}")
    if tuned.order_mean is not None:
        console.print(f"over the orders of its demonstrations: J {tuned.order_mean:.3f}, sd {tuned.order_sd:.3f}")
    console.print(f"prompt: {tuned.file}", markup=False)
