"""Finding the file of a split, and its rows in the requested languages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from limbeck.data.instructions.make import Split
from limbeck.data.languages import language_code
from limbeck.data.quarantine import refuse_look_alikes
from limbeck.data.records import BadRow, Record
from limbeck.data.sources import DataFile, find_sources
from limbeck.errors import DataError

__all__ = ["SetRow", "match_languages", "refuse_rows", "sound", "split_file"]

_STEMS: dict[Split, tuple[str, ...]] = {"train": ("train",), "dev": ("dev", "validation"), "test": ("test",)}
_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
_BAD_ROWS_SHOWN = 20

T = TypeVar("T")


@dataclass(frozen=True)
class SetRow:
    """One row of a split in a requested language."""

    lang: str
    """Our language code."""
    record: Record
    file: str

    @property
    def number(self) -> int:
        """Line or row number, counted from 1."""
        return self.record.number

    def bad_row(self, field: str | None, reason: str) -> BadRow:
        """Return a `BadRow` for this row."""
        return BadRow(self.record.number, field, reason, self.record.row, self.record.unit)


def split_file(folder: Path, split: Split, lang: str | None = None) -> DataFile:
    """Return the file of `split`: ``train.jsonl.gz``, or ``train.bg.jsonl.gz`` if each language has its own.

    Raises:
        DataError: there is none; lists the existing files.
    """
    middle = "" if lang is None else f".{lang}"
    for stem in _STEMS[split]:
        for suffix in _SUFFIXES:
            path = folder / f"{stem}{middle}{suffix}"
            if path.is_file():
                found = find_sources(path, base=None, split=split)[0]
                assert isinstance(found, DataFile)
                return found
    wanted = " or ".join(f"{stem}{middle}.jsonl" for stem in _STEMS[split])
    there = ", ".join(sorted(path.name for path in folder.iterdir())) if folder.is_dir() else "no such folder"
    raise DataError(
        f"{folder} has no file of the split '{split}': expected {wanted} (also .csv, .tsv, .parquet, or with .gz). "
        f"Found: {there or 'nothing'}. Choose another folder or split."
    )


def match_languages(codes: Iterable[str], languages: Sequence[str], where: str) -> dict[str, str]:
    """Return our code for each requested one of the set's `codes`.

    `languages` may hold our codes (``bg``) or the set's own (``bul_Cyrl``).

    Raises:
        DataError: the set lacks a language, or has it twice (in two scripts); lists the languages of `where`.
    """
    ours = {code: _our_code(code) for code in sorted(set(codes))}
    matched: dict[str, str] = {}
    for lang in dict.fromkeys(languages):
        wanted = language_code(lang)
        found = [lang] if lang in ours else [code for code, our in ours.items() if our == wanted]
        if not found:
            has = ", ".join(code if our in (None, code) else f"{our} ({code})" for code, our in ours.items())
            raise DataError(
                f"{where} has nothing in '{lang}'. It has: {has or 'no language'}. "
                f"Leave '{lang}' out, or choose another split for it."
            )
        if len(found) > 1:
            raise DataError(f"{where} has '{lang}' as {' and '.join(found)}: request one of these by name.")
        matched[found[0]] = wanted
    return matched


def _our_code(code: str) -> str | None:
    """Return our code, or None: unknown languages of a set are no error unless they are requested."""
    try:
        return language_code(code)
    except DataError:
        return None


def sound(file: str, items: Iterable[T | BadRow]) -> list[T]:
    """Return `items` if none of them is a bad row.

    Raises:
        DataError: lists the first bad rows with file, line and field.
    """
    items = list(items)
    refuse_rows(file, (item for item in items if isinstance(item, BadRow)))
    return [item for item in items if not isinstance(item, BadRow)]


def refuse_rows(file: str, bad_rows: Iterable[BadRow]) -> None:
    """Raise a `DataError` that lists the first of `bad_rows`, if there are any."""
    bad_rows = list(bad_rows)
    if not bad_rows:
        return
    refuse_look_alikes((file, bad_row) for bad_row in bad_rows)
    lines = [f"{len(bad_rows):,} rows cannot be used:"]
    lines += [f"  {bad_row.describe(file)}" for bad_row in bad_rows[:_BAD_ROWS_SHOWN]]
    if len(bad_rows) > _BAD_ROWS_SHOWN:
        lines.append(f"  and {len(bad_rows) - _BAD_ROWS_SHOWN:,} more")
    raise DataError("\n".join([*lines, "Correct these rows, or check that the layout fits the file."]))
