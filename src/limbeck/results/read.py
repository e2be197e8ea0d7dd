"""Read the result record of a run of any kind, in any format so far."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limbeck.errors import RunFolderError
from limbeck.results.record import Results
from limbeck.results.upgrade import OLD_FORMATS, upgrade

__all__ = ["RESULTS_FILE", "faults", "load_record", "read_results", "shape_error"]

RESULTS_FILE = "results.json"
_FORMATS = ["limbeck-results-2", *OLD_FORMATS]
_FAULTS_SHOWN = 5


def read_results(path: Path) -> Results:
    """Read ``results.json``; a record in an older format is upgraded.

    Args:
        path: the run folder, or the file itself.

    Raises:
        RunFolderError: the file is missing, is not JSON, or is not a result record of a known format.
    """
    file, record = load_record(path, _FORMATS)
    try:
        return Results.model_validate(upgrade(record))
    except ValidationError as error:
        raise shape_error(file, record, faults(error)) from error
    except ValueError as error:
        raise shape_error(file, record, f"  {error}") from error


def load_record(path: Path, formats: list[str]) -> tuple[Path, dict[str, Any]]:
    """Return the file and its JSON, a record in one of these formats. Raises `RunFolderError`."""
    file = path / RESULTS_FILE if path.is_dir() else path
    record = _load(file)
    found = record.get("format") if isinstance(record, dict) else None
    if found not in formats:
        raise RunFolderError(
            f"{file}: expected a result record of format {' or '.join(map(repr, formats))}, "
            f"found {_format_words(record, found)}. "
            "Give the folder of a finished run, or read it with the version of limbeck that wrote it."
        )
    return file, record


def shape_error(file: Path, record: dict[str, Any], found: str) -> RunFolderError:
    """Return the error for a record that does not match its format."""
    return RunFolderError(
        f"{file}: the record does not have the shape of {record['format']}:\n{found}\n"
        "Was it edited by hand? Running the command of the run again rewrites it."
    )


def faults(error: ValidationError) -> str:
    """List the faults of a record, one per line."""
    found = error.errors(include_url=False, include_context=False)
    lines = [f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in found[:_FAULTS_SHOWN]]
    if len(found) > _FAULTS_SHOWN:
        lines.append(f"  and {len(found) - _FAULTS_SHOWN} more")
    return "\n".join(lines)


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{file}: expected the results of a run, found no such file. "
            "Give the folder of a finished run; an interrupted one resumes when its command is run again."
        ) from error
    except OSError as error:
        raise RunFolderError(f"{file}: cannot be read ({error.strerror}). Check path and permissions.") from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{file}: expected JSON, but it breaks off or is damaged ({error}). "
            "Running the command of the run again rewrites it."
        ) from error


def _format_words(record: Any, found: Any) -> str:
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__}"
    return "none" if found is None else repr(found)
