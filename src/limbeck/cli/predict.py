"""``limbeck predict MODEL [FILE]``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["HELP", "main"]

HELP = """Label texts; write JSON Lines with label, confidence and probabilities.

FILE is JSON Lines, CSV or Parquet with the fields the student was trained on, or .txt with a text a line.
Without FILE, or with -, standard input is read: a text a line, or JSON objects.

Examples:

    limbeck predict runs/demo/student new-tickets.jsonl > labelled.jsonl

    echo "my card has not arrived" | limbeck predict runs/demo/student --top 3
"""


def main(
    model: Annotated[str, typer.Argument(help="A student folder, or any fine-tuned classifier (folder or hub name).")],
    file: Annotated[str, typer.Argument(help="The texts.")] = "-",
    output: Annotated[Path | None, typer.Option(help="Write here rather than to standard output.")] = None,
    top: Annotated[int | None, typer.Option(min=1, help="Keep the probabilities of the best labels only.")] = None,
) -> None:
    from limbeck.atomic import guard_storage
    from limbeck.cli.terminal import quiet_libraries

    quiet_libraries()
    from limbeck.runs.predictor import Predictor

    predictor = Predictor(model)
    answers = predictor.predict_stream(_rows(file, predictor.task))
    if output is None:
        _write(answers, sys.stdout, top)
        return
    part = output.with_name(output.name + ".part")
    with guard_storage(output), part.open("w", encoding="utf-8") as stream:
        _write(answers, stream, top)
    part.replace(output)


def _write(answers: Iterator[dict[str, Any]], stream: Any, top: int | None) -> None:
    for answer in answers:
        if top is not None:
            answer["probabilities"] = dict(list(answer["probabilities"].items())[:top])
        stream.write(json.dumps(answer, ensure_ascii=False) + "\n")
        stream.flush()


def _rows(file: str, task: Any) -> Iterator[tuple[str, str | None]]:
    from limbeck.data.load import Fields, load_rows

    if file == "-" or file.endswith(".txt"):
        yield from _lines(file, task)
        return
    rows = load_rows(file, Fields(text=task.text, text_pair=task.text_pair, label=None)).rows
    pairs: list[str] | list[None] = rows.text_pair or [None] * len(rows)
    yield from zip(rows.text, pairs, strict=True)


def _lines(file: str, task: Any) -> Iterator[tuple[str, str | None]]:
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
                    yield _one(line, f"{name}:{number}", task)
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}") from error


def _one(line: str, where: str, task: Any) -> tuple[str, str | None]:
    from limbeck.errors import DataError

    row: Any = None
    if line.startswith("{"):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: looks like JSON but is not: {error.msg} (column {error.colno})") from error
    if not isinstance(row, dict):
        if task.text_pair:
            raise DataError(
                f"{where}: this student reads pairs; give JSON objects with {task.text} and {task.text_pair}"
            )
        return line, None
    fields = [task.text, *([task.text_pair] if task.text_pair else [])]
    for field in fields:
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise DataError(f"{where}: field '{field}' must be a non-empty text")
    return row[task.text], row[task.text_pair] if task.text_pair else None
