"""Resolving sources to files or data sets of the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from limbeck.data.records import brief
from limbeck.errors import DataError, near_misses

__all__ = ["DataFile", "HubData", "find_sources"]

_TEXT_SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".conll")
_SUFFIXES = (*_TEXT_SUFFIXES, *(f"{suffix}.gz" for suffix in _TEXT_SUFFIXES), ".parquet")
_HUB = "hub:"
_HUB_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<config>[^:@]+))?(@(?P<revision>[^:@]+))?")


@dataclass(frozen=True)
class DataFile:
    """One file on disk."""

    path: Path
    suffix: str
    """Lower case and without ``.gz``."""
    compressed: bool

    @property
    def name(self) -> str:
        """Its name in messages and origins."""
        # Bytes of a name that are not UTF-8 would be lone surrogates, which no report can hold.
        return os.fsencode(self.path).decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class HubData:
    """One split of a data set on the Hugging Face hub."""

    repository: str
    config: str | None
    revision: str | None
    split: str

    @property
    def name(self) -> str:
        """Its name in messages and origins."""
        config = "" if self.config is None else f":{self.config}"
        revision = "" if self.revision is None else f"@{self.revision}"
        return f"{_HUB}{self.repository}{config}{revision} ({self.split})"


def find_sources(
    sources: str | Path | Sequence[str | Path], *, base: Path | None, split: str
) -> list[DataFile | HubData]:
    """Resolve what the user wrote to files and hub data sets, in the given order.

    Args:
        sources: files, folders, or ``hub:NAME[:CONFIG][@REVISION]``. A folder means the data files
            directly in it, by name; hidden and other files are ignored.
        base: the folder that relative paths start from; ``None``: the current one.
        split: the split to read from the hub; files have no splits.

    Raises:
        DataError: a source does not exist, is of an unknown kind, or there is none.
    """
    listed = [sources] if isinstance(sources, str | Path) else sources
    if not listed:
        raise DataError("no data: the list of files is empty. Name at least one file, folder or hub data set.")
    found: list[DataFile | HubData] = []
    for source in listed:
        if isinstance(source, str) and source.startswith(_HUB):
            found.append(_hub_data(source, split))
        else:
            try:
                path = (base or Path()) / Path(source).expanduser()
            except RuntimeError as error:
                raise DataError(f"{source}: no home folder of this user. Check the name after the ~.") from error
            try:
                found.extend(_files_at(path))
            except OSError as error:
                raise DataError(
                    f"{path} cannot be read: {error.strerror}. Check the path and its permissions."
                ) from error
    return found


def _hub_data(source: str, split: str) -> HubData:
    match = _HUB_NAME.fullmatch(source.removeprefix(_HUB))
    if match is None:
        raise DataError(
            f"'{source}' is not a hub data set: expected hub:NAME, with :CONFIG and @REVISION if needed, "
            "for example hub:nyu-mll/glue:sst2@main."
        )
    return HubData(match["name"], match["config"], match["revision"], split)


def _files_at(path: Path) -> list[DataFile]:
    if path.is_dir():
        files = _files_in(path)
        if not files:
            raise DataError(
                f"folder {path} holds no data files ({', '.join(_SUFFIXES)}). "
                "Hidden files and sub-folders are not read; name the files or the sub-folder."
            )
        return files
    if not path.exists():
        raise DataError(f"{path} does not exist; {_neighbours(path)}")
    file = _data_file(path)
    if file is None:
        raise DataError(
            f"{path}: expected a file that ends in one of {', '.join(_SUFFIXES)}. Rename it, or save it as JSON Lines."
        )
    return [file]


def _files_in(folder: Path) -> list[DataFile]:
    paths = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    return [file for file in map(_data_file, paths) if file is not None]


def _data_file(path: Path) -> DataFile | None:
    name = path.name.lower()
    suffix = next((known for known in _SUFFIXES if name.endswith(known)), None)
    if suffix is None:
        return None
    return DataFile(path, suffix.removesuffix(".gz"), suffix.endswith(".gz"))


def _neighbours(path: Path) -> str:
    if not path.parent.is_dir():
        return f"nor does its folder {path.parent}. Relative paths start at the current folder."
    names = [file.path.name for file in _files_in(path.parent)]
    if not names:
        return "its folder holds no data files."
    return brief(near_misses(path.name, names))
