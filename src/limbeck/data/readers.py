"""One reader per kind of source: each yields records, or bad rows if a row cannot even be parsed."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import chain
from typing import Any

from limbeck.data.checks import check_columns
from limbeck.data.records import BadRow, Fields, Record, Unit, brief, excerpt
from limbeck.data.sources import DataFile, HubData
from limbeck.data.text_files import open_text, refuse_unreadable, utf8_fault
from limbeck.errors import DataError
from limbeck.models.hub import hub_trouble, without_hub

__all__ = ["LoadDataset", "read_records"]

LoadDataset = Callable[..., Any]
"""`datasets.load_dataset`, or a replacement for it."""

_LONGEST_CELL_CHARACTERS = 2**31 - 1
_ROWS_AT_ONCE = 1024
_NO_CLASS = -1
"""The class id that Hugging Face data sets give to rows without a label."""


def read_records(
    source: DataFile | HubData, fields: Fields, load_dataset: LoadDataset | None = None
) -> Iterator[Record | BadRow]:
    """Yield the rows of `source` one by one; Parquet and hub rows hold only the columns of `fields`.

    Raises:
        DataError: the source as a whole cannot be read.
    """
    if isinstance(source, HubData):
        return _read_hub(source, fields, load_dataset)
    match source.suffix:
        case ".csv":
            return _read_delimited(source, fields, _split_cells(source, ","), "a cell with ',' in it needs quotes")
        case ".tsv":
            return _read_delimited(
                source, fields, _split_lines(source), "no tab or line break in a cell, not even in quotes"
            )
        case ".parquet":
            return _read_parquet(source, fields)
        case ".conll":
            return _read_conll(source, fields)
        case ".json" if _first_line(source).startswith("["):
            return _read_json_array(source)
        case _:
            return _read_json_lines(source)


def _read_json_lines(file: DataFile) -> Iterator[Record | BadRow]:
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            text = line.rstrip("\r\n")
            row, reason = _parse_json(text)
            yield BadRow(number, None, reason, text) if reason else _object_record(number, row, "line")


def _read_json_array(file: DataFile) -> Iterator[Record | BadRow]:
    """Read a JSON array. It is parsed as a whole: invalid JSON refuses the file."""
    with open_text(file) as stream:
        rows, reason = _parse_json(stream.read())
    if reason:
        raise DataError(f"{file.name}: {reason}. Expected one array of objects, or one object per line.")
    for number, row in enumerate(rows, 1):
        yield _object_record(number, row, "row")


def _read_conll(file: DataFile, fields: Fields) -> Iterator[Record | BadRow]:
    """Yield the sentences of a CoNLL file: a word and its tag on each line, a blank line after each sentence.

    Columns are separated by tabs or spaces; the first is the word, the last the tag. A record has the number of its
    sentence's first line, a bad row its own line's. ``-DOCSTART-`` lines are skipped.
    """
    lines: list[tuple[int, list[str]]] = []
    with open_text(file) as stream:
        for number, line in enumerate(chain(stream, [""]), 1):
            text = line.strip()
            if text and not text.startswith("-DOCSTART-"):
                lines.append((number, text.split("\t") if "\t" in text else text.split()))
            elif lines:
                yield _sentence(lines, fields)
                lines = []


def _sentence(lines: list[tuple[int, list[str]]], fields: Fields) -> Record | BadRow:
    first, columns = lines[0][0], len(lines[0][1])
    words = [cells[0] for _, cells in lines]
    for number, cells in lines:
        reason = utf8_fault(" ".join(cells))
        if reason is None and len(cells) != columns:
            reason = f"{len(cells)} columns, but {columns} in line {first}; a blank line separates sentences"
        if reason is not None:
            return BadRow(number, None, reason, words)
    tags = {} if fields.label is None or columns == 1 else {fields.label: [cells[-1] for _, cells in lines]}
    return Record(first, {fields.text: words, **tags})


def _first_line(file: DataFile) -> str:
    with open_text(file) as lines:
        first = next((line.strip() for line in lines if not line.isspace()), "")
    if first == "{":
        raise DataError(
            f"{file.name} holds one object over several lines: expected one array of objects, or one object per line."
        )
    return first


def _parse_json(text: str) -> tuple[Any, str]:
    """Return the value and no reason, or no value and the reason."""
    reason = utf8_fault(text)
    if reason:
        return None, reason
    try:
        return json.loads(text), ""
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        return None, f"not valid JSON: {error.msg} ({line}column {error.colno})"
    except RecursionError:
        return None, "not usable JSON: nested too deeply"
    except ValueError as error:  # a number with more digits than Python converts
        return None, f"not usable JSON: {error}"


def _object_record(number: int, row: object, unit: Unit) -> Record | BadRow:
    if isinstance(row, dict):
        return Record(number, row, unit)
    return BadRow(number, None, f'expected a JSON object such as {{"text": ...}}, got {excerpt(row)}', row, unit)


_Cells = Iterator[tuple[int, list[str], str, str]]
"""First line, cells, reason why there are none ("" if there are) and raw text of each record."""


def _read_delimited(file: DataFile, fields: Fields, split: _Cells, advice: str) -> Iterator[Record | BadRow]:
    header: list[str] | None = None
    labels: set[str] = set()
    swallowed: list[tuple[int, set[str]]] = []
    for number, cells, reason, raw in split:
        if header is None:
            if reason:
                raise DataError(f"{file.name}, line {number}, the header: {reason}.")
            header = cells
            _check_header(file.name, header, fields)
        elif reason:
            yield BadRow(number, None, reason, raw)
        elif len(cells) != len(header):
            yield BadRow(number, None, f"{len(cells)} cells, but the header has {len(header)}; {advice}", raw)
        else:
            row: dict[str, object] = dict(zip(header, cells, strict=True))
            if fields.label in row:
                labels.add(str(row[fields.label]).strip())
                if inside := _labels_inside(cells, header, header.index(str(fields.label))):
                    swallowed.append((number, inside))
            for field in (fields.label, fields.teacher_label):
                if field in row and not str(row[field]).strip():
                    row[field] = None
            yield Record(number, row)
    for number, inside in swallowed:
        if inside <= labels:
            raise DataError(
                f"{file.name}, line {number}: a quoted cell spans several lines, and all of these look like "
                "rows of the file, labels included. Write a quote that belongs to a text twice, and put quotes around "
                "its cell."
            )


def _labels_inside(cells: list[str], header: list[str], label: int) -> set[str]:
    """Return the labels of rows inside a cell, if a quote that was not meant to open a cell swallowed them.

    The text with that quote then comes before the other cells of its row, whole rows follow, and the start of another
    comes last. Returns nothing if any line is not such a row.
    """
    found: set[str] = set()
    for place, cell in enumerate(cells):
        *lines, _ = cell.splitlines() or [""]
        rows = [([""] * place if number == 0 else []) + line.split(",") for number, line in enumerate(lines)]
        if all(len(row) == len(header) for row in rows):
            found |= {row[label].strip() for row in rows} - {""}
    return found


def _split_lines(file: DataFile) -> _Cells:
    """Split tab-separated text: a line is a row, a tab ends a cell, and quotes belong to the text.

    Except for a fully quoted cell with doubled inner quotes, as spreadsheets write a text that contains a quote.
    """
    with open_text(file) as lines:
        for number, line in enumerate(lines, 1):
            text = line.rstrip("\r\n")
            if text:
                yield number, [_unquoted(cell) for cell in text.split("\t")], utf8_fault(line) or "", line


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"' or '"' in inner.replace('""', ""):
        return cell
    return inner.replace('""', '"')


def _split_cells(file: DataFile, delimiter: str) -> _Cells:
    """Split CSV, strict about quotes: a lenient parser takes all that follows a stray quote as one long cell."""
    with open_text(file) as stream, _long_cells():
        taken: list[str] = []
        ended = False

        def lines() -> Iterator[str]:
            nonlocal ended
            for line in stream:
                taken.append(line)
                yield line
            ended = True

        reader = csv.reader(lines(), delimiter=delimiter, strict=True)
        while True:
            taken.clear()
            number = reader.line_num + 1
            cells, reason = [], ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if ended:
                    raise DataError(
                        f"{file.name}, line {number}: a quote that opens in this record is never closed, so "
                        "the rest of the file cannot be split into rows. Close it; a quote inside a quoted "
                        "cell is written twice."
                    ) from error
                reason = f"not valid CSV: {error}; a quote inside a quoted cell is written twice"
            raw = "".join(taken)
            reason = utf8_fault(raw) or reason
            if cells or reason:
                yield number, cells, reason, raw


def _check_header(name: str, header: list[str], fields: Fields) -> None:
    if len(header) == 1 and header != [fields.text]:
        other = next((mark for mark in ";\t|," if mark in header[0]), None)
        if other is not None:
            raise DataError(
                f"{name}: the header is one cell, {excerpt(header[0])}, so the cells seem to be separated by "
                f"{other!r}. Expected ',' in .csv files and a tab in .tsv files."
            )
    check_columns(name, header, fields)


@contextmanager
def _long_cells() -> Iterator[None]:
    """Lift the limit of 131,072 characters per cell, which `csv` keeps for the whole process."""
    before = csv.field_size_limit(_LONGEST_CELL_CHARACTERS)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _read_parquet(file: DataFile, fields: Fields) -> Iterator[Record | BadRow]:
    import pyarrow as pa  # type: ignore[import-untyped, unused-ignore]
    import pyarrow.parquet as pq  # type: ignore[import-untyped, unused-ignore]

    try:
        with refuse_unreadable(file), pq.ParquetFile(file.path) as table:
            schema = table.schema_arrow
            wanted = check_columns(file.name, schema.names, fields)
            classes = _stored_classes(file.name, schema, fields.label)
            batches = table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted)
            yield from _arrow_records(batches, wanted, fields.label, classes)
    except pa.ArrowException as error:
        raise DataError(f"{file.name} is not a valid Parquet file: {error}. Copy or write it again.") from error


def _stored_classes(name: str, schema: Any, label: str | None) -> list[str] | None:
    """Return the class names that `datasets` wrote into a Parquet file, if `label` is a class label.

    Raises:
        DataError: the file says that the labels are class numbers, but does not name the classes.
    """
    # Read without `datasets`, which refuses files of newer versions for features that we do not use.
    stored: bytes = (schema.metadata or {}).get(b"huggingface", b"{}")
    feature, _ = _parse_json(stored.decode("utf-8", "surrogateescape"))
    for key in ("info", "features", label):
        feature = feature.get(key) if isinstance(feature, dict) else None
    if isinstance(feature, dict) and feature.get("_type") in ("List", "LargeList", "Sequence"):
        feature = feature.get("feature")
    if not isinstance(feature, dict) or feature.get("_type") != "ClassLabel":
        return None
    names = feature.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(
            f"{name}: column '{label}' holds class numbers, but their names are not in the file (metadata "
            f"'huggingface': {excerpt(names)}). Write the file again, with names as labels."
        )
    return names


def _read_hub(data: HubData, fields: Fields, load_dataset: LoadDataset | None) -> Iterator[Record | BadRow]:
    import datasets  # type: ignore[import-untyped, unused-ignore]

    load = load_dataset or datasets.load_dataset
    trouble = None if load_dataset else hub_trouble(data.repository, "dataset")
    try:
        with _from_cache() if trouble else nullcontext():
            table = load(data.repository, data.config, split=data.split, revision=data.revision)
    except Exception as error:  # errors of the network, the hub and the builder have no common base
        raise DataError(
            f"{data.name} could not be loaded{f', and this machine has no copy of it: {trouble}' if trouble else ''}. "
            "Check the name, the split and the network, or name a local file. "
            f"({type(error).__name__}: {brief(str(error))})"
        ) from error
    wanted = check_columns(data.name, table.column_names, fields)
    feature = table.features.get(fields.label)
    feature = getattr(feature, "feature", feature)  # of a list of class labels
    classes = feature.names if isinstance(feature, datasets.ClassLabel) else None
    batches = table.select_columns(wanted).with_format("arrow").iter(batch_size=_ROWS_AT_ONCE)
    yield from _arrow_records(batches, wanted, fields.label, classes)


@contextmanager
def _from_cache() -> Iterator[None]:
    import datasets

    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = True
    try:
        with without_hub():
            yield
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def _arrow_records(
    batches: Iterable[Any], columns: Sequence[str], label: str | None, classes: Sequence[str] | None
) -> Iterator[Record | BadRow]:
    number = 0
    for batch in batches:
        picked = {name: batch.column(name) for name in columns}
        for index in range(batch.num_rows):
            number += 1
            yield _arrow_record(number, {name: column[index] for name, column in picked.items()}, label, classes)


def _arrow_record(
    number: int, cells: dict[str, Any], label: str | None, classes: Sequence[str] | None
) -> Record | BadRow:
    row: dict[str, object] = {}
    fault: tuple[str, str] | None = None
    for name, cell in cells.items():
        try:
            row[name] = cell.as_py()
        except UnicodeDecodeError as error:
            row[name] = error.object.decode(errors="backslashreplace")
            fault = name, f"not UTF-8: byte {error.start + 1} is 0x{error.object[error.start]:02x}"
    if classes is not None and label is not None:
        try:
            row[label] = _class_names(row.get(label), classes)
        except IndexError as error:
            fault = label, str(error)
    return Record(number, row, "row") if fault is None else BadRow(number, *fault, row, "row")


def _class_names(ids: object, classes: Sequence[str]) -> object:
    """Return the name of a class id, or names of a list of ids; ``None`` if there is no class.

    Raises:
        IndexError: an id that is not one of the data set's.
    """
    if isinstance(ids, list):
        return [_class_names(class_id, classes) for class_id in ids]
    if ids is None or ids == _NO_CLASS:
        return None
    if isinstance(ids, int) and 0 <= ids < len(classes):
        return classes[ids]
    raise IndexError(f"class id {ids} is not among the {len(classes)} classes of the data set")
