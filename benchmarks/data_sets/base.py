"""What a data set is, and the kinds of file it is read from."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Read = Callable[[str], bytes]
"""Gives the bytes of a path in the repository of the file that is made."""


@dataclass(frozen=True)
class Source:
    """A public repository, OWNER/NAME, at a commit."""

    repository: str
    commit: str


@dataclass(frozen=True)
class DataSet:
    """Where a set comes from, how it is read, and what its files must hold."""

    repository: str
    commit: str
    licence: str
    rows: Callable[[Read, str], Iterator[Row]]
    """Rows of a split."""
    files: dict[str, str]
    """SHA-256 of each file's rows, unpacked."""
    wanted_by: tuple[str, ...]
    """The benchmarks that read it."""
    elsewhere: dict[str, Source] = field(default_factory=dict)
    """Sources of the files that are of another repository."""

    def source(self, file: str) -> Source:
        return self.elsewhere.get(file, Source(self.repository, self.commit))


def tab_separated(content: bytes, **options: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), delimiter="\t", **options))


def comma_separated(content: bytes) -> list[dict[str, str]]:
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(text, skipinitialspace=True))


def lines(content: bytes, encoding: str = "utf-8") -> list[str]:
    return content.decode(encoding).rstrip("\n").split("\n")
