"""Reading users' prompts, conversations and plain text: every row is checked, bad ones refused or set aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from limbeck.data.checks import FieldsMet, refuse_misspelt_label
from limbeck.data.generation.checks import check_example
from limbeck.data.generation.records import Example, Examples
from limbeck.data.generation.task import Generation
from limbeck.data.quarantine import BAD_ROWS_SHOWN, FileCount, OnBadRow, keep_apart, refuse_bad_rows, write_quarantine
from limbeck.data.readers import LoadDataset, read_records
from limbeck.data.records import BadRow, Fields, Record
from limbeck.data.sources import DataFile, HubData, find_sources
from limbeck.errors import ConfigError

__all__ = ["load_examples"]


def load_examples(
    sources: str | Path | list[str | Path],
    task: Generation,
    *,
    require_completion: bool = True,
    on_bad_row: OnBadRow = "refuse",
    quarantine: Path | None = None,
    base: Path | None = None,
    split: str = "train",
    _load_dataset: LoadDataset | None = None,
) -> Examples:
    r"""Read and check the rows of one or more sources, joined in the order given.

    Sources, formats and quarantine are those of `limbeck.data.load.load_rows`.

    Args:
        sources: files, folders, or ``hub:NAME[:CONFIG][@REVISION]``.
        task: which fields hold the prompt and the completion, the conversation, or the text.
        require_completion: refuse rows that are only prompts (conversations that do not end with the assistant).
        on_bad_row: as in `limbeck.data.load.load_rows`.
        quarantine: where to write the rows left out, with reasons.
        base: the folder that relative sources start from; ``None``: the current one.
        split: the split to read from the hub; files have no splits.

    Raises:
        DataError: a source cannot be read, rows cannot be used, or there are none.
        ConfigError: completions are needed but the task names no field for them, or the quarantine file is itself
            one of the sources.
        StorageError: the quarantine file cannot be written.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "rows.csv").write_text("question,answer\n1 + 1?,2\n")
        >>> task = Generation(prompt="question", completion="answer")
        >>> load_examples("rows.csv", task, base=folder).rows[0].completion
        '2'
    """
    if require_completion and task.prompts and task.completion is None:
        raise ConfigError("task.completion is missing: this run needs completions. Name the field that holds them.")
    found = find_sources(sources, base=base, split=split)
    if quarantine is not None:
        keep_apart(quarantine, found)
    good: list[Example] = []
    bad_rows: list[tuple[str, BadRow]] = []
    counts: list[FileCount] = []
    for source in found:
        before, bad = len(good), 0
        for checked in _checked(source, task, require_completion, _load_dataset):
            if not isinstance(checked, BadRow):
                good.append(checked)
                continue
            bad += 1
            if on_bad_row == "quarantine" or len(bad_rows) < BAD_ROWS_SHOWN:
                bad_rows.append((source.name, checked))
        counts.append(FileCount(source.name, len(good) - before, bad))
    refuse_bad_rows(len(good), sum(count.left_out for count in counts), bad_rows, counts, on_bad_row)
    if quarantine is not None:
        write_quarantine(quarantine, bad_rows)
    return _examples(task, good, tuple(counts))


def _examples(task: Generation, rows: list[Example], counts: tuple[FileCount, ...]) -> Examples:
    contents = [hashlib.sha256(json.dumps([row.messages, row.text]).encode()).digest() for row in rows]
    fingerprint = hashlib.sha256(b"".join(contents)).hexdigest()
    left_out = sum(count.left_out for count in counts)
    return Examples(task, rows, left_out, len(rows) - len(set(contents)), fingerprint, counts)


def _checked(
    source: DataFile | HubData, task: Generation, require_completion: bool, load_dataset: LoadDataset | None
) -> Iterator[Example | BadRow]:
    """Yield each row or bad row; refuse the source if a field that rows may lack is in none of them."""
    wanted = [task.messages, task.text, *task.prompts, task.completion]
    met = FieldsMet(source.name, wanted)
    for record in _records(source, task, load_dataset):
        if isinstance(record, BadRow):
            yield record
            continue
        met.add(record.row)
        yield check_example(record, task, source.name, require_completion=require_completion)
    met.require(task.messages, task.text, *task.prompts)
    if task.completion is not None:
        refuse_misspelt_label(source.name, met.names, Fields(text=task.prompts[0], label=task.completion))
    met.require(task.completion if require_completion else None)


def _records(
    source: DataFile | HubData, task: Generation, load_dataset: LoadDataset | None
) -> Iterator[Record | BadRow]:
    """Yield whole rows. Tables are read two text columns at a time, as their reader requires."""
    passes = _passes(task)
    if isinstance(source, DataFile) and source.suffix != ".parquet":
        passes = passes[:1]
    for parts in zip(*(read_records(source, fields, load_dataset) for fields in passes), strict=True):
        yield _joined(parts)


def _passes(task: Generation) -> list[Fields]:
    if task.messages is not None or task.text is not None:
        return [Fields(text=task.messages or task.text or "")]
    names = task.prompts
    pairs = [(names[i], names[i + 1] if i + 1 < len(names) else None) for i in range(0, len(names), 2)]
    return [Fields(one, two, task.completion if i == 0 else None) for i, (one, two) in enumerate(pairs)]


def _joined(parts: Sequence[Record | BadRow]) -> Record | BadRow:
    row: dict[str, object] = {}
    for part in parts:
        if isinstance(part, BadRow):
            return part
        row.update(part.row)
    return Record(parts[0].number, row, parts[0].unit)
