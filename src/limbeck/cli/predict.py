"""``limbeck predict MODEL [FILE]``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from limbeck.data.load import Fields

__all__ = ["HELP", "main"]

HELP = """Label texts; write JSON Lines with label, confidence and probabilities.

FILE is JSON Lines, CSV or Parquet with the fields the student was trained on, or .txt with a text a line.
Without FILE, or with -, standard input is read: a text a line, or JSON objects.

Rows for a cross-lingual student have the fields text, lang (the code of a language) and, where its task reads
two texts, text_pair; --lang gives one language for all.

Examples:

    limbeck predict runs/demo/student new-tickets.jsonl > labelled.jsonl

    echo "my card has not arrived" | limbeck predict runs/demo/student --top 3

    echo "Правителството подаде оставка" | limbeck predict runs/topics/student --lang bg
"""

_CROSS_LINGUAL = "Cross-lingual students"
_Row = tuple[str, str | None, str | None]
"""Text, second text and language, as far as a row has them."""


def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    file: Annotated[str, typer.Argument(help="The texts.")] = "-",
    output: Annotated[Path | None, typer.Option(help="Write here rather than to standard output.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Keep the probabilities of the best labels only.")] = None,
    lang: Annotated[
        str | None, typer.Option(help="The language of all texts, e.g. bg.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
    lang_field: Annotated[
        str | None, typer.Option(help="Field with each row's language; default: lang.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
    task: Annotated[
        str | None, typer.Option(help="Which task, where the student has several.", rich_help_panel=_CROSS_LINGUAL)
    ] = None,
) -> None:
    """Write an answer for each row as JSON Lines."""
    from limbeck.atomic import guard_storage
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.errors import ConfigError

    if lang and lang_field:
        raise ConfigError("--lang and --lang-field: give one language for all rows, or the field that has it")
    quiet_libraries()
    from limbeck.runs.ranker import is_ranking_student

    if is_ranking_student(model):
        answers = _ranked(model, file, lang, lang_field or "lang", task)
    elif lang or lang_field or task:
        raise ConfigError(f"--lang, --lang-field and --task are for cross-lingual students, and {model} is none")
    else:
        answers = _labelled(model, file)
    if output is None:
        _write(answers, sys.stdout, top)
        return
    part = output.with_name(output.name + ".part")
    with guard_storage(output), part.open("w", encoding="utf-8") as stream:
        _write(answers, stream, top)
    part.replace(output)


def _labelled(model: str, file: str) -> Iterator[dict[str, Any]]:
    from limbeck.data.load import Fields
    from limbeck.runs.predictor import Predictor

    predictor = Predictor(model)
    rows = _rows(file, Fields(predictor.task.text, predictor.task.text_pair))
    return predictor.predict_stream((text, pair) for text, pair, _ in rows)


def _ranked(model: str, file: str, lang: str | None, lang_field: str, task: str | None) -> Iterator[dict[str, Any]]:
    from limbeck.data.load import Fields
    from limbeck.runs.ranker import Ranker

    ranker = Ranker(model)
    if lang is not None:
        ranker.known_language(lang)
    pair = "text_pair" if ranker.known_task(task) in ranker.task.pairs else None
    # The reader of labels reads languages as well: short names, one a row.
    rows = _rows(file, Fields("text", pair, None if lang else lang_field))
    return ranker.predict_stream(((text, second, lang or str(own)) for text, second, own in rows), task)


def _write(answers: Iterator[dict[str, Any]], stream: Any, top: int | None) -> None:
    for answer in answers:
        if top is not None:
            answer["probabilities"] = dict(list(answer["probabilities"].items())[:top])
        stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
        stream.flush()


def _rows(file: str, fields: Fields) -> Iterator[_Row]:
    """Yield the rows of a file or of standard input; ``fields.label`` is the field of the language."""
    from limbeck.data.load import load_rows
    from limbeck.errors import DataError

    if file == "-" or file.endswith(".txt"):
        yield from _lines(file, fields)
        return
    rows = load_rows(file, fields).rows
    for row, where in enumerate(rows.origin):
        if fields.label and rows.label[row] is None:
            raise DataError(f"{where}: no language in field '{fields.label}'; or give one for all rows with --lang")
        yield rows.text[row], None if rows.text_pair is None else rows.text_pair[row], rows.label[row]


def _lines(file: str, fields: Fields) -> Iterator[_Row]:
    """Yield the texts of standard input or a text file by line; a line that is a JSON object is read as a row."""
    from limbeck.errors import DataError

    name = "standard input" if file == "-" else file
    try:
        with sys.stdin.buffer if file == "-" else open(file, "rb") as stream:
            for number, raw in enumerate(stream, start=1):
                try:
                    line = raw.decode("utf-8").strip()
                except UnicodeDecodeError as error:
                    raise DataError(f"{name}:{number}: not UTF-8 (byte {error.start + 1} of the line)") from error
                if line:
                    yield _one(line, f"{name}:{number}", fields)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}") from error


def _one(line: str, where: str, fields: Fields) -> _Row:
    from limbeck.errors import DataError

    row: Any = None
    if line.startswith("{"):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: looks like JSON but is not: {error.msg} (column {error.colno})") from error
    names = [field for field in (fields.text, fields.text_pair, fields.label) if field]
    if not isinstance(row, dict):
        if fields.text_pair:
            raise DataError(f"{where}: this student reads pairs; give JSON objects with {' and '.join(names)}")
        if fields.label:
            raise DataError(
                f"{where}: of which language? Give --lang CODE, or JSON objects with {' and '.join(names)}"
            )
        return line, None, None
    for field in names:
        if not isinstance(row.get(field), str) or not row[field].strip():
            hint = "; or give one language for all with --lang" if field == fields.label else ""
            raise DataError(f"{where}: field '{field}' must be a non-empty text{hint}")
    return (
        row[fields.text],
        row[fields.text_pair] if fields.text_pair else None,
        row[fields.label].strip() if fields.label else None,
    )
