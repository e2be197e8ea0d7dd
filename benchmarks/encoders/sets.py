"""Rows of the encoder benchmark: what is learned, what chooses learning rates, and what is held out.

Held-out rows are official test or validation rows, and of TREC also 1,500 training rows, since it has 500 test rows.
None of their texts is among the others (tests/benchmarks/test_encoders.py).
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SETS", "DataSet", "Split", "split"]

Row = dict[str, str]


@dataclass(frozen=True)
class DataSet:
    """A data set of single texts or of pairs."""

    train: str
    held_out: tuple[str, ...]
    texts: tuple[str, ...] = ("text",)
    from_train: int = 0
    """Training rows that are held out too."""
    max_length: int = 64

    @property
    def task(self) -> dict[str, str]:
        """The fields of the rows, as a run file names them."""
        return dict(zip(("text", "text_pair"), self.texts, strict=False)) | {"label": "label"}


SETS = {
    "trec": DataSet("train.jsonl", ("test.jsonl",), from_train=1500, max_length=40),
    "sst2": DataSet("train.jsonl.gz", ("test.jsonl", "validation.jsonl"), max_length=48),
    "glue_rte": DataSet("train.jsonl", ("validation.jsonl",), ("premise", "hypothesis"), max_length=128),
}


@dataclass(frozen=True)
class Split:
    """The rows of a set by their use."""

    train: list[Row] = field(default_factory=list)
    dev: list[Row] = field(default_factory=list)
    test: list[Row] = field(default_factory=list)


def split(data: Path, name: str, most_rows: int) -> Split:
    """Read and split a set.

    Args:
        data: folder of the sets, as ``benchmarks/data.py`` writes it.
        name: of the set.
        most_rows: training and development rows together; a random sample of a larger set. A tenth is for development.
    """
    of = SETS[name]
    rows = [_row(one, of) for one in _read(data / name, of.train)]
    test = [_row(one, of) for file in of.held_out for one in _read(data / name, file)]
    random.Random(f"encoders {name}").shuffle(rows)
    test += rows[: of.from_train]
    known = {_key(row, of) for row in test}
    rows = list({_key(row, of): row for row in rows[of.from_train :] if _key(row, of) not in known}.values())[
        :most_rows
    ]
    dev = len(rows) // 10
    return Split(rows[dev:], rows[:dev], test)


def _key(row: Row, of: DataSet) -> tuple[str, ...]:
    return tuple(row[name] for name in of.texts)


def _row(row: dict[str, object], of: DataSet) -> Row:
    texts = {name: str(row[name]) for name in of.texts}
    return {**texts, "label": str(row.get("label_name", row["label"]))}


def _read(folder: Path, file: str) -> list[dict[str, object]]:
    path = folder / file
    path = path if path.exists() else path.with_name(f"{path.name}.gz")
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8").split("\n")
    return [json.loads(line) for line in lines if line]
