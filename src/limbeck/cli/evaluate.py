"""``limbeck evaluate MODEL DATA``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from limbeck.errors import ConfigError

if TYPE_CHECKING:
    from limbeck.data.load import Fields

__all__ = ["HELP", "main"]

HELP = """Measure a model on held-out rows: accuracy, macro F1, calibration, size and speed.

For a cross-lingual student, DATA is the folder of a data set whose layout --layout names, and the figures are
accuracy and mean reciprocal rank in each language. Layout rows: files of your own (test.jsonl) with the fields
text, lang and label.

For a student that writes (task.kind: generation), the figures are perplexity on the completions of the rows, ROUGE-L
and exact match of its own answers (to 200 of the prompts), repetition, size and speed. With --lm-eval it is also
measured on tasks of the Language Model Evaluation Harness: by their names, or YAML files of your own.

Examples:

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl

    limbeck evaluate runs/demo/student runs/demo/data/test.jsonl --against org/large-model --output figures.json

    limbeck evaluate runs/topics/student data/topics --layout rows --lang bg,de

    limbeck evaluate runs/answers/student answers-test.jsonl --against org/large-model

    limbeck evaluate runs/answers/student answers-test.jsonl --lm-eval hellaswag,arc_easy
"""

_CROSS_LINGUAL = "Cross-lingual students"
_WRITING = "Students that write"


def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    data: Annotated[str, typer.Argument(help="Rows: JSON Lines, CSV, Parquet, a folder of them, or hub:org/name.")],
    against: Annotated[
        str | None, typer.Option(help="A second model, e.g. the teacher: fidelity and differences.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Field with the text; default: as the model's task file says.")
    ] = None,
    text_pair: Annotated[str | None, typer.Option(help="Field with the second text.")] = None,
    label: Annotated[str | None, typer.Option(help="Field with the label.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
    lm_eval: Annotated[
        str | None,
        typer.Option(
            metavar="TASKS",
            help="Tasks of lm-eval, joined by commas (pip install 'limbeck[lm-eval]').",
            rich_help_panel=_WRITING,
        ),
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="rows, candidates or rows_translation.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="dev or test; default: test.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(
            help="Languages, joined by commas; default: all of the student's.", rich_help_panel=_CROSS_LINGUAL
        ),
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="The task that --layout rows is about.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the layout; may be repeated.", rich_help_panel=_CROSS_LINGUAL),
    ] = None,
) -> None:
    """Print the figures of a model on rows, and of another beside it."""
    from limbeck.atomic import try_output
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.data.records import named_fields

    fields = named_fields(text, text_pair, label)
    try_output(output)
    quiet_libraries()
    from limbeck.tasks.task_file import student_kind

    kind = student_kind(model)
    ranks, writes = kind == "instructions", kind == "generation"
    if lm_eval is not None and not writes:
        raise ConfigError(f"--lm-eval is for students that write, and {model} is none")
    if ranks:
        if against or text:
            wrong = "--against" if against else "--text"
            raise ConfigError(f"{wrong} is not for cross-lingual students; the fields of --layout rows are options")
        return _ranking(model, data, layout, split or "test", lang, task, option or [], output)
    if layout or split or lang or task or option:
        raise ConfigError(
            f"--layout, --split, --lang, --task and --option are for cross-lingual students, and {model} is none"
        )
    if writes:
        if text:
            raise ConfigError(f"--text is for classifiers; {model} writes, and its task.json names the fields")
        return _writing(model, data, against, lm_eval, output)
    return _labelling(model, data, against, fields, output)


def _ranking(
    model: str,
    data: str,
    layout: str | None,
    split: str,
    lang: str | None,
    task: str | None,
    option: list[str],
    output: Path | None,
) -> None:
    from limbeck.atomic import write_json
    from limbeck.cli.show import show_figures
    from limbeck.cli.terminal import console, progress
    from limbeck.runs.evaluate_languages import evaluate_languages

    if layout is None:
        raise ConfigError(
            f"{model} is a cross-lingual student: say how the data set is laid out. "
            f"For files of your own with the fields text, lang and label: limbeck evaluate {model} FOLDER "
            "--layout rows; where each row lists its own: --layout candidates"
        )
    languages = None if lang is None else [one.strip() for one in lang.split(",") if one.strip()]
    results = evaluate_languages(
        model, data, layout=layout, split=split, languages=languages, task=task, options=option, progress=progress()
    )
    show_figures(results, console)
    if output is not None:
        write_json(output, results.model_dump())


def _writing(model: str, data: str, against: str | None, lm_eval: str | None, output: Path | None) -> None:
    from limbeck.atomic import write_json
    from limbeck.cli.show import show_figures
    from limbeck.cli.terminal import console, progress
    from limbeck.results.sections import Harness
    from limbeck.runs.evaluate_tasks import evaluate_tasks, named_tasks
    from limbeck.runs.writer import evaluate_texts

    tasks = None if lm_eval is None else named_tasks(lm_eval)
    results = evaluate_texts(model, data, against=against, progress=progress())
    if tasks is not None:
        found = evaluate_tasks(model, tasks, against=against, progress=progress())
        results = results.model_copy(update={"sections": [*results.sections, Harness(figures=found)]})
    show_figures(results, console)
    if output is not None:
        write_json(output, results.model_dump())


def _labelling(model: str, data: str, against: str | None, fields: Fields | None, output: Path | None) -> None:
    from limbeck.atomic import write_json
    from limbeck.cli.show import show_comparisons, show_figures
    from limbeck.cli.terminal import console, print_line, progress
    from limbeck.runs.evaluate import evaluate

    results = evaluate(model, data, against=against, fields=fields, progress=progress())
    show_figures(results, console)
    show_comparisons(results, console)
    if results.role("constant") is None:
        print_line(
            f"No row of {data} has a label, so nothing is known of how often the model is right. --text and --label "
            "name the fields.",
            console,
            mark="! ",
        )
    if output is not None:
        write_json(output, results.model_dump())
