"""Reads the result record of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from limbeck.errors import RunFolderError
from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.results import Results

__all__ = ["RESULTS_FILE", "read_any_results", "read_results"]

RESULTS_FILE = "results.json"
AnyResults = Results | LanguageResults | GenerationResults
_KINDS: dict[str, type[AnyResults]] = {
    "limbeck-results-1": Results,
    "limbeck-languages-1": LanguageResults,
    "limbeck-generation-1": GenerationResults,
}
_FAULTS_SHOWN = 5


def read_results(path: Path) -> Results:
    """Read ``results.json`` of a classification run.

    Args:
        path: the run folder, or the file itself.

    Raises:
        RunFolderError: the file is missing, is not JSON, or is not a result record of this format.
    """
    results = _read(path, ["limbeck-results-1"])
    assert isinstance(results, Results)
    return results


def read_any_results(path: Path) -> AnyResults:
    """Read ``results.json`` of a run of any kind, by the format that it names.

    Args:
        path: the run folder, or the file itself.

    Raises:
        RunFolderError: the file is missing, is not JSON, or is not a result record of a known format.
    """
    return _read(path, list(_KINDS))


def _read(path: Path, formats: list[str]) -> AnyResults:
    file = path / RESULTS_FILE if path.is_dir() else path
    record = _load(file)
    found = record.get("format") if isinstance(record, dict) else None
    if found not in formats:
        raise RunFolderError(
            f"{file}: expected a result record of format {' or '.join(map(repr, formats))}, "
            f"found {_format_words(record, found)}. "
            "Give the folder of a finished run, or read it with the version of limbeck that wrote it."
        )
    try:
        return _KINDS[found].model_validate(record)
    except ValidationError as error:
        raise RunFolderError(
            f"{file}: the record does not have the shape of {found}:\n{_faults(error)}\n"
            "Was it edited by hand? Running the command of the run again writes it anew."
        ) from error


def _load(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise RunFolderError(
            f"{file}: expected the results of a run, found no such file. "
            "Give the folder of a finished run; an interrupted one goes on when its command is run again."
        ) from error
    except OSError as error:
        raise RunFolderError(f"{file}: cannot be read ({error.strerror}). Check the path and its rights.") from error
    except (ValueError, RecursionError) as error:
        raise RunFolderError(
            f"{file}: expected JSON, but it breaks off or is damaged ({error}). "
            "Running the command of the run again writes it anew."
        ) from error


def _format_words(record: Any, found: Any) -> str:
    if not isinstance(record, dict):
        return f"a JSON {type(record).__name__}"
    return "none" if found is None else repr(found)


def _faults(error: ValidationError) -> str:
    faults = error.errors(include_url=False, include_context=False)
    lines = [f"  {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults[:_FAULTS_SHOWN]]
    if len(faults) > _FAULTS_SHOWN:
        lines.append(f"  and {len(faults) - _FAULTS_SHOWN} more")
    return "\n".join(lines)
