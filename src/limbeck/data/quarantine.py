"""Bad rows: refused with their positions, or set aside in a separate file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from limbeck.atomic import write_text
from limbeck.data.look_alikes import visible
from limbeck.data.records import BadRow
from limbeck.data.sources import DataFile, HubData
from limbeck.errors import ConfigError, DataError, StorageError

__all__ = [
    "BAD_ROWS_SHOWN",
    "FileCount",
    "OnBadRow",
    "keep_apart",
    "refuse_bad_rows",
    "refuse_look_alikes",
    "write_quarantine",
]

OnBadRow = Literal["refuse", "stop", "quarantine"]
"""What bad rows lead to: an error (which for ``stop`` names the setting of run files), or a file of their own."""

BAD_ROWS_SHOWN = 20
"""Bad rows listed in an error; the others are only counted."""


@dataclass(frozen=True)
class FileCount:
    """The number of rows from one file or hub data set."""

    name: str
    rows: int
    left_out: int


def refuse_bad_rows(
    good: int, bad: int, bad_rows: list[tuple[str, BadRow]], counts: list[FileCount], on_bad_row: OnBadRow
) -> None:
    """Raise `DataError` if there are no rows, or bad ones that must not be left out (or are too many)."""
    if good + bad == 0:
        raise DataError(f"no rows in {', '.join(count.name for count in counts)}: expected at least one.")
    if bad == 0 or (on_bad_row == "quarantine" and bad <= good):
        return
    lines = [f"{bad:,} of {good + bad:,} rows cannot be used:"]
    lines += [f"  {bad_row.describe(file)}" for file, bad_row in bad_rows[:BAD_ROWS_SHOWN]]
    if bad > BAD_ROWS_SHOWN:
        lines.append(f"  and {bad - BAD_ROWS_SHOWN:,} more")
    if on_bad_row == "refuse":
        lines.append("Correct these rows.")
    elif on_bad_row == "stop":
        lines.append("Correct these rows, or set `data.on_bad_row: quarantine` to continue without them.")
    else:
        lines.append("That is more than half, so they are not left out: check the field names and the format first.")
    raise DataError("\n".join(lines))


def refuse_look_alikes(bad_rows: Iterable[tuple[str, BadRow]]) -> None:
    """Raise one `DataError` for all rows whose label looks like a known one but differs from it.

    Such rows are never left out: they are whole classes, and their names are wrong.
    """
    met: dict[tuple[str | None, str, str], list[str]] = {}
    for file, bad_row in bad_rows:
        if bad_row.looks_like is not None:
            met.setdefault((bad_row.field, *bad_row.looks_like), []).append(f"{file}, {bad_row.unit} {bad_row.number}")
    if not met:
        return
    shown = [
        f"  field '{field}' has {visible(name)} for {visible(twin)}: {len(places):,} row{'s' * (len(places) > 1)}, "
        f"the first is {places[0]}"
        for (field, name, twin), places in list(met.items())[:BAD_ROWS_SHOWN]
    ]
    if len(met) > BAD_ROWS_SHOWN:
        shown.append(f"  and {len(met) - BAD_ROWS_SHOWN:,} more names")
    raise DataError(
        "labels in the rows differ from the run's labels only in case, spaces, Unicode form or invisible characters:\n"
        + "\n".join(shown)
        + "\nWrite them the same way in the rows, or give task.labels as the rows have them."
    )


def keep_apart(quarantine: Path, found: list[DataFile | HubData]) -> None:
    """Raise `ConfigError` if the quarantine file is itself one of the sources."""
    for source in found:
        if isinstance(source, DataFile) and source.path.resolve() == quarantine.resolve():
            raise ConfigError(
                f"the quarantine file {quarantine} is also read as data. "
                "Give it another name, outside the folders that are read."
            )


def write_quarantine(path: Path, bad_rows: list[tuple[str, BadRow]]) -> None:
    """Write rows left out, with reasons, as JSON Lines; without any, an older file is removed.

    Raises:
        StorageError: the file cannot be written.
    """
    lines = [
        {"file": file, "line": bad_row.number, "field": bad_row.field, "reason": bad_row.reason, "row": bad_row.row}
        for file, bad_row in bad_rows
    ]
    text = "".join(json.dumps(line, ensure_ascii=False, default=str) + "\n" for line in lines)
    try:
        if not bad_rows:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        # Lone surrogates cannot be written; as \udXXX they are valid JSON escapes.
        write_text(path, text.encode("utf-8", "backslashreplace").decode())
    except OSError as error:
        raise StorageError(f"the quarantine file {path} could not be written: {error.strerror or error}.") from error
