"""``limbeck demo``"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["HELP", "main"]

HELP = """Distil a real encoder on real customer questions: no network, GPU or account; about ten minutes.

Teacher: all-MiniLM-L6-v2 with a head for 77 banking intents, from ten labelled questions for each and 9,233 without
labels. Student: half its layers, distilled on all 10,003 questions without using their labels.

Examples:

    limbeck demo

    limbeck demo --quick
"""


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Fewer intents and texts: about three minutes.")] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Students to train; a test over seeds needs three or more.")] = 1,
    output: Annotated[Path | None, typer.Option(help="Run folder; default: runs/demo or runs/demo-quick.")] = None,
) -> None:
    """Run the demo and show the student's answers to a few sentences."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # everything comes with the package
    from limbeck.cli.terminal import console, progress, quiet_libraries

    quiet_libraries()
    from limbeck.cli.show import show_results
    from limbeck.demo.setting import demo_run, sentences_on
    from limbeck.formatting import share_text
    from limbeck.runs.flow import run
    from limbeck.tasks.classification.predict import Predictor

    folder = output or Path("runs") / ("demo-quick" if quick else "demo")
    config = demo_run(folder, quick=quick, seeds=seeds)
    command = shlex.join(["limbeck", *sys.argv[1:]])
    results = run(config, progress=progress(), command=command)
    show_results(results, folder, console)
    console.print("\nThe student on three new sentences:", markup=False)
    student = Predictor(str(folder / "student"))
    sentences = sentences_on(student.labels)
    for text, answer in zip(sentences, student.predict(sentences), strict=True):
        sure = share_text(answer["confidence"], digits=0)
        console.print(f"  {text}\n    -> {answer['label']} ({sure})", markup=False, soft_wrap=True)
