"""Reads the result record of a run."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from limbeck.generation_results import GenerationResults
from limbeck.language_results import LanguageResults
from limbeck.results import Results
from limbeck.results.read import RESULTS_FILE, faults, load_record, shape_error

__all__ = ["RESULTS_FILE", "read_any_results", "read_results"]

AnyResults = Results | LanguageResults | GenerationResults
_KINDS: dict[str, type[AnyResults]] = {
    "limbeck-results-1": Results,
    "limbeck-languages-1": LanguageResults,
    "limbeck-generation-1": GenerationResults,
}


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
    file, record = load_record(path, formats)
    try:
        return _KINDS[record["format"]].model_validate(record)
    except ValidationError as error:
        raise shape_error(file, record, faults(error)) from error
