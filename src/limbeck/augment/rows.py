"""The rows that are altered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from limbeck.data.checks import check_record
from limbeck.data.readers import read_records
from limbeck.data.records import BadRow, Fields
from limbeck.data.sources import DataFile, find_sources
from limbeck.errors import ConfigError, DataError

__all__ = ["read_rows", "require_other_file"]


def read_rows(name: str, fields: Fields) -> list[dict[str, Any]]:
    """Return all rows of a JSON Lines file, with all their fields.

    Raises:
        DataError: a row cannot be read or has no text.
    """
    sources = find_sources(name, base=None, split="train")
    source = sources[0]
    if len(sources) > 1 or not isinstance(source, DataFile) or source.suffix not in (".jsonl", ".ndjson"):
        raise DataError(f"{name}: expected one JSON Lines file (.jsonl)")
    read = Fields(fields.text, fields.text_pair)
    found: list[dict[str, Any]] = []
    for record in read_records(source, read):
        checked = record if isinstance(record, BadRow) else check_record(record, read, None)
        if isinstance(record, BadRow) or isinstance(checked, BadRow):
            assert isinstance(checked, BadRow)
            raise DataError(checked.describe(source.name))
        found.append(dict(record.row))
    if not found:
        raise DataError(f"{name} holds no rows")
    return found


def require_other_file(rows: str, output: Path) -> None:
    """Refuse to write over the rows. Raises `ConfigError`."""
    if output.exists() and output.samefile(rows):
        raise ConfigError(f"--output {output} is the file that is read: give another")
