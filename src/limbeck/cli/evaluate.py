"""``limbeck evaluate MODEL DATA``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.student_options import given, takes

__all__ = ["HELP", "main"]

HELP = """Measure a model on held-out rows: accuracy, macro F1, calibration, size and speed.

For a cross-lingual student, DATA is the folder of a data set in the layout given by --layout, and the figures are
accuracy and mean reciprocal rank in each language. Layout rows: your own files (test.jsonl) with the fields text,
lang and label.

For a masked language model (task.kind: masked_lm), the figures are loss and accuracy of masked tokens, and size.

For a generative student (task.kind: generation), the figures are perplexity on the completions of the rows, ROUGE-L
and exact match of its own answers (to 200 of the prompts), repetition, size and speed. --lm-eval adds tasks of the
Language Model Evaluation Harness, given by name or as your own YAML files.

Examples:

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl --against org/large-model --output figures.json

    limbeck evaluate runs/topics/student data/topics --layout rows --lang bg,de

    limbeck evaluate runs/answers/student answers-test.jsonl --against org/large-model

    limbeck evaluate runs/answers/student answers-test.jsonl --lm-eval hellaswag,arc_easy
"""

_LANGUAGES = "Multilingual and multi-task students"
_WRITING = "Generative students"

OPTIONS = {
    "against": Annotated[str | None, typer.Option(help="A second model, e.g. the teacher: fidelity and differences.")],
    "text": Annotated[str | None, typer.Option(help="Field with the text; default: as in the model's task file.")],
    "text_pair": Annotated[str | None, typer.Option(help="Field with the second text.")],
    "label": Annotated[str | None, typer.Option(help="Field with the label.")],
    "lm_eval": Annotated[
        str | None,
        typer.Option(
            metavar="TASKS",
            help="Tasks of lm-eval, separated by commas (pip install 'limbeck[lm-eval]').",
            rich_help_panel=_WRITING,
        ),
    ],
    "layout": Annotated[
        str | None, typer.Option(help="rows, candidates or rows_translation.", rich_help_panel=_LANGUAGES)
    ],
    "split": Annotated[str | None, typer.Option(help="dev or test; default: test.", rich_help_panel=_LANGUAGES)],
    "lang": Annotated[
        str | None,
        typer.Option(
            help="Languages, separated by commas; default: all of the student's.", rich_help_panel=_LANGUAGES
        ),
    ],
    "task": Annotated[
        str | None, typer.Option(help="The task of the rows, with --layout rows.", rich_help_panel=_LANGUAGES)
    ],
    "option": Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="An option of the layout; may be repeated.", rich_help_panel=_LANGUAGES
        ),
    ],
}


@takes(OPTIONS)
def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    data: Annotated[str, typer.Argument(help="Rows: JSON Lines, CSV, Parquet, a folder of them, or hub:org/name.")],
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    **options: Any,
) -> None:
    """Print the figures of a model on rows, and those of a second model next to them."""
    from limbeck.atomic import try_output, write_json
    from limbeck.cli.terminal import console, print_line, progress, quiet_libraries

    try_output(output)
    quiet_libraries()
    from limbeck.cli.show import show_comparisons, show_figures
    from limbeck.runs.predict import load
    from limbeck.tasks.options import checked_options

    student = load(model)
    checked = checked_options(student.evaluate_options, given(options), student.students)
    results = student.evaluate(data, checked, progress())
    show_figures(results, console)
    show_comparisons(results, console)
    for warning in results.warnings:
        print_line(warning, console, mark="! ")
    if output is not None:
        write_json(output, results.model_dump())
