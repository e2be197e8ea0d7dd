"""``limbeck predict MODEL [FILE]``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from limbeck.cli.student_options import given, takes

__all__ = ["HELP", "main"]

HELP = """Label texts or answer prompts; write JSON Lines with label, confidence and probabilities, or with the answer.

FILE is JSON Lines, CSV or Parquet with the fields the student was trained on, or .txt with one text per line.
Without FILE, or with -, standard input is read: one text per line, or JSON objects.

Rows for a cross-lingual student have the fields text, lang (a language code) and, for tasks on two texts,
text_pair; --lang gives one language for all rows.

A masked language model (task.kind: masked_lm) reads texts with mask tokens, and writes what each most likely hides.

A generative student (task.kind: generation) reads rows with the fields of its prompts or its conversations, or one
prompt per line. It writes prompt, answer, and cut_off if the token limit ended the answer.

Examples:

    limbeck predict runs/demo/student new-tickets.jsonl > labelled.jsonl

    echo "my card has not arrived" | limbeck predict runs/demo/student --top 3

    echo "Правителството подаде оставка" | limbeck predict runs/topics/student --lang bg

    echo "What is the capital of France?" | limbeck predict runs/answers/student --max-new-tokens 60
"""

_LANGUAGES = "Multilingual and multi-task students"
_WRITING = "Generative students"

OPTIONS = {
    "top": Annotated[
        int | None,
        typer.Option(help="Keep only the probabilities of the best labels, or so many tokens for each mask (5)."),
    ],
    "lang": Annotated[
        str | None, typer.Option(help="The language of all texts, e.g. bg.", rich_help_panel=_LANGUAGES)
    ],
    "lang_field": Annotated[
        str | None, typer.Option(help="Field with each row's language; default: lang.", rich_help_panel=_LANGUAGES)
    ],
    "task": Annotated[
        str | None, typer.Option(help="The task, if the student has several.", rich_help_panel=_LANGUAGES)
    ],
    "max_new_tokens": Annotated[
        int | None,
        typer.Option(
            help="Longest answer in tokens; default: 128, or half the student's context if that is less.",
            rich_help_panel=_WRITING,
        ),
    ],
    "temperature": Annotated[
        float | None,
        typer.Option(help="Sampling temperature; default: 0, always the most likely token.", rich_help_panel=_WRITING),
    ],
}


@takes(OPTIONS)
def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    file: Annotated[str, typer.Argument(help="The texts.")] = "-",
    output: Annotated[Path | None, typer.Option(help="Write to this file, not to standard output.")] = None,
    **options: Any,
) -> None:
    """Write an answer for each row as JSON Lines."""
    from limbeck.atomic import replace_file, try_output
    from limbeck.cli.terminal import quiet_libraries

    try_output(output)
    quiet_libraries()
    from limbeck.runs.predict import load
    from limbeck.tasks.options import checked_options

    student = load(model)
    checked = checked_options(student.predict_options, given(options), student.students)
    answers = student.predict(student.rows(file, checked), checked)
    if output is None:
        _write(answers, sys.stdout)
        return
    with replace_file(output) as stream:
        _write(answers, stream)


def _write(answers: Iterator[dict[str, Any]], stream: Any) -> None:
    # A terminal or a pipe that is not UTF-8 may lack characters, which JSON can escape.
    plain = (stream.encoding or "").replace("-", "").lower() != "utf8"
    for answer in answers:
        stream.write(json.dumps(answer, ensure_ascii=plain) + "\n")
        stream.flush()
