"""``limbeck predict MODEL [FILE]``"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from limbeck.cli.lines import is_by_line, read_lines

if TYPE_CHECKING:
    from limbeck.data.generation.records import Example
    from limbeck.data.generation.task import Generation
    from limbeck.data.records import Fault, Fields

__all__ = ["HELP", "main"]

HELP = """Label texts or answer prompts; write JSON Lines with label, confidence and probabilities, or with the answer.

FILE is JSON Lines, CSV or Parquet with the fields the student was trained on, or .txt with a text a line.
Without FILE, or with -, standard input is read: a text a line, or JSON objects.

Rows for a cross-lingual student have the fields text, lang (the code of a language) and, where its task reads
two texts, text_pair; --lang gives one language for all.

A student that writes (task.kind: generation) reads rows with the fields of its prompts or its conversations, or a
prompt a line, and answers with prompt, answer, and cut_off where the limit of tokens ended the answer.

Examples:

    limbeck predict runs/demo/student new-tickets.jsonl > labelled.jsonl

    echo "my card has not arrived" | limbeck predict runs/demo/student --top 3

    echo "Правителството подаде оставка" | limbeck predict runs/topics/student --lang bg

    echo "What is the capital of France?" | limbeck predict runs/answers/student --max-new-tokens 60
"""

_CROSS_LINGUAL = "Cross-lingual students"
_WRITING = "Students that write"
_PLAIN = "line"
"""Field of a prompt that is a line of its own."""
T = TypeVar("T")
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
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Longest answer in tokens; default: 128, or half of what the student reads where that is less.",
            rich_help_panel=_WRITING,
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Of sampling; default: 0, always the likeliest token.", rich_help_panel=_WRITING),
    ] = None,
) -> None:
    """Write an answer for each row as JSON Lines."""
    from limbeck.atomic import replace_file, try_output
    from limbeck.cli.terminal import quiet_libraries
    from limbeck.errors import ConfigError

    if lang and lang_field:
        raise ConfigError("--lang and --lang-field: give one language for all rows, or the field that has it")
    try_output(output)
    quiet_libraries()
    from limbeck.runs.ranker import is_ranking_student
    from limbeck.runs.writer import is_writing_student

    writes = is_writing_student(model)
    if not writes and (max_new_tokens is not None or temperature is not None):
        raise ConfigError(f"--max-new-tokens and --temperature are for students that write, and {model} is none")
    if is_ranking_student(model):
        answers = _ranked(model, file, lang, lang_field or "lang", task)
    elif lang or lang_field or task:
        raise ConfigError(f"--lang, --lang-field and --task are for cross-lingual students, and {model} is none")
    elif writes:
        if top is not None:
            raise ConfigError(f"--top is for students that label, and {model} writes")
        answers = _written(model, file, max_new_tokens, temperature or 0.0)
    else:
        answers = _labelled(model, file)
    if output is None:
        _write(answers, sys.stdout, top)
        return
    with replace_file(output) as stream:
        _write(answers, stream, top)


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


def _written(model: str, file: str, max_new_tokens: int | None, temperature: float) -> Iterator[dict[str, Any]]:
    from limbeck.runs.writer import WritingStudent

    student = WritingStudent(model)
    prompts = _prompts(file, student.prompts)
    return student.write_stream(prompts, max_new_tokens=max_new_tokens, temperature=temperature)


def _prompts(file: str, task: Generation) -> Iterator[Example]:
    """Yield the prompts of a file or of standard input; a line that is no JSON object is a prompt itself."""
    from limbeck.data.checks import check_record
    from limbeck.data.generation.checks import check_example
    from limbeck.data.generation.load import load_examples
    from limbeck.data.generation.records import Example, Message
    from limbeck.data.records import Fields
    from limbeck.types import Origin

    if not is_by_line(file):
        yield from load_examples(file, task, require_completion=False, split="test").rows
        return
    for name, found, is_object in read_lines(file, _PLAIN):
        record = _sound(name, found)
        if is_object:
            yield _sound(name, check_example(record, task, name, require_completion=False))
        else:
            prompt = _sound(name, check_record(record, Fields(_PLAIN), None)).text
            yield Example((Message("user", prompt),), None, Origin(name, record.number))


def _write(answers: Iterator[dict[str, Any]], stream: Any, top: int | None) -> None:
    # A terminal or a pipe may take fewer characters than JSON has other ways to write.
    plain = (stream.encoding or "").replace("-", "").lower() != "utf8"
    for answer in answers:
        if top is not None:
            answer["probabilities"] = dict(list(answer["probabilities"].items())[:top])
        stream.write(json.dumps(answer, ensure_ascii=plain) + "\n")
        stream.flush()


def _rows(file: str, fields: Fields) -> Iterator[_Row]:
    """Yield the rows of a file or of standard input; ``fields.label`` is the field of the language."""
    from limbeck.data.checks import check_record
    from limbeck.data.load import load_rows
    from limbeck.errors import DataError

    hint = f"no language in field '{fields.label}'; or give one for all rows with --lang"
    if is_by_line(file):
        for name, found, is_object in read_lines(file, fields.text):
            record = _sound(name, found)
            if not is_object:
                _require_text_alone(f"{name}:{record.number}", fields)
            row = _sound(name, check_record(record, fields, None))
            if fields.label and row.label is None:
                raise DataError(f"{name}:{record.number}: {hint}")
            yield row.text, row.text_pair, row.label
        return
    rows = load_rows(file, fields).rows
    for number, where in enumerate(rows.origin):
        if fields.label and rows.label[number] is None:
            raise DataError(f"{where}: {hint}")
        yield rows.text[number], None if rows.text_pair is None else rows.text_pair[number], rows.label[number]


def _require_text_alone(where: str, fields: Fields) -> None:
    """Refuse a line that is no JSON object where a row has more than its text. Raises `DataError`."""
    from limbeck.errors import DataError

    names = " and ".join(field for field in (fields.text, fields.text_pair, fields.label) if field)
    if fields.text_pair:
        raise DataError(f"{where}: this student reads pairs; give JSON objects with {names}")
    if fields.label:
        raise DataError(f"{where}: of which language? Give --lang CODE, or JSON objects with {names}")


def _sound(name: str, found: T | Fault) -> T:
    """Return what is no fault. Raises `DataError`."""
    from limbeck.data.records import Fault, brief
    from limbeck.errors import DataError

    if isinstance(found, Fault):
        field = f"field '{found.field}': " if found.field is not None else ""
        raise DataError(f"{name}:{found.number}: {field}{brief(found.reason)}")
    return found
